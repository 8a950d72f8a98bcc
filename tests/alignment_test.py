"""Squares of faces and their crops, against Pillow and closed forms."""

from hypothesis import assume
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
import numpy as np
from PIL import Image
import pytest

from facerec_jax.face import landmarks
from facerec_jax.photos import alignment
from facerec_jax.photos.alignment import Square

HEIGHT, WIDTH = 90, 120
positions = st.floats(-1e4, 1e4)
sides = st.floats(0.1, 1e4)


@pytest.fixture(scope="module")
def noise():
  random = np.random.default_rng(0)
  return random.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def square(x, y, side) -> Square:
  return Square(np.array([x, y], float), side)


def pillow_crop(photo, area, image_size):
  """Pillow's antialiased bilinear resize of a box with fractional edges."""
  left, top = area.center - area.side / 2
  box = (left, top, left + area.side, top + area.side)
  channels = [
    Image.fromarray(photo[..., c].astype(np.float32)).resize(
      (image_size, image_size), Image.Resampling.BILINEAR, box=box
    )
    for c in range(3)
  ]
  return np.stack([np.asarray(channel) for channel in channels], -1) / 255


@settings(max_examples=60, deadline=None)
@given(
  x=st.floats(45, 75),
  y=st.floats(40, 50),
  side=st.floats(2, 60),
  image_size=st.integers(1, 80),
)
def test_crop_is_pillows_resize(noise, x, y, side, image_size):
  # At the edge, which filters of at most 9 px do not reach here, they differ.
  assume(side <= 9 * image_size)
  area = square(x, y, side)
  image = alignment.crop(noise, area, image_size)
  assert image.dtype == np.float32
  assert image.shape == (image_size, image_size, 3)
  np.testing.assert_allclose(
    image, pillow_crop(noise, area, image_size), atol=2e-5
  )


@settings(max_examples=40, deadline=None)
@given(
  x=st.floats(30, 90),
  y=st.floats(30, 60),
  side=st.floats(5, 40),
  image_size=st.integers(4, 100),
)
def test_crop_of_a_gradient_shows_its_value_at_each_pixel_centre(
  x, y, side, image_size
):
  row, column = np.mgrid[:HEIGHT, :WIDTH]
  photo = np.stack([column, row, column + row], -1).astype(np.uint8)
  area = square(x, y, side)
  grid = np.arange(image_size) + 0.5
  points = np.stack(np.meshgrid(grid, grid), -1)
  seen = alignment.from_crop(points, area, image_size) - 0.5
  expected = np.concatenate([seen, seen.sum(-1, keepdims=True)], -1)
  image = alignment.crop(photo, area, image_size) * 255
  # A triangle of a width that is no whole number, sampled at pixels, has its
  # centre of mass off by 0.086 px along each axis at most.
  tolerance = 1e-3 if side <= image_size else 2 * 0.087
  np.testing.assert_allclose(image, expected, atol=tolerance)


def disc(center, radius) -> np.ndarray:
  """A white disc with 16 x 16 samples a pixel."""
  steps = 16
  row, column = (np.mgrid[: HEIGHT * steps, : WIDTH * steps] + 0.5) / steps
  inside = np.hypot(column - center[0], row - center[1]) < radius
  cover = inside.reshape(HEIGHT, steps, WIDTH, steps).mean(axis=(1, 3))
  return np.repeat(np.round(cover * 255)[..., None], 3, 2).astype(np.uint8)


@pytest.mark.parametrize("image_size", [23, 64, 211])
def test_a_disc_lands_where_to_crop_says(image_size):
  center, radius = np.array([61.3, 44.8]), 15.0
  area = square(58.27, 47.91, 55.3)
  image = alignment.crop(disc(center, radius), area, image_size)[..., 0]
  grid = np.arange(image_size) + 0.5
  centroid = np.array([image.sum(0) @ grid, image.sum(1) @ grid]) / image.sum()
  expected = alignment.to_crop(center, area, image_size)
  scale = image_size / area.side
  np.testing.assert_allclose(centroid, expected, atol=0.01 * max(scale, 1))
  np.testing.assert_allclose(
    image.sum(), np.pi * (radius * scale) ** 2, rtol=0.005
  )


