"""Rigid registration of points to a surface; scale is never touched."""

from __future__ import annotations

import numpy as np

from judges import surfaces

# Farther points than this do not pull: times the median distance, and mm.
_TRIM, _LEAST_TRIM = 3.0, 2.0
_COARSE_STEPS = 8


def rigid_motion(source, target, weights=None):
  """Kabsch: rotation R and translation t with target ~ source R^T + t.

  Args:
    source: [n, 3].
    target: [n, 3].
    weights: [n] of the squared distances, or None for equal ones.

  Returns:
    ([3, 3], [3]).
  """
  weights = np.ones(len(source)) if weights is None else weights
  weights = weights / weights.sum()
  from_center, to_center = weights @ source, weights @ target
  covariance = (target - to_center).T @ (
    weights[:, None] * (source - from_center)
  )
  u, _, vt = np.linalg.svd(covariance)
  u[:, 2] *= np.sign(np.linalg.det(u @ vt))
  rotation = u @ vt
  return rotation, to_center - rotation @ from_center


def register(
  points, surface: surfaces.Surface, region, start, *, steps: int = 20
):
  """Moves points rigidly onto a surface: trimmed iterated closest points.

  Points pull to their nearest points first, then to the tangent planes there,
  which lets them slide: it converges where the former creeps.

  Args:
    points: [n, 3].
    surface: to move them to.
    region: function of [n, 3] in the surface's frame: which points count,
      [n] bool. It is asked again for the first steps, then kept.
    start: (R, t) to start from.
    steps: number of steps.

  Returns:
    (R [3, 3], t [3], counted [n] bool).
  """
  rotation, translation = start
  counted = None
  for step in range(steps):
    moved = points @ rotation.T + translation
    coarse = step < _COARSE_STEPS
    if coarse:
      counted = region(moved)
    moved = moved[counted]
    # Half a sample's spacing off at first, when points are farther off anyway.
    contact = (surface.nearest_samples if coarse else surface.nearest)(moved)
    distance = np.linalg.norm(contact.position - moved, axis=1)
    trim = max(_TRIM * np.median(distance), _LEAST_TRIM)
    weight = 1.0 * (distance < trim)
    if coarse:
      turn, shift = rigid_motion(moved, contact.position, weight)
    else:
      normals = surface.normals_at(contact)
      turn, shift = _plane_step(moved, contact.position, normals, weight)
    rotation, translation = turn @ rotation, turn @ translation + shift
  return rotation, translation, counted


def motion_jacobian(points, normals) -> np.ndarray:
  """[n, 6] how rotation vector and shift change heights along normals."""
  return np.hstack([np.cross(points, normals), normals])


def _plane_step(points, positions, normals, weight):
  """The small motion that brings points nearest to tangent planes."""
  height = ((positions - points) * normals).sum(axis=1)
  jacobian = motion_jacobian(points, normals)
  system = jacobian.T @ (jacobian * weight[:, None]) + 1e-6 * np.eye(6)
  change = np.linalg.solve(system, jacobian.T @ (weight * height))
  return rotation_matrix(change[:3]), change[3:]


def rotation_matrix(vector) -> np.ndarray:
  """Rotation matrix [3, 3] of a rotation vector [3] (Rodrigues)."""
  angle = np.linalg.norm(vector)
  x, y, z = vector / max(angle, 1e-12)
  cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
  return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
