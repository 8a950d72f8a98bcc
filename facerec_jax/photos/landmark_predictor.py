"""dlib's 68-point predictor: where its file is, and how it is asked."""

from __future__ import annotations

from collections.abc import Callable
import functools
import importlib.metadata
import os
import pathlib

from absl import logging
import numpy as np

from facerec_jax.face import landmarks as landmark_points
from facerec_jax.photos import alignment

PACKAGE = "face_recognition_models"
FILE_NAME = "shape_predictor_68_face_landmarks.dat"
# The predictor reads single pixels: it is asked on a crop in which the
# detector's box has this many, so that large faces do not alias and small ones
# get points finer than their pixels.
BOX_PIXELS = 300

# (photo [H, W, 3] uint8, square of the face) -> [68, 2] pixels.
Predictor = Callable[[np.ndarray, alignment.Square], np.ndarray]


def load_predictor(path: str | os.PathLike | None = None) -> Predictor | None:
  """The landmark predictor, or None (and a message) where there is none.

  Args:
    path: of a 68-point shape predictor of dlib; None takes the one of the
      package `face_recognition_models`, if that is installed.

  Raises:
    ValueError: the file is missing, damaged or has other points.
  """
  path = find(path)
  if path is None:
    _say_what_is_lost()
    return None
  return functools.partial(_predict, _load(os.path.abspath(path)))


def find(path: str | os.PathLike | None = None) -> pathlib.Path | None:
  """The file that `load_predictor` reads, or None where there is none.

  Raises:
    ValueError: the named file is missing.
  """
  if path is None:
    return _installed_file()
  if not os.path.isfile(path):
    raise ValueError(f"{path}: no such landmark model; see --landmark_model")
  return pathlib.Path(path)


@functools.cache  # Once is enough.
def _say_what_is_lost() -> None:
  logging.warning(
    "No landmark predictor: faces are aligned by the detector's box (less "
    "steady), crops are not masked, results hold no detected_landmarks68. To "
    "have them: pip install 'facerec_jax[landmarks]', or --landmark_model=PATH "
    "of dlib's %s.",
    FILE_NAME,
  )


def _installed_file() -> pathlib.Path | None:
  """The predictor's file in its package, which cannot be imported any more."""
  try:
    files = importlib.metadata.files(PACKAGE) or ()
  except importlib.metadata.PackageNotFoundError:
    return None
  paths = (pathlib.Path(f.locate()) for f in files if f.name == FILE_NAME)
  return next((path for path in paths if path.is_file()), None)


@functools.lru_cache(maxsize=2)
def _load(path: str):
  """The predictor of a file: 100 MB, so it is read once."""
  import dlib

  try:
    predictor = dlib.shape_predictor(path)
  except (RuntimeError, MemoryError) as error:
    raise ValueError(
      f"{path}: damaged, or not a shape predictor of dlib; download it again "
      "or pip install 'facerec_jax[landmarks]'"
    ) from error
  blank = np.zeros((8, 8, 3), np.uint8)
  found = predictor(blank, dlib.rectangle(0, 0, 7, 7)).num_parts
  if found != landmark_points.NUM_LANDMARKS:
    raise ValueError(
      f"{path}: a landmark model of {found} points, wanted "
      f"{landmark_points.NUM_LANDMARKS} ({FILE_NAME})"
    )
  return predictor


def _predict(
  predictor, photo: np.ndarray, square: alignment.Square
) -> np.ndarray:
  """Asks dlib on a crop that holds its box at a fixed place and size."""
  import dlib

  left, top, width, _ = alignment.square_box(square, "dlib")
  center = np.array([left, top]) + width / 2
  size = 2 * BOX_PIXELS
  view = alignment.Square(center, 2 * width)
  image = alignment.crop(photo, view, size)
  image = np.round(image * 255).astype(np.uint8)
  first, last = BOX_PIXELS // 2, BOX_PIXELS // 2 + BOX_PIXELS - 1
  shape = predictor(image, dlib.rectangle(first, first, last, last))
  # dlib's pixel centres lie at integers.
  points = [(part.x + 0.5, part.y + 0.5) for part in shape.parts()]
  return alignment.from_crop(np.array(points), view, size)
