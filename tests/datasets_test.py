"""Prepared photographs: what is stored, what is read, what fails."""

import io
import json
import os
import pathlib
import subprocess
import sys

import cv2
import numpy as np
from PIL import Image
import pytest

from facerec_jax.photos import alignment
from facerec_jax.photos import datasets
from facerec_jax.photos import detection
from facerec_jax.photos import folders
from facerec_jax.photos import landmark_predictor
from facerec_jax.photos import prepared
from facerec_jax.photos import preparing
from facerec_jax.photos import reading
from tests import commands
from tests import fake_model

_ROOT = pathlib.Path(__file__).parent.parent
SETTINGS = prepared.Settings(image_size=48)


def picture(seed):
  rng = np.random.default_rng(seed)
  small = rng.integers(0, 255, (6, 8, 3), dtype=np.uint8)
  return cv2.resize(small, (160, 120), interpolation=cv2.INTER_CUBIC)


def points_of(photo):
  """A face of fixed layout, placed by the photograph's own content."""
  model = fake_model.make(num_rings=4)
  xy = np.asarray(model.mean[model.landmarks])[:, :2] * [0.35, -0.35]
  return xy + [70 + photo[60, 80, 0] / 25, 45]


def detect(photo, *, detector, predictor):
  """Stands for the detector: a corner of pure red is a photo without face."""
  del detector
  if tuple(photo[0, 0]) == (255, 0, 0):
    return []
  points = points_of(photo)
  low, high = points.min(axis=0), points.max(axis=0)
  marks = None if predictor is None else points
  return [detection.Face((*low, *(high - low)), 1.5, "dlib", marks)]


@pytest.fixture(autouse=True)
def no_detector(monkeypatch):
  monkeypatch.setattr(detection, "detect_faces", detect)
  monkeypatch.setattr(landmark_predictor, "load_predictor", lambda path: object)
  monkeypatch.setattr(landmark_predictor, "find", lambda path=None: path)


def write_folder(folder):
  """Two people with two photographs each, one without, and three bad files."""
  for name, seed in (("ann/1", 1), ("ann/2", 2), ("bob/1", 3), ("bob/2", 4)):
    path = folder / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture(seed)).save(path)
  Image.fromarray(picture(5)).save(folder / "alone.png")
  (folder / "broken.jpg").write_bytes(b"no image")
  nobody = picture(6)
  nobody[0, 0] = (255, 0, 0)
  Image.fromarray(nobody).save(folder / "nobody.png")
  (folder / ".hidden.png").write_bytes(b"")
  (folder / "notes.txt").write_text("no photograph")
  return folder


@pytest.fixture
def outcomes(tmp_path):
  sources = folders.find(write_folder(tmp_path / "in"))
  return preparing.prepare_all(
    sources, SETTINGS, tmp_path / "cache", num_workers=0
  )


def test_labels_and_people_from_folders(tmp_path):
  sources = folders.find(write_folder(tmp_path))
  facts = {s.name: (s.label, s.person) for s in sources}
  assert facts == {
    "alone.png": ("unlabelled", "alone.png"),
    "ann/1.png": ("ann", "ann"),
    "ann/2.png": ("ann", "ann"),
    "bob/1.png": ("bob", "bob"),
    "bob/2.png": ("bob", "bob"),
    "broken.jpg": ("unlabelled", "broken.jpg"),
    "nobody.png": ("unlabelled", "nobody.png"),
  }


def test_pattern_of_the_mug_layout(tmp_path):
  for name in ("001/anger/take001/img_0001.png", "002/fear/take000/x.png"):
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    Image.fromarray(picture(0)).save(path)
  pattern = "^(?P<person>[^/]+)/(?P<label>[^/]+)/"
  sources = folders.find(tmp_path, pattern)
  assert [(s.person, s.label) for s in sources] == [
    ("001", "anger"),
    ("002", "fear"),
  ]


@pytest.mark.parametrize(
  "pattern, message",
  [
    ("(", r"pattern '\(': missing \)"),
    ("(.*)", r"names neither \(\?P<label>...\) nor \(\?P<person>...\)"),
  ],
)
def test_bad_patterns(tmp_path, pattern, message):
  with pytest.raises(ValueError, match=message):
    folders.find(write_folder(tmp_path), pattern)


def test_empty_folder(tmp_path):
  with pytest.raises(reading.PhotoError, match="no photograph in this folder"):
    folders.find(tmp_path)
  with pytest.raises(reading.PhotoError, match="none: no such folder"):
    folders.find(tmp_path / "none")


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.99, 1.0])
def test_people_are_never_split(share):
  people = [f"p{i % 7}" for i in range(40)]
  out = folders.held_out(people, share)
  chosen = {p for p, o in zip(people, out, strict=True) if o}
  assert chosen.isdisjoint(p for p, o in zip(people, out, strict=True) if not o)
  count = round(share * 7)
  assert len(chosen) == (min(max(count, 1), 6) if 0 < share < 1 else count)


