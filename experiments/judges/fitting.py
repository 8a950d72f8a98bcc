"""Fits a model's identity modes to target points, with a rigid motion.

Gauss-Newton on point-to-plane residuals with a Gaussian prior of the
coefficients; correspondences are found anew in each step.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from judges import registration
from judges import surfaces

_STEPS = 8
# The data weigh as much as this many points with errors of 1 mm standard
# deviation, whatever their number: neighbouring points are not independent.
_EFFECTIVE_POINTS = 400.0
_FARTHEST = 12.0  # mm, of a point that counts
_REACH = 15.0  # mm beyond the region, where triangles may still be met


class Fit(NamedTuple):
  """A fitted face.

  Attributes:
    coefficients: [K] of identity, standard deviations.
    rms: of the distances from the targets to the surface, mm.
  """

  coefficients: np.ndarray
  rms: float


class Fitter:
  """Fits one model to many faces."""

  def __init__(self, model, triangles, region):
    """Takes the skin's triangles [T, 3] and the region as in `register`."""
    self._mean = np.asarray(model.mean, float)
    # Triangles that no target can meet only cost time.
    centers = self._mean[triangles].mean(axis=1)
    reached = region(centers)
    low = centers[reached].min(axis=0) - _REACH
    high = centers[reached].max(axis=0) + _REACH
    near = ((centers > low) & (centers < high)).all(axis=1)
    self._triangles = triangles[near]
    self._basis = np.asarray(model.identity, np.float32)
    self._region = region
    self._surface = surfaces.Surface(self._mean, self._triangles)

  def place(self, points, start):
    """Registers points [n, 3] to the mean face.

    Returns:
      (those that count, in the model's frame [m, 3], rms distance in mm).
    """
    surface = self._surface
    surface.move(self._mean)
    rotation, translation, counted = registration.register(
      points, surface, self._region, start
    )
    points = (points @ rotation.T + translation)[counted]
    return points, _rms(surface, points)

  def fit(self, points, modes: int | None = None) -> Fit:
    """Fits registered points [n, 3] with the first modes (None: all)."""
    basis = self._basis[..., :modes]
    coefficients = np.zeros(basis.shape[-1])
    surface = self._surface
    for _ in range(_STEPS):
      surface.move(self._mean + basis @ coefficients)
      coefficients, points = _step(surface, basis, coefficients, points)
    surface.move(self._mean + basis @ coefficients)
    return Fit(coefficients, _rms(surface, points))


def _rms(surface, points):
  return float(np.sqrt((surface.signed_distance(points) ** 2).mean()))


def _step(surface, basis, coefficients, points):
  """One Gauss-Newton step: moves the surface by modes, the points rigidly."""
  contact = surface.nearest_samples(points)
  normals = surface.normals_at(contact)
  residual = ((points - contact.position) * normals).sum(axis=1)
  corners = basis[surface.triangles[contact.triangle]]
  along = contact.weights[:, :, None] * normals[:, None, :]
  modes = np.einsum("nij,nijk->nk", along.astype(np.float32), corners)
  motion = registration.motion_jacobian(points, normals)
  jacobian = np.hstack([modes, -motion])
  count = len(coefficients)
  weight = _EFFECTIVE_POINTS / len(points) * (np.abs(residual) < _FARTHEST)
  prior = np.concatenate([np.ones(count), np.full(6, 1e-6)])
  system = jacobian.T @ (jacobian * weight[:, None]) + np.diag(prior)
  pull = np.concatenate([coefficients, np.zeros(6)])
  change = np.linalg.solve(system, jacobian.T @ (weight * residual) - pull)
  turn = registration.rotation_matrix(change[count : count + 3])
  moved = points @ turn.T + change[count + 3 :]
  return coefficients + change[:count], moved
