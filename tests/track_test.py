"""The command on a film of a face that is made, moved, and hidden."""

import csv
import json

from absl import flags
from absl.testing import flagsaver
import cv2
import numpy as np
import pytest

from facerec_jax import app
from facerec_jax import refining
from facerec_jax import track
from facerec_jax.results import video_file
from tests import reconstruct_test as scenes

RATE = 25.0
COUNT = 12
HIDDEN = (6, 7)


@pytest.fixture(scope="module")
def film(tmp_path_factory):
  """A film, and the true landmarks of its frames."""
  model = scenes.fake_model.make(num_rings=8)
  code = scenes.framed_code(model)
  square = scenes.alignment.Square(np.array([150.0, 120.0]), 150.0)
  photo, points = scenes.photograph(model, code, square, 240, 320)
  path = tmp_path_factory.mktemp("film") / "film.mp4"
  truths = []
  with video_file.VideoFile(path, rate=RATE) as out:
    for index in range(COUNT):
      shift = np.array([2.0 * index, 0.0])
      matrix = np.array([[1, 0, shift[0]], [0, 1, shift[1]]])
      image = cv2.warpAffine(
        photo, matrix, (320, 240), borderMode=cv2.BORDER_REPLICATE
      )
      hidden = index in HIDDEN
      out.add(np.full_like(image, 128) if hidden else image)
      truths.append(None if hidden else points + shift)
  return model, code, path, truths


def run(monkeypatch, film, output, **values):
  model, code, path, truths = film
  upcoming = iter(truths)

  def find(tracker, image):
    del image
    points = next(upcoming)
    if points is None:
      return track.tracking.Status.LOST, None
    tracker.num_searches += 1
    return track.tracking.Status.DETECTED, scenes.make_face(points)

  monkeypatch.setattr(track.tracking.Tracker, "find", find)
  monkeypatch.setattr(track.photo_flags, "load_predictor", lambda: None)
  monkeypatch.setattr(
    track.trained_encoder,
    "load",
    lambda workdir: scenes.make_encoder(model, code),
  )
  if not flags.FLAGS.is_parsed():
    flags.FLAGS(["test"])
  values = {"checkpoint": ".", "input": str(path)} | values
  with flagsaver.flagsaver(output=str(output), **values):
    track.main()


def read_video(path):
  capture = cv2.VideoCapture(str(path))
  frames = []
  while (answer := capture.read())[0]:
    frames.append(answer[1][..., ::-1])
  return np.array(frames).astype(int)


def test_film_becomes_codes(tmp_path, monkeypatch, film, capsys):
  run(monkeypatch, film, tmp_path)
  assert f"{COUNT - 2} of {COUNT} frames" in capsys.readouterr().out
  model, code, _, truths = film
  arrays = np.load(tmp_path / "codes.npz")
  seen = np.array([points is not None for points in truths])
  assert (arrays["status"][seen] == "detected").all()
  assert (arrays["status"][~seen] == "lost").all()
  np.testing.assert_allclose(arrays["time"], np.arange(COUNT) / RATE)
  for kind in ("raw", "smooth"):
    for name in ("identity", "expression", "rotation", "illumination"):
      values = arrays[f"{kind}_{name}"]
      wanted = np.broadcast_to(getattr(code, name), values[seen].shape)
      np.testing.assert_allclose(values[seen], wanted, atol=1e-5)
      assert np.isnan(values[~seen]).all()
  truth = np.array([points for points in truths if points is not None])
  np.testing.assert_allclose(arrays["raw_landmarks68"][seen], truth, atol=0.2)
  with (tmp_path / "codes.csv").open() as stream:
    rows = list(csv.DictReader(stream))
  assert len(rows) == COUNT
  yaw = float(np.degrees(code.rotation[1]))
  np.testing.assert_allclose(float(rows[3]["yaw_degrees"]), yaw, rtol=1e-3)
  assert rows[6]["status"] == "lost" and rows[6]["expression_0"] == ""
  summary = json.loads((tmp_path / "summary.json").read_text())
  assert summary["status"] == {"detected": COUNT - 2, "lost": 2}
  pictures = read_video(tmp_path / "overlay.mp4")
  assert pictures.shape == (COUNT, 240, 640, 3)
  left, right = pictures[:, :, :320], pictures[:, :, 320:]
  # The face hides behind its own reconstruction, up to compression.
  assert np.abs(left[0] - right[0]).mean() < 3
  assert np.abs(left[0] - left[5]).mean() > 1
  del model


def test_limits_and_no_overlay(tmp_path, monkeypatch, film):
  run(monkeypatch, film, tmp_path, max_frames=3, overlay=False, smooth=False)
  assert not (tmp_path / "overlay.mp4").exists()
  assert len(np.load(tmp_path / "codes.npz")["time"]) == 3


def test_each_frame_is_refined(tmp_path, monkeypatch, film):
  places = []

  def create(encoder, steps, *, film):
    assert film

    def refine(photo, face, flat):
      places.append(face.landmarks[30, 0])
      assert photo.shape == (240, 320, 3) and steps == 5
      code = encoder.layout.unflatten(flat)
      code = code.replace(expression=0 * code.expression + 0.25)
      return refining.Outcome(encoder.layout.flatten(code), 0.4, {})

    return refine

  monkeypatch.setattr(track.refining, "create", create)
  run(monkeypatch, film, tmp_path, max_frames=4, overlay=False, refine=5)
  np.testing.assert_allclose(np.diff(places), 2.0, atol=1e-6)
  arrays = np.load(tmp_path / "codes.npz")
  np.testing.assert_allclose(arrays["raw_expression"], 0.25, atol=1e-6)


def test_an_interruption_keeps_what_is_done(tmp_path, monkeypatch, film):
  answers = iter([False, False, True])

  def draw(model, frame, tracked):
    del model, tracked
    if next(answers):
      raise KeyboardInterrupt
    return frame.image

  monkeypatch.setattr(track.video_tracking, "draw", draw)
  run(monkeypatch, film, tmp_path)
  assert len(np.load(tmp_path / "codes.npz")["time"]) == 3
  assert len(read_video(tmp_path / "overlay.mp4")) == 2


def test_film_without_a_face_is_a_failure(tmp_path, monkeypatch, film):
  model, code, path, truths = film
  nobody = (model, code, path, [None] * len(truths))
  with pytest.raises(app.WorkError, match="film.mp4: no frame shows a face"):
    run(monkeypatch, nobody, tmp_path)
  assert len(np.load(tmp_path / "codes.npz")["time"]) == COUNT


@pytest.mark.parametrize(
  "changes, message",
  (
    ({"input": "nothing.mp4"}, "nothing.mp4: no such file"),
    ({"min_cutoff": 0.0}, "one-euro filter: got min_cutoff 0.0"),
    ({"input": None}, "--input is missing"),
  ),
)
def test_usage_errors(tmp_path, monkeypatch, film, changes, message):
  with pytest.raises(app.UsageError, match=message):
    run(monkeypatch, film, tmp_path, **changes)


def test_overlay_needs_its_library(tmp_path, monkeypatch, film):
  monkeypatch.setitem(__import__("sys").modules, "av", None)
  with pytest.raises(app.UsageError, match="pip install 'facerec_jax.video"):
    run(monkeypatch, film, tmp_path)