def test_the_choice_stays_when_people_are_added():
  few = [f"p{i}" for i in range(20)]
  out = dict(zip(few, folders.held_out(few, 0.5), strict=True))
  many = few + [f"q{i}" for i in range(20)]
  later = dict(zip(many, folders.held_out(many, 0.5), strict=True))
  assert sum(out[p] == later[p] for p in few) >= 14


def test_bad_photographs_are_listed_and_stop_nothing(outcomes):
  fate = {o.source.name: (o.status, o.message) for o in outcomes}
  assert fate["nobody.png"] == ("no face", "no face was found")
  status, message = fate["broken.jpg"]
  assert status == "unreadable" and "not an image of a known format" in message
  done = [name for name, (status, _) in fate.items() if status == "prepared"]
  assert done == [
    "alone.png",
    "ann/1.png",
    "ann/2.png",
    "bob/1.png",
    "bob/2.png",
  ]


def test_an_unexpected_error_is_one_photograph_s(tmp_path, monkeypatch):
  def fails(photo, **options):
    if photo.sum() == picture(1).sum():
      raise RuntimeError("detector\nbroke")
    return detect(photo, **options)

  monkeypatch.setattr(detection, "detect_faces", fails)
  sources = folders.find(write_folder(tmp_path / "in"))
  result = preparing.prepare_all(
    sources, SETTINGS, tmp_path / "cache", num_workers=0
  )
  failed = [o for o in result if o.status == "failed"]
  assert [(o.source.name, o.message) for o in failed] == [
    ("ann/1.png", "detector broke")
  ]


def test_nothing_is_prepared_twice(outcomes, tmp_path, monkeypatch):
  def never(*args, **options):
    raise AssertionError("prepared again")

  monkeypatch.setattr(detection, "detect_faces", never)
  sources = [o.source for o in outcomes]
  again = preparing.prepare_all(
    sources, SETTINGS, tmp_path / "cache", num_workers=0
  )
  assert [o.status for o in again] == [o.status for o in outcomes]
  assert not any(o.is_new for o in again)


def test_a_damaged_cache_is_made_anew(outcomes, tmp_path):
  done = [o for o in outcomes if o.status == "prepared"]
  done[0].file.write_bytes(done[0].file.read_bytes()[:100])
  again = preparing.prepare_all(
    [o.source for o in done], SETTINGS, tmp_path / "cache", num_workers=0
  )
  assert [o.is_new for o in again] == [True] + [False] * (len(done) - 1)


@pytest.mark.parametrize(
  "changes",
  [
    {"image_size": 64},
    {"detector": "haar"},
    {"mean_color": (0.5, 0.4, 0.3)},
  ],
)
def test_settings_are_part_of_the_fingerprint(changes):
  other = prepared.Settings(**{"image_size": 48, **changes})
  assert other.fingerprint() != SETTINGS.fingerprint()


@pytest.mark.parametrize(
  "changes, message",
  [
    ({"image_size": 8}, "image_size is 8, wanted 16 or more"),
    ({"mean_color": (0.1, 2.0, 0.3)}, r"mean_color is .* numbers in \[0, 1\]"),
  ],
)
def test_bad_settings(changes, message):
  with pytest.raises(ValueError, match=message):
    prepared.Settings(**changes)


def test_what_is_written_is_read(outcomes, tmp_path):
  folder = datasets.write(tmp_path / "out", outcomes, SETTINGS)
  photos = datasets.PhotoSet(folder, image_size=48)
  done = [o for o in outcomes if o.status == "prepared"]
  assert photos.files == tuple(o.source.name for o in done)
  assert photos.labels == ("unlabelled", "ann", "ann", "bob", "bob")
  assert photos.people == ("alone.png", "ann", "ann", "bob", "bob")
  batch = photos.batch([2, 0])
  for row, outcome in enumerate((done[2], done[0])):
    photo = reading.read_photo(outcome.source.path)
    points = points_of(photo)
    square = alignment.landmark_square(points)
    expected = alignment.crop(photo, square, 48)
    np.testing.assert_allclose(
      batch.images[row] / 255, expected, atol=0.5 / 254
    )
    np.testing.assert_allclose(
      batch.landmarks[row], alignment.to_crop(points, square, 48), atol=1e-3
    )
    stored = np.array(Image.open(io.BytesIO(prepared.load(outcome.file).mask)))
    np.testing.assert_array_equal(batch.masks[row], stored > 127)
    assert 0.1 < batch.masks[row].mean() < 0.9


