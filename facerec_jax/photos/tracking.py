"""One face through the frames of a video.

The detector searches a frame only where tracking has lost the face. Else the
face is where it was in the frame before: landmarks are found around the last
square, or, without a predictor, the square follows the points of the
reconstruction.
"""

from __future__ import annotations

import enum

import cv2
import numpy as np

from facerec_jax.photos import alignment
from facerec_jax.photos import detection
from facerec_jax.photos import landmark_predictor

# Side of the patch by which a face is recognised in the next frame, px, and
# least correlation with it (between the faces of two people about 0.5).
_PATCH = 48
_MIN_CORRELATION = 0.7
# Largest change of the square from frame to frame: ratio of the sides, and
# shift in sides.
_MAX_GROWTH = 1.35
_MAX_SHIFT = 0.5
# A landmark error (outer-canthal distances) at which a reconstruction shows
# something else than the landmarks: no face any more.
_MAX_LANDMARK_ERROR = 0.4


class Status(enum.StrEnum):
  """How the face of a frame was found."""

  DETECTED = "detected"
  TRACKED = "tracked"
  LOST = "lost"


class Tracker:
  """Finds the same face in frame after frame.

  Attributes:
    num_searches: frames that the detector searched.
  """

  def __init__(
    self,
    *,
    detector: str = "auto",
    predictor: landmark_predictor.Predictor | None = None,
  ):
    """Starts without a face.

    Args:
      detector: as for `detection.detect_faces`.
      predictor: of landmarks, or None.
    """
    self._detector = detector
    self._predictor = predictor
    self._square = None
    self._patch = None
    self._image = None
    self.num_searches = 0

  def find(self, image: np.ndarray) -> tuple[Status, detection.Face | None]:
    """Finds the face in the next frame.

    Args:
      image: [H, W, 3] uint8.

    Returns:
      How, and the face; (LOST, None) if there is none.
    """
    self._image = image
    if self._patch is not None:
      face = self._follow(image)
      patch = _patch(image, face.square)
      if self._is_same(image, face.square, patch):
        self._square, self._patch = face.square, patch
        return Status.TRACKED, face
    face = self._search(image)
    if face is None:
      self._patch = None
      return Status.LOST, None
    self._square = face.square
    self._patch = _patch(image, face.square)
    return Status.DETECTED, face

  def confirm(self, points: np.ndarray, error: float | None) -> None:
    """Takes note of what was reconstructed from the last face.

    Args:
      points: [68, 2] landmarks of the reconstruction, pixels.
      error: their mean distance from the detected ones, in outer-canthal
        distances; None without detected ones, when the points lead.
    """
    if error is None:
      self._square = alignment.landmark_square(points)
      self._patch = _patch(self._image, self._square)
    elif error > _MAX_LANDMARK_ERROR:
      self._patch = None

  def _follow(self, image):
    square, points = self._square, None
    if self._predictor is not None:
      # Twice: the first answer places the second question.
      for _ in range(2):
        points = self._predictor(image, square)
        square = alignment.landmark_square(points)
    box = alignment.square_box(square, "none")
    return detection.Face(box, 1.0, "none", points)

  def _is_same(self, image, square, patch):
    height, width = image.shape[:2]
    growth = square.side / self._square.side
    shift = np.linalg.norm(square.center - self._square.center)
    return (
      1 / _MAX_GROWTH < growth < _MAX_GROWTH
      and shift < _MAX_SHIFT * self._square.side
      and bool((square.center > 0).all())
      and bool((square.center < [width, height]).all())
      and _correlation(patch, self._patch) > _MIN_CORRELATION
    )

  def _search(self, image):
    self.num_searches += 1
    faces = detection.detect_faces(
      image, detector=self._detector, predictor=self._predictor
    )
    if self._square is None or not faces:
      return faces[0] if faces else None

    def distance(face):
      return np.linalg.norm(face.square.center - self._square.center)

    return min(faces, key=distance)


def _patch(image, square):
  """The face as a small grey picture, without surroundings."""
  inner = alignment.Square(square.center, 0.6 * square.side)
  small = alignment.crop(image, inner, _PATCH)
  return cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)


def _correlation(first, second):
  answer = cv2.matchTemplate(first, second, cv2.TM_CCOEFF_NORMED)
  return float(np.nan_to_num(answer[0, 0], posinf=0.0, neginf=0.0))
