"""Smooth random changes of shape that the named modes leave out.

A Gaussian process along the (smoothed) normal: motion along the skin is what
the named modes are for. Its length scale is short around eyes, nose and mouth
and long on cheeks and forehead. The process is conditioned on having no part
in the named modes or in rigid motion and on changing no measure, and its
leading principal components are the modes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from facerec_jax.model_files.builtin import chart
from facerec_jax.model_files.builtin import eyes
from facerec_jax.model_files.builtin import identity_fields
from facerec_jax.model_files.builtin import identity_modes


class Process(NamedTuple):
  """Hyper-parameters, chosen by how well few modes fit scanned faces.

  Attributes:
    broad: length scale of the slow part, mm.
    far: length scale of the local part on cheeks and forehead, mm.
    near: the same around the features.
    slow_share: amplitude of the slow part relative to the local one's.
  """

  broad: float = 38.0
  far: float = 18.0
  near: float = 10.0
  slow_share: float = 1.5


PROCESS = Process()
_SUPPORT = 450  # points of one half that the process is solved on
_RANK = 280
_MIRROR = np.array([-1.0, 1.0, 1.0])
# Conditions that symmetry fulfils are rounding errors below 1e-5; others are
# larger than 0.5. Taken for conditions, they would make other modes on other
# processors.
_FULFILLED = 1e-2
# Where the local part is short: place and half widths, mm.
_FEATURES = (
  ((0, -36, 14), (17, 20, 24)),
  ((10, -44, 8), (13, 10, 16)),
  ((0, -70, 8), (27, 15, 20)),
  ((31, -4, -12), (21, 15, 20)),
  ((0, -104, 0), (18, 12, 20)),
)


def smooth_modes(
  sculpture, others, changes, region, count, process=PROCESS
) -> np.ndarray:
  """Leading modes, alike on both sides; of unit size within the process.

  Args:
    sculpture: the mean.
    others: [V, 3, k] fields that the modes have no part in.
    changes: `identity_measures.Changes` of measures that they do not change.
    region: [r] vertices of the skin where the modes are told apart.
    count: how many.
    process: hyper-parameters.

  Returns:
    [V, 3, count] mm.
  """
  raw = sculpture.carry(_draws(sculpture, process))
  conditions = np.concatenate(
    [
      np.einsum("vck,vcr->kr", others[region], raw[region], optimize=True),
      changes(raw),
    ]
  )
  size = np.linalg.norm(conditions, axis=1)
  kept = size > _FULFILLED
  conditions = conditions[kept] / size[kept, None]
  # Draws with weights in the null space fulfil the conditions.
  _, size, rows = np.linalg.svd(conditions, full_matrices=True)
  free = rows[(size > 1e-9 * size[0]).sum() :]
  raw = raw @ free.T
  weight = np.sqrt(identity_fields.vertex_areas(sculpture)[region])[
    :, None, None
  ]
  flat = (weight * raw[region]).reshape(-1, raw.shape[-1])
  _, mix = np.linalg.eigh(flat.T @ flat)
  modes = raw @ mix[:, ::-1][:, :count]
  # A fixed sign: the largest entry of one side is positive (both sides' are
  # alike, or opposite).
  half = modes[sculpture.points[:, 0] >= 0].reshape(-1, count)
  top = np.abs(half).argmax(axis=0)
  return modes * np.sign(half[top, np.arange(count)])


def _draws(sculpture, process):
  """[n, 3, r] fields whose N(0, 1) combinations are draws of the process."""
  points = sculpture.head
  front = np.flatnonzero(
    (points[:, 2] > -110) & (points[:, 1] > -125) & (points[:, 0] >= 0)
  )
  random = np.random.default_rng(3)
  support = points[random.choice(front, _SUPPORT, replace=False)]
  value, vector = np.linalg.eigh(_kernel(support, support, process))
  keep = np.argsort(value)[::-1][:_RANK]
  value, vector = value[keep], vector[:, keep]
  valid = value > 1e-7 * value[0]
  heights = _kernel(points, support, process) @ (
    vector[:, valid] / np.sqrt(value[valid])
  )
  normals = identity_fields.skin_of(sculpture).normals
  fields = heights[:, None] * normals[..., None]
  rule = identity_modes.LID_RULE
  return eyes.follow_lids(fields, points, sculpture.mesh, **rule)


def _kernel(a, b, process):
  """Covariance of heights, alike on both sides.

  k(a, b) + k(a, mirrored b), divided by its spread, which would be larger on
  the midline than beside it.
  """
  both = _one_sided(a, b, process) + _one_sided(a, b * _MIRROR, process)
  spread_a, spread_b = (
    _fade(p) / np.sqrt(1 + _with_mirror_image(p, process)) for p in (a, b)
  )
  return both * np.outer(spread_a, spread_b)


def _with_mirror_image(points, process):
  """[n] correlation of each point with its mirror image, before folding."""
  square = (2 * points[:, 0]) ** 2
  slow = process.slow_share**2
  local = np.exp(-0.5 * square / _lengths(points, process) ** 2)
  total = slow * np.exp(-0.5 * square / process.broad**2) + local
  return total / (slow + 1)


def _one_sided(a, b, process):
  square = ((a[:, None] - b[None]) ** 2).sum(-1)
  slow = process.slow_share**2 * np.exp(-0.5 * square / process.broad**2)
  length_a, length_b = _lengths(a, process), _lengths(b, process)
  # Gibbs' kernel in the two dimensions of the skin.
  mean_square = 0.5 * (length_a[:, None] ** 2 + length_b[None] ** 2)
  local = length_a[:, None] * length_b[None] / mean_square
  return slow + local * np.exp(-0.5 * square / mean_square)


def _lengths(points, process):
  """[n] length scale of the local part, mm."""
  return process.far + (process.near - process.far) * _feature(points)


def _fade(points):
  """[n] 1 on the face, 0 on crown, ears and neck."""
  _, y, z = points.T
  front = chart.smoothstep(-86, -54, z)
  return front * chart.smoothstep(66, 36, y) * chart.smoothstep(-127, -110, y)


def _feature(points):
  """[n] 1 on eyes, nose, mouth and chin, 0 away from them."""
  folded = np.abs(points) * [1, 0, 0] + points * [0, 1, 1]
  away = np.stack(
    [
      np.linalg.norm((folded - np.array(c)) / np.array(w, float), axis=1)
      for c, w in _FEATURES
    ]
  ).min(axis=0)
  return 1 - chart.smoothstep(0.6, 1.5, away)
