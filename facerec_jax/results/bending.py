"""A smooth bend of the plane that carries points to where they belong."""

from __future__ import annotations

import numpy as np

from facerec_jax.face import landmarks

# Stiffness: 0 meets every point exactly; in units of the mean squared distance
# of the points.
_STIFFNESS = 1e-3


def displacement(
  points: np.ndarray, offsets: np.ndarray, places: np.ndarray
) -> np.ndarray:
  """Offsets of landmarks carried over to other places.

  A thin-plate spline (Bookstein 1989) through points 17-67; detectors and
  models disagree on the jaw line. Beyond the points it stays as it is at their
  border: nothing is extrapolated.

  Args:
    points: [68, 2] px.
    offsets: [68, 2] px.
    places: [n, 2] px.

  Returns:
    [n, 2] px.
  """
  inner = np.asarray(landmarks.INNER)
  points = np.asarray(points, np.float64)[inner]
  offsets = np.asarray(offsets, np.float64)[inner]
  center, spread = points.mean(axis=0), points.std()
  unit = (points - center) / spread
  count = len(unit)
  system = np.zeros((count + 3, count + 3))
  system[:count, :count] = _kernel(unit, unit) + _STIFFNESS * np.eye(count)
  system[:count, count:] = _affine(unit)
  system[count:, :count] = _affine(unit).T
  weights = np.linalg.solve(system, np.pad(offsets, ((0, 3), (0, 0))))
  wanted = _within((places - center) / spread, unit)
  return np.hstack([_kernel(wanted, unit), _affine(wanted)]) @ weights


def _kernel(first, second):
  square = ((first[:, None] - second) ** 2).sum(axis=-1)
  return 0.5 * square * np.log(np.maximum(square, 1e-12))


def _affine(places):
  return np.hstack([np.ones((len(places), 1)), places])


def _within(places, points):
  """Places, drawn into the ellipse around the points."""
  radius = 1.15 * np.abs(points).max(axis=0)
  distance = np.linalg.norm(places / radius, axis=1, keepdims=True)
  return places / np.maximum(distance, 1.0)
