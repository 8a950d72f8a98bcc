"""Faces and landmarks in photographs, by the real detectors."""

import importlib.metadata
import json
import pathlib
import types

import cv2
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
import numpy as np
import pytest
import skimage.data

from facerec_jax.face import landmarks
from facerec_jax.photos import alignment
from facerec_jax.photos import detection
from facerec_jax.photos import landmark_predictor
from facerec_jax.photos import reading
from facerec_jax.photos.detection import Face
from facerec_jax.photos.detection import detect_faces

# Where a person sees the face of the astronaut: centre between eyes and mouth.
ASTRONAUT_FACE = (222, 120)


@pytest.fixture(scope="module")
def astronaut():
  return skimage.data.astronaut()


@pytest.fixture(scope="module")
def predictor():
  found = landmark_predictor.load_predictor()
  if found is None:
    pytest.skip("needs dlib's predictor: pip install 'facerec_jax[landmarks]'")
  return found


def center(face: Face) -> np.ndarray:
  return np.add(face.box[:2], np.divide(face.box[2:], 2))


def half_width(photo) -> np.ndarray:
  """Squeezed so that dlib does not see a face any more."""
  return cv2.resize(photo, None, fx=0.5, fy=1, interpolation=cv2.INTER_AREA)


@pytest.mark.parametrize("detector", ["auto", "dlib", "haar"])
def test_one_face_of_the_astronaut(astronaut, detector):
  (face,) = detect_faces(astronaut, detector=detector)
  assert face.detector == ("haar" if detector == "haar" else "dlib")
  assert face.landmarks is None
  np.testing.assert_allclose(center(face), ASTRONAUT_FACE, atol=10)
  np.testing.assert_allclose(face.box[2:], 95, atol=12)


def test_haar_steps_in_where_dlib_finds_nothing(astronaut):
  photo = half_width(astronaut)
  assert detect_faces(photo, detector="dlib") == []
  (face,) = detect_faces(photo)
  assert face.detector == "haar"
  np.testing.assert_allclose(
    center(face), np.multiply(ASTRONAUT_FACE, [0.5, 1]), atol=12
  )


def test_several_faces_largest_first(astronaut):
  head = astronaut[:230, 100:340]
  canvas = np.full((700, 900, 3), 127, np.uint8)
  places = [(20, 30, 1.0), (480, 20, 1.6), (60, 420, 0.7)]
  for left, top, scale in places:
    copy = cv2.resize(head, None, fx=scale, fy=scale)
    canvas[top : top + len(copy), left : left + copy.shape[1]] = copy
  faces = detect_faces(canvas)
  assert len(faces) == 3
  by_size = sorted(places, key=lambda place: -place[2])
  for face, (left, top, scale) in zip(faces, by_size, strict=True):
    expected = np.array([left, top]) + np.array([122, 120]) * scale
    np.testing.assert_allclose(center(face), expected, atol=12 * scale)


@pytest.mark.parametrize("name", ["coffee", "chelsea", "brick", "rocket"])
def test_no_face_where_there_is_none(name):
  photo = np.asarray(getattr(skimage.data, name)())
  photo = np.broadcast_to(np.atleast_3d(photo), (*photo.shape[:2], 3))
  assert detect_faces(photo) == []


@pytest.mark.parametrize("shape", [(40, 4000, 3), (3000, 40, 3), (40, 40, 3)])
def test_strange_shapes_hold_no_face(shape):
  random = np.random.default_rng(0)
  assert detect_faces(random.integers(0, 256, shape, dtype=np.uint8)) == []


@pytest.mark.parametrize("detector", ["dlib", "haar"])
@pytest.mark.parametrize("scale", [0.5, 3.0])
def test_boxes_are_in_pixels_of_the_photo(astronaut, detector, scale):
  (face,) = detect_faces(astronaut, detector=detector)
  resized = cv2.resize(
    astronaut,
    None,
    fx=scale,
    fy=scale,
    interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC,
  )
  (other,) = detect_faces(resized, detector=detector)
  # The detectors' own grid is this coarse.
  np.testing.assert_allclose(np.divide(other.box, scale), face.box, atol=12)


