"""Faces in photographs: dlib's HOG detector and OpenCV's Haar cascade."""

from __future__ import annotations

import dataclasses
import functools

import cv2
import numpy as np

from facerec_jax.photos import alignment
from facerec_jax.photos.landmark_predictor import Predictor
from facerec_jax.photos.reading import check_photo

DETECTORS = ("auto", "dlib", "haar")
# Photographs are searched at this length of their longer side, px: dlib's
# smallest face of 80 px is then a twentieth of the photograph, in 0.2 s.
WORKING_SIDE = 1600
# Small photographs are enlarged, but not beyond what they can show.
MAX_ENLARGEMENT = 2.0
# Portraits score 1.1-3.2, very dark or blurred ones 0.2-2.5; false faces of
# enlarged photographs score up to 0.13.
MIN_DLIB_SCORE = 0.3
# Rectangles that agree before the cascade believes in a face, and the weight
# of its last stage: squeezed or half-covered faces that dlib misses have
# 2.8-7.3, single lips and noses less.
HAAR_NEIGHBOURS = 5
MIN_HAAR_SCORE = 2.5
# As small as dlib can: below it the cascade mostly sees faces in textures.
MIN_HAAR_SIDE = 80
# Boxes of one face share this part of the smaller one.
DUPLICATE_OVERLAP = 0.5


@dataclasses.dataclass(frozen=True, eq=False)
class Face:
  """A face in a photograph.

  Attributes:
    box: (left, top, width, height), pixels of the upright photograph.
    score: the detector's own confidence; not comparable between detectors.
    detector: "dlib", "haar", or "none" for a box that no detector gave and
      that is the square to crop.
    landmarks: [68, 2] pixels, or None without a landmark predictor.
  """

  box: tuple[float, float, float, float]
  score: float
  detector: str
  landmarks: np.ndarray | None = None

  @property
  def square(self) -> alignment.Square:
    """What is cropped for the encoder: by landmarks, or else by the box."""
    if self.landmarks is None:
      return alignment.box_square(self.box, self.detector)
    return alignment.landmark_square(self.landmarks)


def detect_faces(
  photo: np.ndarray,
  *,
  detector: str = "auto",
  predictor: Predictor | None = None,
) -> list[Face]:
  """Finds the faces of a photograph.

  Args:
    photo: [H, W, 3] uint8 sRGB.
    detector: "dlib", "haar", or "auto": the cascade where dlib finds nothing.
    predictor: of the landmarks, see `landmark_predictor.load_predictor`.

  Returns:
    The faces, largest box first; empty if there is none.

  Raises:
    ValueError: an unknown detector, or an array of another kind.
  """
  if detector not in DETECTORS:
    raise ValueError(f"detector must be one of {DETECTORS}, got {detector!r}")
  check_photo(photo)
  small = _working_photo(photo)
  faces = []
  if detector != "haar":
    faces = _detect_dlib(small)
  if detector == "haar" or (detector == "auto" and not faces):
    faces = _detect_haar(small)
  faces = _merge_duplicates(faces)
  scale = np.divide(photo.shape[1::-1], small.shape[1::-1])
  faces = [_complete(face, photo, scale, predictor) for face in faces]
  return sorted(faces, key=lambda face: -face.box[2] * face.box[3])


def _working_photo(photo: np.ndarray) -> np.ndarray:
  """The photograph at the size at which it is searched."""
  height, width = photo.shape[:2]
  scale = min(WORKING_SIDE / max(height, width), MAX_ENLARGEMENT)
  size = (max(round(width * scale), 1), max(round(height * scale), 1))
  method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
  return cv2.resize(photo, size, interpolation=method)


@functools.cache
def _dlib_detector():
  import dlib

  return dlib.get_frontal_face_detector()


def _detect_dlib(photo: np.ndarray) -> list[Face]:
  # Arguments: no further enlargement, score threshold.
  boxes, scores, _ = _dlib_detector().run(photo, 0, MIN_DLIB_SCORE)
  return [
    Face((box.left(), box.top(), box.width(), box.height()), score, "dlib")
    for box, score in zip(boxes, scores, strict=True)
  ]


@functools.cache
def _haar_cascade() -> cv2.CascadeClassifier:
  return cv2.CascadeClassifier(
    cv2.data.haarcascades + "haarcascade_frontalface_default.xml"
  )


def _detect_haar(photo: np.ndarray) -> list[Face]:
  boxes, _, scores = _haar_cascade().detectMultiScale3(
    cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY),
    scaleFactor=1.1,
    minNeighbors=HAAR_NEIGHBOURS,
    minSize=(MIN_HAAR_SIDE, MIN_HAAR_SIDE),
    outputRejectLevels=True,
  )
  return [
    Face(tuple(map(float, box)), float(score), "haar")
    for box, score in zip(boxes, np.ravel(scores), strict=True)
    if score >= MIN_HAAR_SCORE
  ]


def _overlap(first, second) -> float:
  """Shared area of two boxes as a part of the smaller one."""
  sides = [
    min(first[i] + first[i + 2], second[i] + second[i + 2])
    - max(first[i], second[i])
    for i in (0, 1)
  ]
  shared = max(sides[0], 0) * max(sides[1], 0)
  return shared / min(first[2] * first[3], second[2] * second[3])


def _merge_duplicates(faces: list[Face]) -> list[Face]:
  """Of boxes that overlap, the one of the highest score."""
  kept = []
  for face in sorted(faces, key=lambda face: -face.score):
    if all(_overlap(face.box, k.box) < DUPLICATE_OVERLAP for k in kept):
      kept.append(face)
  return kept


def _complete(
  face: Face,
  photo: np.ndarray,
  scale: np.ndarray,
  predictor: Predictor | None,
) -> Face:
  """A face of the working photo in pixels of the photo, with landmarks.

  The edges of a box of pixels need no shift: the detectors name its first
  pixel, whose left edge has the same number in our coordinates.
  """
  box = tuple(float(x) for x in np.multiply(face.box, [*scale, *scale]))
  face = dataclasses.replace(face, box=box)
  if predictor is None:
    return face
  return dataclasses.replace(face, landmarks=predictor(photo, face.square))