def test_another_size_shows_the_same(outcomes, tmp_path):
  folder = datasets.write(tmp_path / "out", outcomes, SETTINGS)
  large = datasets.PhotoSet(folder, image_size=48).batch([0])
  small = datasets.PhotoSet(folder, image_size=24).batch([0])
  assert small.images.shape == (1, 24, 24, 3)
  np.testing.assert_allclose(small.landmarks, large.landmarks / 2, rtol=1e-5)
  blocks = large.images[0].reshape(24, 2, 24, 2, 3).mean(axis=(1, 3))
  # The triangle of the resampling reaches farther than the block.
  assert np.abs(small.images[0] - blocks).mean() < 4
  shares = large.masks[0].reshape(24, 2, 24, 2).mean(axis=(1, 3))
  assert np.abs(small.masks[0] - shares).mean() < 0.06


def test_without_landmarks_nothing_is_masked(tmp_path, monkeypatch):
  monkeypatch.setattr(landmark_predictor, "load_predictor", lambda path: None)
  sources = folders.find(write_folder(tmp_path / "in"))
  result = preparing.prepare_all(
    sources, SETTINGS, tmp_path / "cache", num_workers=0
  )
  folder = datasets.write(tmp_path / "out", result, SETTINGS)
  batch = datasets.PhotoSet(folder, image_size=48).batch([0])
  assert np.isnan(batch.landmarks).all() and batch.masks.all()


def test_mean_color(tmp_path):
  settings = prepared.Settings(image_size=48, mean_color=(0.5, 0.45, 0.4))
  sources = folders.find(write_folder(tmp_path / "in"))
  result = preparing.prepare_all(
    sources, settings, tmp_path / "cache", num_workers=0
  )
  folder = datasets.write(tmp_path / "out", result, settings)
  batch = datasets.PhotoSet(folder, image_size=48).batch([0])
  mean = batch.images[0][batch.masks[0]].mean(axis=0) / 255
  np.testing.assert_allclose(mean, settings.mean_color, atol=0.05)


def test_data_set_needs_no_tensorflow(outcomes, tmp_path):
  """Also a reader who knows nothing of this package can use the files."""
  folder = datasets.write(tmp_path / "out", outcomes, SETTINGS)
  script = f"""
import sys
import tensorflow_datasets as tfds
source = tfds.builder_from_directory({str(folder)!r}).as_data_source("train")
row = source[0]
assert row["image"].shape == (48, 48, 3) and row["image"].dtype == "uint8"
assert row["file"] == b"alone.png" and row["landmarks"].shape == (68, 2)
assert "tensorflow" not in sys.modules
"""
  subprocess.run([sys.executable, "-c", script], check=True)


def test_no_data_set(tmp_path):
  with pytest.raises(
    reading.PhotoError, match="no prepared photographs; make them with"
  ):
    datasets.PhotoSet(tmp_path, image_size=48)


def test_processes_and_a_photograph_that_kills_one(tmp_path):
  """Real processes: the others go on, the bad one is named."""
  script = """
import os, pathlib, sys
from facerec_jax.photos import folders, prepared, preparing

def main():
  sources = folders.find(sys.argv[1])
  result = preparing.prepare_all(
    sources, prepared.Settings(48, "haar"), sys.argv[2], num_workers=2)
  for o in result:
    print(o.source.name, o.status, o.message, sep="|")

real = prepared.read_and_prepare
def deadly(path, settings):
  if pathlib.Path(path).name == "deadly.png":
    os._exit(3)
  return real(path, settings)
prepared.read_and_prepare = deadly
if __name__ == "__main__":
  main()
"""
  photos = tmp_path / "in"
  photos.mkdir()
  for name in ("a", "deadly", "z"):
    Image.fromarray(picture(1)).save(photos / f"{name}.png")
    # Equal files would share one entry of the cache.
    with open(photos / f"{name}.png", "ab") as stream:
      stream.write(name.encode())
  path = tmp_path / "script.py"
  path.write_text(script)
  result = subprocess.run(
    [sys.executable, str(path), str(photos), str(tmp_path / "cache")],
    env={**os.environ, "PYTHONPATH": str(_ROOT)},
    capture_output=True,
    text=True,
    check=True,
  )
  assert result.stdout.splitlines() == [
    "a.png|no face|no face was found",
    "deadly.png|failed|the process that read it died",
    "z.png|no face|no face was found",
  ]


def test_command_on_photographs(tmp_path, data_folder):
  result = commands.run(
    "prepare_photos",
    f"--input={data_folder / 'photos'}",
    f"--output={tmp_path}",
    "--pattern=^(?P<person>(london|canada)_[0-9]+)",
    "--image_size=64",
  )
  assert result.returncode == 0, result.stderr
  assert result.stdout.startswith("14 of 14 photographs (14 new) of 9 people")
  summary = json.loads((tmp_path / "photos.json").read_text())
  assert summary["counts"] == {"prepared": 14}


def test_command_line_errors(tmp_path):
  result = commands.run(
    "prepare_photos", f"--input={tmp_path}", f"--output={tmp_path / 'out'}"
  )
  assert result.returncode == 2
  assert "no photograph in this folder" in result.stderr.splitlines()[-1]
