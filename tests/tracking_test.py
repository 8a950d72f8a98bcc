"""Videos, the tracker, and codes without jitter."""

import cv2
import jax.numpy as jnp
import numpy as np
import pytest

from facerec_jax import code_smoothing
from facerec_jax import reconstruction
from facerec_jax import video_tracking
from facerec_jax.face import code_vector
from facerec_jax.photos import alignment
from facerec_jax.photos import detection
from facerec_jax.photos import tracking
from facerec_jax.photos import video
from facerec_jax.results import video_file
from tests import fake_model

LAYOUT = code_vector.CodeLayout(5, 4, 3)


def write_video(path, frames, rate=20.0):
  with video_file.VideoFile(path, rate=rate) as film:
    for frame in frames:
      film.add(frame)
  return path


def ramp(count, height=64, width=96):
  """Frames that grow lighter, redder than blue."""
  return [
    np.full((height, width, 3), [40 + 4 * k, 30, 20], np.uint8)
    for k in range(count)
  ]


def test_video_comes_back(tmp_path):
  path = write_video(tmp_path / "a.mp4", ramp(12, 65, 97))
  with video.Video(path) as film:
    frames = list(film.frames())
    assert film.rate == 20
  assert len(frames) == 12
  np.testing.assert_allclose([f.time for f in frames], np.arange(12) / 20)
  assert frames[0].image.shape == (64, 96, 3)
  red = [f.image[..., 0].mean() for f in frames]
  np.testing.assert_allclose(red, 40 + 4 * np.arange(12), atol=4)
  assert all(f.image[..., 2].mean() < 30 for f in frames)


@pytest.mark.parametrize(
  "content, message",
  (
    (None, "no such file"),
    (b"", "the file is empty"),
    (b"no video at all" * 50, "no frame can be decoded"),
  ),
)
def test_bad_video(tmp_path, content, message):
  path = tmp_path / "bad.mp4"
  if content is not None:
    path.write_bytes(content)
  with pytest.raises(video.VideoError, match=f"bad.mp4: {message}"):
    video.Video(path)