def test_unknown_detector_and_wrong_arrays_are_named(astronaut):
  with pytest.raises(ValueError, match=r"'auto', 'dlib', 'haar'.*got 'mtcnn'"):
    detect_faces(astronaut, detector="mtcnn")
  with pytest.raises(ValueError, match=r"uint8, got \[512, 512, 3\] float64"):
    detect_faces(astronaut / 255)


boxes = st.tuples(*[st.floats(0, 100)] * 2, *[st.floats(1, 60)] * 2)


@settings(max_examples=60, deadline=None)
@given(
  st.lists(
    st.tuples(boxes, st.floats(0, 9)), max_size=8, unique_by=lambda x: x[1]
  )
)
def test_merging_keeps_the_best_of_each_face(found):
  faces = [Face(box, score, "haar") for box, score in found]
  kept = detection._merge_duplicates(faces)
  limit = detection.DUPLICATE_OVERLAP
  for i, face in enumerate(kept):
    assert all(detection._overlap(face.box, k.box) < limit for k in kept[:i])
  for face in set(faces) - set(kept):
    better = [k for k in kept if k.score > face.score]
    assert any(detection._overlap(face.box, k.box) >= limit for k in better)
  assert detection._merge_duplicates(faces[::-1]) == kept


def test_overlap_counts_nested_and_touching_boxes():
  assert detection._overlap((0, 0, 10, 10), (2, 3, 4, 4)) == 1
  assert detection._overlap((0, 0, 10, 10), (10, 0, 5, 5)) == 0
  assert detection._overlap((0, 0, 10, 10), (5, 0, 10, 10)) == 0.5
  assert detection._overlap((0, 0, 2, 2), (9, 9, 2, 2)) == 0


def error(found, expected) -> float:
  return float(landmarks.normalized_mean_error(found, expected))


def test_landmarks_of_dlib_and_haar_boxes_agree(astronaut, predictor):
  (by_dlib,) = detect_faces(astronaut, detector="dlib", predictor=predictor)
  (by_haar,) = detect_faces(astronaut, detector="haar", predictor=predictor)
  assert by_dlib.landmarks.shape == (68, 2)
  # Measured 0.5 %.
  assert error(by_haar.landmarks, by_dlib.landmarks) < 0.015


def test_landmarks_follow_mirror_scale_and_roll(astronaut, predictor):
  (face,) = detect_faces(astronaut, predictor=predictor)
  height, width = astronaut.shape[:2]
  roll = cv2.getRotationMatrix2D(ASTRONAUT_FACE, 15, 1)
  for image, expected in (
    (
      np.ascontiguousarray(astronaut[:, ::-1]),
      ([width, 0] + face.landmarks * [-1, 1])[list(landmarks.MIRROR)],
    ),
    (cv2.resize(astronaut, None, fx=2, fy=2), face.landmarks * 2),
    (
      cv2.warpAffine(astronaut, roll, (width, height)),
      face.landmarks @ roll[:, :2].T + roll[:, 2],
    ),
  ):
    (other,) = detect_faces(image, predictor=predictor)
    assert error(other.landmarks, expected) < 0.03


@pytest.mark.parametrize("side", [60.0, 214.3, 900.0])
def test_points_of_the_predictor_are_free_of_half_pixel_shifts(side):
  """A predictor that points at a white spot, asked as dlib's is."""

  def center_of_mass(image, rectangle):
    del rectangle
    rows, columns = np.indices(image.shape[:2])
    weights = image[..., 0] / image[..., 0].sum()
    part = types.SimpleNamespace(
      x=(weights * columns).sum(), y=(weights * rows).sum()
    )
    return types.SimpleNamespace(parts=lambda: [part] * 68)

  photo = np.zeros((300, 400, 3), np.uint8)
  photo[100:120, 150:180] = 255
  area = alignment.Square(np.array([160.4, 108.2]), side)
  points = landmark_predictor._predict(center_of_mass, photo, area)
  _, _, width, _ = alignment.square_box(area, "dlib")
  pixel = width / landmark_predictor.BOX_PIXELS
  assert np.abs(points - [165, 110]).max() < 0.3 * pixel


def test_square_is_of_the_landmarks_if_there_are_any():
  points = np.random.default_rng(0).normal(200, 40, (68, 2))
  face = Face((10, 20, 100, 100), 1.0, "dlib")
  assert face.square.side == pytest.approx(159)
  assert Face(face.box, 1.0, "dlib", points).square.side == pytest.approx(
    float(landmarks.framing(points)[1])
  )


