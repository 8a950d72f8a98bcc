"""From the frames of a video to codes, and their files."""

from __future__ import annotations

import csv
import dataclasses
import pathlib

import jax
import jax.numpy as jnp
import numpy as np

from facerec_jax import code_smoothing
from facerec_jax import reconstruction
from facerec_jax import refining
from facerec_jax.face import code_vector
from facerec_jax.face import landmarks
from facerec_jax.photos import alignment
from facerec_jax.photos import tracking
from facerec_jax.photos import video
from facerec_jax.render import color
from facerec_jax.render import geometry
from facerec_jax.render import renderer

# Side of the rendering that is laid over a frame, px, and what it shows, in
# sides of the square.
_OVERLAY_SIZE = 320
_OVERLAY_SIDES = 1.5
# Rows of the overlay video; larger frames are shrunk.
_MAX_ROWS = 540


@dataclasses.dataclass(frozen=True, eq=False)
class TrackedFrame:
  """What was read from a frame; without a face only time and status.

  Attributes:
    time: seconds.
    status: how the face was found.
    raw: code as read, and its square.
    smooth: code and square without jitter.
    raw_landmarks: [68, 2] points of the raw code, pixels of the frame.
    smooth_landmarks: [68, 2].
  """

  time: float
  status: tracking.Status
  raw: code_smoothing.Placed | None = None
  smooth: code_smoothing.Placed | None = None
  raw_landmarks: np.ndarray | None = None
  smooth_landmarks: np.ndarray | None = None


class FaceReader:
  """Reads the codes of one face from frame after frame.

  Attributes:
    tracker: that finds the face.
  """

  def __init__(
    self,
    encoder: reconstruction.Encoder,
    tracker: tracking.Tracker,
    smoother: code_smoothing.CodeSmoother | None,
    refiner: refining.Refiner | None = None,
  ):
    """Starts without a past.

    Args:
      encoder: a trained one.
      tracker: of the face.
      smoother: of the codes, or None.
      refiner: that fits the code of each frame, or None.
    """
    self._encoder = encoder
    self._smoother = smoother
    self._refiner = refiner
    self.tracker = tracker

  def read(self, frame: video.Frame) -> TrackedFrame:
    """Reads the next frame.

    Raises:
      ValueError: the encoder's answer is not finite.
    """
    status, face = self.tracker.find(frame.image)
    if face is None:
      if self._smoother:
        self._smoother.reset()
      return TrackedFrame(frame.time, status)
    result = reconstruction.reconstruct(
      self._encoder, frame.image, face, refiner=self._refiner
    )
    self.tracker.confirm(result.landmarks, result.landmark_error)
    code = jax.tree.map(np.asarray, result.code)
    raw = smooth = code_smoothing.Placed(face.square, code)
    if self._smoother:
      if status is tracking.Status.DETECTED:
        self._smoother.reset()
      smooth = self._smoother(frame.time, raw)
    return TrackedFrame(
      frame.time,
      status,
      raw,
      smooth,
      raw_landmarks=result.landmarks,
      smooth_landmarks=reconstruction.project_landmarks(
        self._encoder.model, smooth.code, smooth.square
      ),
    )


def draw(model, frame: video.Frame, tracked: TrackedFrame) -> np.ndarray:
  """The frame, and beside it the face laid over it, [H, 2 W, 3] uint8."""
  image = frame.image
  scale = min(1.0, _MAX_ROWS / image.shape[0])
  if scale < 1:
    image = alignment.shrink(image, scale)
  shown = image
  if tracked.smooth is not None:
    square = tracked.smooth.square
    small = alignment.Square(scale * square.center, scale * square.side)
    small = alignment.Square(small.center, _OVERLAY_SIDES * small.side)
    picture = np.asarray(_render(model, tracked.smooth.code))
    shown = alignment.paste(image, picture, small)
  return np.hstack([image, shown])


@jax.jit
def _render(model, code):
  """The face in sRGB times coverage, and its coverage, [P, P, 4]."""
  camera = geometry.reference_camera(_OVERLAY_SIZE)
  camera = camera.replace(focal=camera.focal / _OVERLAY_SIDES)
  full = renderer.render(
    model, camera, code, height=_OVERLAY_SIZE, width=_OVERLAY_SIZE
  )
  share = full.coverage[..., None]
  return jnp.concatenate(
    [color.linear_to_srgb(full.image) * share, share], axis=-1
  )


def jitter(points: np.ndarray) -> float:
  """How much landmarks tremble.

  The root mean square of their second differences from frame to frame, in
  outer-canthal distances, divided by sqrt(6): the standard deviation of
  independent noise that trembles as much.

  Args:
    points: [F, 68, 2] of successive frames; NaN where there is no face.

  Returns:
    0.01 is one percent; NaN without three successive frames.
  """
  inner = points[:, landmarks.INNER[0] :]
  second = inner[:-2] - 2 * inner[1:-1] + inner[2:]
  first, last = landmarks.OUTER_CANTHI
  width = np.linalg.norm(points[:, first] - points[:, last], axis=-1)
  relative = (second**2).sum(axis=(1, 2)) / (2 * inner.shape[1])
  relative = np.sqrt(relative / 6) / width[1:-1]
  known = relative[np.isfinite(relative)]
  return float(np.sqrt((known**2).mean())) if len(known) else float("nan")


def stack(frames: list[TrackedFrame], layout) -> dict[str, np.ndarray]:
  """Arrays of a track, one row a frame; NaN where there is no face."""
  arrays = {
    "time": np.array([frame.time for frame in frames]),
    "status": np.array([frame.status.value for frame in frames]),
  }
  for kind in ("raw", "smooth"):
    placed = [getattr(frame, kind) for frame in frames]
    points = [getattr(frame, f"{kind}_landmarks") for frame in frames]
    arrays[f"{kind}_landmarks68"] = _rows(points, (68, 2))
    squares = [p and np.append(p.square.center, p.square.side) for p in placed]
    arrays[f"{kind}_square"] = _rows(squares, (3,))
    neutral = layout.neutral()
    for name in code_vector.GROUPS:
      shape = np.shape(getattr(neutral, name))
      arrays[f"{kind}_{name}"] = _rows(
        [p and getattr(p.code, name) for p in placed], shape
      )
  return arrays


def _rows(values, shape):
  table = np.full((len(values), *shape), np.nan, np.float32)
  for index, value in enumerate(values):
    if value is not None:
      table[index] = value
  return table


def write_table(path: pathlib.Path, arrays, expression_names) -> None:
  """Writes smoothed pose and expression as CSV, a line a frame."""
  expressions = arrays["smooth_expression"]
  count = expressions.shape[1]
  names = expression_names or [f"expression_{k}" for k in range(count)]
  angles = [f"{name}_degrees" for name in ("pitch", "yaw", "roll")]
  square = ["center_column", "center_row", "side"]
  head = ["frame", "time", "status", *square, *angles, *names[:count]]
  values = np.concatenate(
    [
      arrays["smooth_square"],
      np.degrees(arrays["smooth_rotation"]),
      expressions,
    ],
    axis=1,
  )
  with path.open("w", newline="", encoding="utf-8") as stream:
    writer = csv.writer(stream)
    writer.writerow(head)
    for index, row in enumerate(values):
      cells = ["" if np.isnan(x) else f"{x:.5g}" for x in row]
      time, status = arrays["time"][index], arrays["status"][index]
      writer.writerow([index, f"{time:.3f}", status, *cells])
