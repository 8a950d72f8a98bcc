"""The linear albedo model: how colour follows people's factors.

A mode is the regression of the colours of sampled people on one factor of
`people.FACTORS`, in that order: random codes then mix what random people mix,
and a mode has a meaning. Principal components of what the factors' sums leave
follow.
"""

from __future__ import annotations

import numpy as np

from facerec_jax.model_files.builtin import painting
from facerec_jax.model_files.builtin import people

NUM_RESIDUAL = 12
NUM_MODES = len(people.FACTORS) + NUM_RESIDUAL
_PEOPLE = 450
# Small parts that matter: their vertices weigh more in the components.
_EYE_WEIGHT = 2.5


def basis(sculpture) -> tuple[np.ndarray, np.ndarray]:
  """Mean and modes.

  Returns:
    ([V, 3] linear RGB, [V, 3, NUM_MODES] per standard deviation).
  """
  factors, colors = sampled_people(sculpture, _PEOPLE, seed=21)
  mean, named = _regression(factors, colors.reshape(_PEOPLE, -1))
  rest = colors.reshape(_PEOPLE, -1) - mean - factors @ named
  weight = np.repeat(_weights(sculpture), 3)
  modes = np.vstack([named, _components(rest, weight, NUM_RESIDUAL)])
  shape = colors.shape[1:]
  mean = mean.reshape(shape)
  # Hairs and marks lie where chance put them; the mean face has no side.
  size, mirror = len(sculpture.head), sculpture.mesh.mirror
  mean[:size] = 0.5 * (mean[:size] + mean[mirror])
  return mean, modes.T.reshape(*shape, NUM_MODES)


def sampled_people(sculpture, count: int, *, seed: int):
  """Random people: ([count, F] factors, [count, V, 3] linear RGB)."""
  factors = people.draw(np.random.default_rng(seed), count)
  painter = painting.Painter(sculpture)
  colors = [painter.paint(people.person(values)) for values in factors]
  return factors.astype(np.float32), np.stack(colors).astype(np.float32)


def _regression(factors, colors):
  """Least squares: (colour of the mean person, step per factor)."""
  known = np.column_stack([np.ones(len(factors)), factors])
  solution = np.linalg.pinv(known) @ colors
  return solution[0], solution[1:]


def _components(rest, weight, count):
  """Principal components, [count, n], scaled to one standard deviation."""
  weighted = rest * weight.astype(np.float32)
  _, vector = np.linalg.eigh(weighted @ weighted.T)
  # Scores of unit variance over the people; the modes regress colour on them.
  scores = vector[:, ::-1][:, :count] * np.sqrt(len(rest))
  modes = scores.T @ rest / len(rest)
  top = np.abs(modes).argmax(axis=1)
  return modes * np.sign(modes[np.arange(count), top])[:, None]


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
