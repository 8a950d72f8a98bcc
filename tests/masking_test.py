"""Masks, colour shift and the whole way from a face to an encoder's input."""

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from facerec_jax.face import landmarks as landmark_points
from facerec_jax.photos import alignment
from facerec_jax.photos import masking
from facerec_jax.photos.detection import Face
from facerec_jax.photos.preparation import prepare

SIZE = 96


def arc(center, radii, start, stop, count) -> np.ndarray:
  """Points on an ellipse; degrees from the image right, clockwise."""
  angle = np.radians(np.linspace(start, stop, count))
  return np.asarray(center) + np.stack(
    [radii[0] * np.cos(angle), radii[1] * np.sin(angle)], -1
  )


def drawn_landmarks() -> np.ndarray:
  """[68, 2] of a face drawn with ellipses, mouth open, in 400 x 500 pixels."""
  return np.concatenate(
    [
      arc((200, 230), (100, 130), 180, 0, 17),
      arc((150, 190), (35, 15), 180, 360, 5),
      arc((250, 190), (35, 15), 180, 360, 5),
      np.linspace((200, 210), (200, 270), 4),
      np.linspace((180, 285), (220, 285), 5),
      arc((150, 215), (20, 8), 180, 480, 6),
      arc((250, 215), (20, 8), 180, 480, 6),
      arc((200, 320), (40, 25), 180, 510, 12),
      arc((200, 320), (30, 15), 180, 495, 8),
    ]
  )


@pytest.fixture(scope="module")
def photo():
  random = np.random.default_rng(0)
  return random.integers(40, 200, (500, 400, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def face():
  return Face((100, 130, 200, 200), 1.0, "dlib", drawn_landmarks())


def test_mask_holds_the_face_without_mouth_and_background(face):
  mask = masking.face_mask(face.landmarks, face.square, SIZE)
  assert mask.shape == (SIZE, SIZE)
  assert mask.dtype == bool

  def inside(x, y):
    point = np.array([x, y], float)
    column, row = alignment.to_crop(point, face.square, SIZE).astype(int)
    return mask[row, column]

  for point in ((200, 250), (130, 270), (270, 270), (200, 350), (150, 215)):
    assert inside(*point), point
  for point in ((200, 320), (190, 318), (200, 372), (90, 240), (200, 90)):
    assert not inside(*point), point


def test_mask_of_the_crop_is_the_crop_of_the_mask(face):
  whole = landmark_points.hull_mask(face.landmarks, height=500, width=400)
  image = np.repeat(np.asarray(whole)[..., None] * np.uint8(255), 3, 2)
  cropped = alignment.crop(image, face.square, SIZE)[..., 0] > 0.5
  mask = masking.face_mask(face.landmarks, face.square, SIZE)
  assert (cropped != mask).sum() < 0.01 * mask.sum()


@pytest.mark.parametrize("image_size", [32, 224])
def test_mask_covers_the_same_part_of_every_size(face, image_size):
  reference = masking.face_mask(face.landmarks, face.square, SIZE).mean()
  mask = masking.face_mask(face.landmarks, face.square, image_size)
  assert mask.mean() == pytest.approx(reference, rel=0.04)


def test_apply_mask_blackens_the_outside_only():
  image = np.random.default_rng(0).random((5, 6, 3), np.float32)
  mask = np.arange(30).reshape(5, 6) % 3 == 0
  masked = masking.apply_mask(image, mask)
  assert masked.dtype == np.float32
  np.testing.assert_array_equal(masked[mask], image[mask])
  assert not masked[~mask].any()


@given(
  mean=st.tuples(*[st.floats(0.35, 0.65)] * 3), seed=st.integers(0, 2**32 - 1)
)
def test_shift_gives_the_mask_the_wanted_mean(mean, seed):
  random = np.random.default_rng(seed)
  image = random.uniform(0.35, 0.65, (8, 8, 3)).astype(np.float32)
  mask = random.random((8, 8)) < 0.6
  mask[0, 0] = True
  shifted = masking.shift_mean_color(image, mask, np.array(mean))
  assert shifted.dtype == np.float32
  np.testing.assert_allclose(shifted[mask].mean(axis=0), mean, atol=1e-5)
  np.testing.assert_array_equal(shifted[~mask], image[~mask])
  # A shift, no stretch: differences between pixels stay.
  np.testing.assert_allclose(
    shifted[mask] - shifted[mask][0], image[mask] - image[mask][0], atol=1e-5
  )


def test_shift_stays_in_range():
  image = np.linspace(0, 1, 48, dtype=np.float32).reshape(4, 4, 3)
  shifted = masking.shift_mean_color(
    image, np.ones((4, 4), bool), np.array([0.9, 0.5, 0.1])
  )
  assert shifted.min() >= 0
  assert shifted.max() <= 1


def test_shift_needs_a_mask():
  with pytest.raises(ValueError, match="the mask is empty"):
    masking.shift_mean_color(
      np.zeros((2, 2, 3), np.float32), np.zeros((2, 2), bool), np.ones(3)
    )


def test_prepared_image_is_crop_mask_and_shift(photo, face):
  plain = prepare(photo, face, image_size=SIZE, mask=False)
  np.testing.assert_array_equal(plain, alignment.crop(photo, face.square, SIZE))
  hull = masking.face_mask(face.landmarks, face.square, SIZE)
  masked = prepare(photo, face, image_size=SIZE, mask=True)
  np.testing.assert_array_equal(masked[hull], plain[hull])
  assert not masked[~hull].any()
  shifted = prepare(
    photo, face, image_size=SIZE, mask=True, mean_color=(0.6, 0.5, 0.4)
  )
  assert shifted.dtype == np.float32
  np.testing.assert_allclose(
    shifted[hull].mean(axis=0), [0.6, 0.5, 0.4], atol=0.01
  )
  assert not shifted[~hull].any()


def test_face_without_landmarks_is_cropped_by_its_box_and_unmasked(photo):
  face = Face((100, 130, 200, 200), 1.0, "haar")
  image = prepare(photo, face, image_size=SIZE, mask=True)
  square = alignment.box_square(face.box, "haar")
  np.testing.assert_array_equal(image, alignment.crop(photo, square, SIZE))
