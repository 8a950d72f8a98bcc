"""Refined readings of rendered faces, whose landmarks a detector would find."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from facerec_jax import refining
from facerec_jax.face import landmarks as landmark_points
from facerec_jax.photos import alignment

# dlib's points lie so far from hand-placed ones on average, share of the
# outer-canthal distance.
DETECTOR_ERROR = 0.03
# Mean length of a vector of two standard normal numbers: sqrt(pi / 2).
_MEAN_LENGTH = 1.2533


def disturb(
  points, rng: np.random.Generator, error: float = DETECTOR_ERROR
) -> np.ndarray:
  """Moves landmarks as far as a detector errs.

  Args:
    points: [N, 68, 2] px.
    rng: randomness.
    error: mean distance, share of each face's outer-canthal distance.

  Returns:
    [N, 68, 2] float32.
  """
  points = np.array(points, np.float64)
  left, right = landmark_points.OUTER_CANTHI
  width = np.linalg.norm(points[:, left] - points[:, right], axis=-1)
  spread = error / _MEAN_LENGTH * width
  points += spread[:, None, None] * rng.normal(size=points.shape)
  return points.astype(np.float32)


def refine(
  refiner: refining.Refiner,
  images: Sequence[np.ndarray],
  points,
  read,
  *,
  seed: int = 0,
) -> np.ndarray:
  """Fits what was read of rendered faces to their images.

  Args:
    refiner: fits.
    images: N of [S, S, 3] sRGB in [0, 1], as the encoder saw them.
    points: [N, 68, 2] true landmarks, px; a detector's are made of them.
    read: [N, D] what the encoder answered.
    seed: of the detector's mistakes.

  Returns:
    [N, D] codes.
  """
  points = disturb(points, np.random.default_rng(seed))
  refined = []
  for image, detected, flat in zip(images, points, read, strict=True):
    size = image.shape[0]
    square = alignment.Square(np.full(2, size / 2), float(size))
    picture = np.round(255 * np.asarray(image)).astype(np.uint8)
    refined.append(refiner.fit(picture, square, detected, flat).flat)
  return np.stack(refined)
