"""People in photographs, for scripts that measure on them."""

from __future__ import annotations

import pathlib

import numpy as np

from facerec_jax import app
from facerec_jax.photos import detection
from facerec_jax.photos import landmark_predictor
from facerec_jax.photos import reading


def largest_faces(
  folder: pathlib.Path,
) -> list[tuple[np.ndarray, detection.Face]]:
  """Photographs and their largest faces with dlib's landmarks.

  Raises:
    UsageError: dlib's landmark predictor is not installed.
  """
  predictor = landmark_predictor.load_predictor()
  if predictor is None:
    raise app.UsageError("needs dlib's landmark predictor, extra 'landmarks'")
  found = []
  for path in reading.list_photos(folder):
    photo = reading.read_photo(path)
    seen = detection.detect_faces(photo, predictor=predictor)
    found += [(photo, face) for face in seen[:1]]
  return found
