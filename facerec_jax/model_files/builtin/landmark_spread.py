"""Spreads motions of the 68 landmarks over the skin of the head.

Sums of Gaussians in the opened chart, where distances lead around the mouth's
slit: the upper lip knows nothing of the lower one but by way of the corners.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from facerec_jax.model_files.builtin import chart
from facerec_jax.model_files.builtin import landmark_places

# How far a landmark's motion spreads over the skin, mm (standard deviation).
_SPREAD = np.concatenate(
  [
    np.full(17, 22.0),
    np.full(10, 14.0),
    np.full(9, 7.5),
    np.full(12, 5.0),
    [13.0, 10.0, 8.0, 8.0, 8.0, 10.0, 13.0, 10.0, 8.0, 8.0, 8.0, 10.0],
    np.full(8, 5.5),
  ]
)
_RIDGE = 2e-3
# Beside the mouth corners, where no landmark is, the skin follows them less and
# less: (outward, up) mm in the chart, share of the corner's motion.
_GUARDS = (
  ((10.0, 0.0), 0.75),
  ((8.0, 9.0), 0.7),
  ((8.0, -9.0), 0.7),
  ((19.0, 6.0), 0.4),
  ((19.0, -6.0), 0.4),
)
_GUARD_WEIGHT = 0.3
_ON_VERTEX = 0.3  # mm
# Each round halves, at least, what contacts have taken from the landmarks.
_ROUNDS = 12


class LandmarkSpread:
  """What depends on the mesh alone.

  Attributes:
    to_skin: [n, 68] displacement of the skin in amplitudes.
    solve: [68, 68] amplitudes in displacements of the landmarks.
    corners: [68, 3] vertices of the triangle around each landmark.
    shares: [68, 3] barycentric coordinates in it.
  """

  def __init__(self, mesh):
    places = landmark_places.anatomical()
    guards, shares = _guards(places)
    all_places = np.vstack([places, guards])
    at_marks = chart.bump(slit_distance(all_places, places), _SPREAD)
    wanted = np.vstack([np.eye(68), shares])
    weight = np.r_[np.ones(68), np.full(len(guards), _GUARD_WEIGHT)] ** 2
    system = (at_marks.T * weight) @ at_marks + _RIDGE * np.eye(68)
    self.solve = np.linalg.solve(system, (at_marks.T * weight) @ wanted)
    self.to_skin = chart.bump(slit_distance(mesh.opened, places), _SPREAD)
    self.corners, self.shares = locate(mesh, places)

  def __call__(self, displacement) -> np.ndarray:
    """[68, 3] of the landmarks -> [n, 3] of the skin, approximately."""
    return self.to_skin @ (self.solve @ displacement)

  def at_landmarks(self, skin) -> np.ndarray:
    """[n, 3] of the skin -> [68, 3] at the anatomical landmarks."""
    return (self.shares[..., None] * skin[self.corners]).sum(axis=1)

  def fit(self, target, start, constrain, rounds=_ROUNDS) -> np.ndarray:
    """A field that takes the landmarks where wanted and keeps to constraints.

    Args:
      target: [68, 3] displacement of the landmarks.
      start: [n, 3] what is there besides.
      constrain: function of a field [n, 3] that returns the nearest allowed
        one.
      rounds: each comes nearer to the target and is less smooth.

    Returns:
      [n, 3].
    """
    skin = constrain(start)
    for _ in range(rounds):
      lack = target - self.at_landmarks(skin)
      skin = constrain(skin + self(lack))
    return skin


def _guards(places):
  """Places [g, 2] beside the corners; motion [g, 68] in the landmarks'."""
  offsets = np.array([offset for offset, _ in _GUARDS])
  found, rows = [], np.zeros((2 * len(_GUARDS), 68))
  for side, corner in ((-1, 48), (1, 54)):
    start = len(found) * len(_GUARDS)
    found.append(places[corner] + offsets * [side, 1])
    rows[start : start + len(_GUARDS), corner] = [share for _, share in _GUARDS]
  return np.vstack(found), rows


def slit_distance(first, second) -> np.ndarray:
  """[n, m] distances in the opened chart; across the slit, around a corner."""
  direct = np.linalg.norm(first[:, None] - second[None], axis=-1)
  corner = chart.MOUTH_CORNER
  around = np.minimum(
    *(
      np.linalg.norm(first - corner * [side, 1], axis=1)[:, None]
      + np.linalg.norm(second - corner * [side, 1], axis=1)
      for side in (-1, 1)
    )
  )
  a = (first[:, 1] - chart.mouth_height(first[:, 0]))[:, None]
  b = second[:, 1] - chart.mouth_height(second[:, 0])
  across = (a >= 0) != (b >= 0)
  share = np.where(across, a / np.where(across, a - b, 1.0), 0.0)
  u = first[:, :1] + share * (second[:, 0] - first[:, :1])
  return np.where(across & (np.abs(u) < corner[0]), around, direct)


def locate(mesh, places) -> tuple[np.ndarray, np.ndarray]:
  """Triangle corners [m, 3] and barycentric coordinates [m, 3] of places.

  A place next to a vertex is that vertex: on the seam's edge the triangle
  around it may be another lip's.
  """
  a, b, c = (mesh.opened[mesh.triangles[:, k]] for k in range(3))
  d, e = b - a, c - a
  area = d[:, 0] * e[:, 1] - d[:, 1] * e[:, 0]
  offset = places[:, None] - a
  s = (offset[..., 0] * e[:, 1] - offset[..., 1] * e[:, 0]) / area
  t = (d[:, 0] * offset[..., 1] - d[:, 1] * offset[..., 0]) / area
  shares = np.stack([1 - s - t, s, t], axis=-1)
  best = shares.min(axis=-1).argmax(axis=1)
  found = np.clip(shares[np.arange(len(places)), best], 0.0, None)
  found /= found.sum(axis=1, keepdims=True)
  corners = mesh.triangles[best]
  distance, vertex = cKDTree(mesh.opened).query(places)
  close = distance < _ON_VERTEX
  corners[close], found[close] = vertex[close, None], [1.0, 0.0, 0.0]
  return corners, found