def test_crop_at_original_size_is_the_photo(noise):
  image = alignment.crop(noise, square(60, 45, 20), 20)
  np.testing.assert_allclose(image, noise[35:55, 50:70] / 255, atol=1e-6)


def test_crop_shrinks_without_aliasing():
  row, column = np.mgrid[:HEIGHT, :WIDTH]
  board = np.where((row + column) % 2, 255, 0).astype(np.uint8)
  photo = np.repeat(board[..., None], 3, 2)
  image = alignment.crop(photo, square(60, 45, 70), 11)
  np.testing.assert_allclose(image, 0.5, atol=0.01)


@pytest.mark.parametrize(
  "area", [square(5, 80, 60), square(118, 3, 25), square(60, 45, 300)]
)
def test_crop_beyond_the_edge_repeats_it(noise, area):
  margin = 200
  padded = np.pad(noise, ((margin, margin), (margin, margin), (0, 0)), "edge")
  shifted = Square(area.center + margin, area.side)
  np.testing.assert_allclose(
    alignment.crop(noise, area, 32),
    alignment.crop(padded, shifted, 32),
    atol=1e-6,
  )


def test_crop_far_outside_is_the_nearest_corner(noise):
  image = alignment.crop(noise, square(-900, 5000, 20), 8)
  np.testing.assert_allclose(
    image, np.broadcast_to(noise[-1, 0] / 255, (8, 8, 3)), atol=1e-6
  )


@pytest.mark.parametrize("side", [0.0, -3.0, np.nan, np.inf])
def test_crop_refuses_squares_without_size(noise, side):
  with pytest.raises(ValueError, match="a crop needs a finite square, got"):
    alignment.crop(noise, square(60, 45, side), 8)


def test_crop_refuses_floats(noise):
  with pytest.raises(ValueError, match="uint8, got .* float64"):
    alignment.crop(noise / 255, square(60, 45, 20), 8)


@given(positions, positions, positions, positions, sides, st.integers(1, 512))
def test_from_crop_inverts_to_crop(x, y, px, py, side, image_size):
  area = square(x, y, side)
  points = area.center + np.array([[px, py], [py, -px]]) / 1e4 * side
  back = alignment.from_crop(
    alignment.to_crop(points, area, image_size), area, image_size
  )
  np.testing.assert_allclose(back, points, atol=1e-8 * (1 + abs(x) + abs(y)))


def test_to_crop_maps_the_corners():
  area = square(100, 50, 40)
  points = np.array([[80, 30], [120, 70], [100, 50]])
  np.testing.assert_allclose(
    alignment.to_crop(points, area, 224), [[0, 0], [224, 224], [112, 112]]
  )


@given(positions, positions, sides, st.sampled_from(["dlib", "haar", "none"]))
def test_square_box_inverts_box_square(left, top, width, detector):
  box = (left, top, width, width)
  again = alignment.square_box(alignment.box_square(box, detector), detector)
  np.testing.assert_allclose(again, box, rtol=1e-9, atol=1e-9)


def test_box_of_no_detector_is_the_square():
  area = alignment.box_square((10, 20, 30, 30), "none")
  np.testing.assert_allclose(area.center, [25, 35])
  assert area.side == 30


def test_landmark_square_is_the_framing_of_synthesis():
  points = np.random.default_rng(1).normal(300, 50, (68, 2))
  area = alignment.landmark_square(points)
  center, side = landmarks.framing(points)
  np.testing.assert_allclose(area.center, center)
  assert area.side == pytest.approx(float(side))


def test_aligned_faces_do_not_depend_on_the_photo():
  """The landmarks of a crop frame the crop: centred, and as large as it."""
  points = np.random.default_rng(2).normal((900, 300), (80, 60), (68, 2))
  inside = alignment.to_crop(points, alignment.landmark_square(points), 112)
  center, side = landmarks.framing(inside)
  np.testing.assert_allclose(center, [56, 56])
  assert side == pytest.approx(112)