def test_missing_predictor_says_what_is_lost_once(monkeypatch, caplog):
  def missing(name):
    raise importlib.metadata.PackageNotFoundError(name)

  monkeypatch.setattr(importlib.metadata, "files", missing)
  landmark_predictor._say_what_is_lost.cache_clear()
  with caplog.at_level("WARNING", logger="absl"):
    assert landmark_predictor.load_predictor() is None
    assert landmark_predictor.load_predictor() is None
  (record,) = caplog.records
  for words in (
    "aligned by the detector's box",
    "not masked",
    "pip install 'facerec_jax[landmarks]'",
    "--landmark_model=PATH",
    "shape_predictor_68_face_landmarks.dat",
  ):
    assert words in record.getMessage()


@pytest.mark.parametrize("content", [b"", b"no predictor", b"\x01\xff" * 999])
def test_damaged_predictor(tmp_path, content):
  path = tmp_path / "model.dat"
  path.write_bytes(content)
  with pytest.raises(ValueError, match=r"model\.dat: damaged, or not a shape"):
    landmark_predictor.load_predictor(path)


def test_missing_predictor_file(tmp_path):
  with pytest.raises(ValueError, match=r"none\.dat: no such landmark model"):
    landmark_predictor.load_predictor(tmp_path / "none.dat")


def test_half_and_foreign_predictors(tmp_path, predictor):
  del predictor
  path = landmark_predictor._installed_file()
  (tmp_path / "half.dat").write_bytes(path.read_bytes()[: 10**6])
  with pytest.raises(ValueError, match="damaged"):
    landmark_predictor.load_predictor(tmp_path / "half.dat")
  other = path.with_name("shape_predictor_5_face_landmarks.dat")
  with pytest.raises(ValueError, match="landmark model of 5 points, wanted 68"):
    landmark_predictor.load_predictor(other)


def test_predictor_file_is_read_once(predictor):
  again = landmark_predictor.load_predictor(
    landmark_predictor._installed_file()
  )
  assert again.args[0] is predictor.args[0]


@pytest.fixture(scope="module")
def portraits(data_folder):
  """(photo, manifest entry) of each photograph with known contents."""
  folder = pathlib.Path(data_folder) / "photos"
  entries = json.loads((folder / "manifest.json").read_text())["images"]
  return [(reading.read_photo(folder / e["file"]), e) for e in entries]


@pytest.fixture(scope="module", params=["dlib", "haar"])
def detected(request, portraits, predictor):
  return [
    (detect_faces(photo, detector=request.param, predictor=predictor), entry)
    for photo, entry in portraits
  ]


def test_every_portrait_has_one_face(detected):
  assert {entry["file"]: len(faces) for faces, entry in detected} == {
    entry["file"]: 1 for _, entry in detected
  }


def test_landmarks_agree_with_those_placed_by_hand(detected):
  errors = []
  for (face,), entry in detected:
    if "landmarks68" not in entry:
      continue
    # The manifest counts pixel centres from zero.
    by_hand = np.array(entry["landmarks68"]) + 0.5
    indices = tuple(entry["landmarks68_reliable_idx"])
    errors.append(
      landmarks.normalized_mean_error(face.landmarks, by_hand, indices)
    )
  assert len(errors) == 7
  # Measured 1.9-3.1 %, mean 2.3 %.
  assert max(errors) < 0.04
  assert np.mean(errors) < 0.028


def test_squares_of_boxes_are_near_those_of_landmarks(detected):
  sides, shifts = [], []
  for (face,), _ in detected:
    by_box = alignment.box_square(face.box, face.detector)
    sides.append(by_box.side / face.square.side)
    shifts.append((by_box.center - face.square.center) / face.square.side)
  # Measured: sides 0.87-1.17 with mean 1.00-1.03, shifts up to 0.04 with mean
  # below 0.01.
  assert min(sides) > 0.82
  assert max(sides) < 1.22
  assert abs(np.mean(sides) - 1) < 0.05
  assert np.abs(shifts).max() < 0.06
  assert np.abs(np.mean(shifts, axis=0)).max() < 0.015