def test_half_a_video_and_other_sources(tmp_path):
  whole = write_video(tmp_path / "a.mp4", ramp(12)).read_bytes()
  half = tmp_path / "half.mp4"
  half.write_bytes(whole[: len(whole) // 2])
  with pytest.raises(video.VideoError, match="half.mp4: no frame can be"):
    video.Video(half)
  with pytest.raises(video.VideoError, match="got a folder, wanted a video"):
    video.Video(tmp_path)
  with pytest.raises(video.VideoError, match="no camera number, such as"):
    video.Video("webcam:front")
  with pytest.raises(video.VideoError, match="the camera gives no picture"):
    video.Video("webcam:97")
  tiny = write_video(tmp_path / "tiny.mp4", ramp(3, 20, 30))
  with (
    video.Video(tiny) as film,
    pytest.raises(video.VideoError, match="30 x 20 pixels are too few"),
  ):
    list(film.frames())


def picture(center, side=80.0, seed=0, size=(200, 260)):
  """A patch of texture on grey, and its landmarks; it stands for a face."""
  rng = np.random.default_rng(seed)
  patch = cv2.resize(rng.integers(0, 255, (8, 8, 3)).astype(np.uint8), (80, 80))
  scale = side / 80
  corner = np.array(center) - side / 2
  matrix = np.array([[scale, 0, corner[0]], [0, scale, corner[1]]])
  image = cv2.warpAffine(patch, matrix, size[::-1], borderValue=(90, 90, 90))
  return image, landmarks_at(center, side)


def landmarks_at(center, side):
  layout = np.random.default_rng(9).uniform(-0.25, 0.25, (68, 2))
  layout -= layout[17:].mean(axis=0)
  return np.array(center) + side * layout


class Scene:
  """What detector and predictor see: the face where it is, or nothing."""

  def __init__(self, monkeypatch):
    self.truth = None
    self.searches = 0
    monkeypatch.setattr(detection, "detect_faces", self.detect)

  def detect(self, image, *, detector, predictor):
    del image, detector
    self.searches += 1
    if self.truth is None:
      return []
    points = self.truth
    box = (*points.min(axis=0), *np.ptp(points, axis=0))
    return [detection.Face(box, 1.0, "dlib", points if predictor else None)]

  def predict(self, image, square):
    """Finds the face if asked near it; else what a predictor then says."""
    del image
    if self.truth is not None:
      right = alignment.landmark_square(self.truth)
      if np.linalg.norm(square.center - right.center) < 0.4 * right.side:
        return self.truth
    return landmarks_at(square.center, 60.0)


def test_detector_is_asked_only_when_the_face_is_lost(monkeypatch):
  scene = Scene(monkeypatch)
  tracker = tracking.Tracker(predictor=scene.predict)
  statuses, squares = [], []
  for step in range(16):
    gone = 6 <= step < 9
    seed = 1 if step >= 12 else 0  # A cut to somebody else.
    image, points = picture((60 + 6 * step, 90), 80 + step, seed)
    scene.truth = None if gone else points
    image = np.full_like(image, 90) if gone else image
    status, face = tracker.find(image)
    statuses.append(status.value)
    if not gone:
      squares.append(face.square.center - face.landmarks[17:].mean(axis=0))
  wanted = ["detected", *["tracked"] * 5, *["lost"] * 3]
  wanted += ["detected", *["tracked"] * 2, "detected", *["tracked"] * 3]
  assert statuses == wanted
  assert scene.searches == tracker.num_searches == 6
  np.testing.assert_allclose(squares, 0, atol=1e-6)


def test_without_predictor_the_reconstruction_leads(monkeypatch):
  scene = Scene(monkeypatch)
  tracker = tracking.Tracker()
  for step in range(6):
    image, scene.truth = picture((80 + 3 * step, 90))
    status, face = tracker.find(image)
    assert face.landmarks is None
    tracker.confirm(scene.truth, None)
  assert status is tracking.Status.TRACKED and scene.searches == 1
  center = scene.truth[17:].mean(axis=0)
  # One frame behind.
  np.testing.assert_allclose(face.square.center, center - [3, 0], atol=0.1)


def test_reconstruction_beside_the_landmarks_ends_tracking(monkeypatch):
  scene = Scene(monkeypatch)
  tracker = tracking.Tracker(predictor=scene.predict)
  image, scene.truth = picture((100, 90))
  for error in (0.05, 0.9, 0.05):
    tracker.find(image)
    tracker.confirm(scene.truth, error)
  assert scene.searches == 2


def test_nearest_of_several_faces_is_taken_up_again(monkeypatch):
  scene = Scene(monkeypatch)
  tracker = tracking.Tracker(predictor=scene.predict)
  image, scene.truth = picture((60, 90))
  tracker.find(image)
  near, far = (detection.Face((x, 50, 80, 80), 1.0, "dlib") for x in (30, 170))
  monkeypatch.setattr(detection, "detect_faces", lambda *_, **__: [far, near])
  status, face = tracker.find(np.full_like(image, 90))
  assert status is tracking.Status.DETECTED and face is near


def placed(time=0.0, side=100.0, center=(150.0, 120.0), **groups):
  """A face that moves to the right; its square need not follow it."""
  code = LAYOUT.neutral().replace(
    translation=jnp.array([10.0 + 40 * time, 5.0, -700.0]),
    rotation=jnp.array([0.1, 0.2, -0.1]),
    **groups,
  )
  return code_smoothing.Placed(alignment.Square(np.array(center), side), code)


def project(model, shown):
  return reconstruction.project_landmarks(model, shown.code, shown.square)


def test_smoothing_leaves_a_steady_face_alone():
  smooth = code_smoothing.CodeSmoother(code_smoothing.Options())
  for step in range(5):
    result = smooth(step / 25, placed())
  for name in code_vector.GROUPS:
    np.testing.assert_allclose(
      getattr(result.code, name),
      getattr(placed().code, name),
      rtol=1e-5,
      atol=1e-5,
    )
  np.testing.assert_allclose(result.square.center, placed().square.center)
  np.testing.assert_allclose(result.square.side, placed().square.side)


def test_place_does_not_depend_on_the_square():
  """The same face in a square that trembles: nothing moves in the frame."""
  model = fake_model.make(num_rings=4)
  rng = np.random.default_rng(0)
  smooth = code_smoothing.CodeSmoother(code_smoothing.Options())
  still = placed()
  wanted = project(model, still)
  for step in range(12):
    center = still.square.center + rng.normal(0, 3, 2)
    side = still.square.side * np.exp(rng.normal(0, 0.03))
    # The translation that the same face has in the other square: same scale
    # (side / depth) and same origin in the frame.
    x, y, z = np.asarray(still.code.translation, float)
    depth = z * side / still.square.side
    focal = 0.5 / np.tan(np.radians(11))
    scale = side * focal / -depth
    origin = still.square.center + scale * np.array([x, -y])
    x, y = (origin - center) / scale
    code = still.code.replace(translation=np.array([x, -y, depth], np.float32))
    square = alignment.Square(center, side)
    result = smooth(step / 25, code_smoothing.Placed(square, code))
    # What is left: the perspective changes a little with the square.
    points = project(model, result)
    assert np.abs(points - wanted).max() < 0.8


def test_smoothing_quietens_noise_and_averages_identity():
  model = fake_model.make(num_rings=4)
  rng = np.random.default_rng(1)
  smooth = code_smoothing.CodeSmoother(code_smoothing.Options())
  raw, quiet, identities = [], [], []
  for step in range(60):
    noisy = placed(step / 25, identity=jnp.asarray(rng.normal(size=5)))
    noise = rng.normal(0, [0.5, 0.5, 5])
    code = noisy.code.replace(translation=noisy.code.translation + noise)
    noisy = noisy._replace(code=code)
    result = smooth(step / 25, noisy)
    raw.append(project(model, noisy))
    quiet.append(project(model, result))
    identities.append(np.asarray(code.identity))
  np.testing.assert_allclose(
    result.code.identity, np.mean(identities, axis=0), atol=1e-5
  )
  raw, quiet = (video_tracking.jitter(np.array(p)[20:]) for p in (raw, quiet))
  assert quiet < 0.5 * raw


def test_jitter_is_the_noise():
  rng = np.random.default_rng(0)
  points = np.zeros((400, 68, 2)) + rng.uniform(0, 100, (68, 2))
  points[:, 36], points[:, 45] = [0, 0], [80, 0]
  # Steady motion is none.
  points += np.arange(400)[:, None, None]
  assert video_tracking.jitter(points) < 1e-12
  noisy = points + rng.normal(0, 0.8, points.shape)
  np.testing.assert_allclose(video_tracking.jitter(noisy), 0.01, rtol=0.05)
  assert np.isnan(video_tracking.jitter(np.full((9, 68, 2), np.nan)))
