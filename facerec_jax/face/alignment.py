"""Rigid alignment of point sets: shapes are compared without their pose."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def align_rigidly(points, target, weights=None) -> jax.Array:
  """Moves points onto a target by the best rotation and translation (no scale).

  Kabsch's algorithm, least squares.

  Args:
    points: [V, 3].
    target: [V, 3].
    weights: [V] of the squared distances, or None for equal ones.

  Returns:
    [V, 3], the moved points.
  """
  if weights is None:
    weights = jnp.ones_like(points[:, 0])
  weights = weights / jnp.sum(weights)
  center = weights @ points
  target_center = weights @ target
  offsets, target_offsets = points - center, target - target_center
  covariance = jnp.dot(
    (offsets * weights[:, None]).T,
    target_offsets,
    precision=jax.lax.Precision.HIGHEST,
  )
  u, _, vt = jnp.linalg.svd(covariance)
  # A reflection fits better than any rotation where the points are flat.
  sign = jnp.sign(jnp.linalg.det(u @ vt))
  u = u.at[:, 2].multiply(jnp.where(sign == 0, 1.0, sign))
  rotation = jnp.dot(u, vt, precision=jax.lax.Precision.HIGHEST)
  moved = jnp.dot(offsets, rotation, precision=jax.lax.Precision.HIGHEST)
  return moved + target_center
