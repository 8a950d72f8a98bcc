"""The linear albedo model: principal components of sampled people."""

from __future__ import annotations

import numpy as np

from facerec_jax.model_files.builtin import identity
from facerec_jax.model_files.builtin import painting
from facerec_jax.model_files.builtin import people

NUM_MODES = 60
_PEOPLE = 800
# Small parts that matter: their vertices weigh more in the components.
_EYE_WEIGHT = 2.5
# Skin tones lie on a curve, which one component follows on one side only: no
# component but the first may take more than this share of a colour channel of
# the median skin at _FAR standard deviations, lest skin turn orange.
_LARGEST_SHARE, _FAR = 0.3, 2.7


def basis(sculpture) -> tuple[np.ndarray, np.ndarray]:
  """Mean and components.

  Returns:
    ([V, 3] linear RGB, [V, 3, NUM_MODES] per standard deviation).
  """
  random = np.random.default_rng(21)
  painter = painting.Painter(sculpture)
  colors = np.stack(
    [painter.paint(people.sample(random)) for _ in range(_PEOPLE)]
  ).astype(np.float32)
  mean = colors.mean(axis=0)
  difference = (colors - mean).reshape(_PEOPLE, -1)
  weight = np.repeat(_weights(sculpture), 3).astype(np.float32)
  weighted = difference * weight
  value, vector = np.linalg.eigh(weighted @ weighted.T)
  # Scores of unit variance over the people; the modes regress colour on them.
  scores = vector[:, ::-1][:, :NUM_MODES] * np.sqrt(_PEOPLE)
  modes = difference.T @ scores / _PEOPLE
  top = np.abs(modes).argmax(axis=0)
  modes = modes * np.sign(modes[top, np.arange(NUM_MODES)])
  return mean, _tamed(modes.reshape(*mean.shape, NUM_MODES), mean, sculpture)


def _tamed(modes, mean, sculpture):
  skin = identity.face_region(sculpture.head)
  share = np.abs(modes[: len(skin)][skin]) / mean[: len(skin)][skin, :, None]
  share = _FAR * np.median(share, axis=0).max(axis=0)
  scale = np.minimum(1.0, _LARGEST_SHARE / np.maximum(share, 1e-6))
  scale[0] = 1.0
  return modes * scale


def _weights(sculpture):
  """Root of the share that a vertex has in what one sees."""
  points = sculpture.points
  weight = np.where(points[:, 2] > -75, 1.0, 0.35)
  for part, where in zip(sculpture.parts, sculpture.part_slices, strict=True):
    if part.name.endswith("_eye"):
      weight[where] = _EYE_WEIGHT
    elif part.name in ("mouth_interior", "teeth"):
      weight[where] = 0.1
  return weight
