"""Closest points on triangle meshes, by place and by direction of surface."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import spatial


class Places(NamedTuple):
  """Points on a mesh.

  Attributes:
    triangle: [n] index.
    weights: [n, 3] barycentric coordinates.
    points: [n, 3].
    normals: [n, 3] unit normals, smooth as those of the vertices.
  """

  triangle: np.ndarray
  weights: np.ndarray
  points: np.ndarray
  normals: np.ndarray


def vertex_normals(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
  """[V, 3] unit normals, weighted by area."""
  face = _face_normals(points, triangles)
  total = np.zeros(points.shape)
  for corner in range(3):
    for axis in range(3):
      total[:, axis] += np.bincount(
        triangles[:, corner], face[:, axis], len(points)
      )
  return unit(total)


def _face_normals(points, triangles):
  a, b, c = (points[triangles[:, k]] for k in range(3))
  return np.cross(b - a, c - a)


def unit(vectors: np.ndarray) -> np.ndarray:
  """The vectors [..., 3] with length 1 (0 stays 0)."""
  length = np.linalg.norm(vectors, axis=-1, keepdims=True)
  return vectors / np.maximum(length, 1e-12)


class Surface:
  """A mesh to find closest points on.

  Args:
    points: [V, 3] mm.
    triangles: [T, 3].
    spacing: mm between the samples by which candidates are found.
    turn: mm that a surface turned by one radian counts as farther away; 0
      leaves directions out.
    candidates: nearest samples whose triangles are examined exactly.
  """

  def __init__(
    self, points, triangles, *, spacing=2.0, turn=10.0, candidates=8
  ):
    self._points, self._triangles = np.asarray(points, float), triangles
    self._turn = turn
    self._normals = vertex_normals(self._points, triangles)
    owner, weights = _samples(self._points, triangles, spacing)
    self._owner = owner
    self._candidates = min(candidates, len(owner))
    corners = triangles[owner]
    places = _mean(self._points[corners], weights)
    normals = unit(_mean(self._normals[corners], weights))
    self._tree = spatial.cKDTree(self._key(places, normals))

  def _key(self, points, normals):
    return np.hstack([points, self._turn * normals])

  def closest(self, points, normals=None) -> Places:
    """The closest point of the mesh to each of some points.

    Args:
      points: [n, 3] mm.
      normals: [n, 3] of the surface that the points are of; None needs `turn`
        to be 0.
    """
    points = np.asarray(points, float)
    normals = np.zeros_like(points) if normals is None else normals
    count = self._candidates
    index = self._tree.query(self._key(points, normals), count)[1]
    candidate = self._owner[index.reshape(len(points), count)]
    corners = self._points[self._triangles[candidate]]
    flat = np.repeat(points, count, axis=0)
    weights = closest_weights(flat, corners.reshape(-1, 3, 3))
    weights = weights.reshape(len(points), count, 3)
    found = _mean(corners, weights)
    smooth = unit(_mean(self._normals[self._triangles[candidate]], weights))
    distance = ((found - points[:, None]) ** 2).sum(axis=-1)
    turned = ((smooth - normals[:, None]) ** 2).sum(axis=-1)
    cost = distance + self._turn**2 * turned
    best = (np.arange(len(points)), cost.argmin(axis=1))
    return Places(candidate[best], weights[best], found[best], smooth[best])


def _mean(corners, weights):
  """Barycentric means [..., 3] of corners [..., 3, 3]."""
  return (corners * weights[..., None]).sum(axis=-2)


def _samples(points, triangles, spacing):
  """(triangle [n], barycentric coordinates [n, 3]): even, seeded."""
  area = 0.5 * np.linalg.norm(_face_normals(points, triangles), axis=1)
  count = np.maximum(1, np.round(area / spacing**2)).astype(int)
  # A damaged mesh may have one huge triangle.
  count = np.minimum(count, 200)
  owner = np.repeat(np.arange(len(triangles)), count)
  s, t = np.random.default_rng(0).uniform(size=(2, len(owner)))
  beyond = s + t > 1
  s, t = np.where(beyond, 1 - s, s), np.where(beyond, 1 - t, t)
  weights = np.stack([1 - s - t, s, t], axis=1)
  weights[count[owner] == 1] = 1 / 3
  return owner, weights


def closest_weights(points: np.ndarray, corners: np.ndarray) -> np.ndarray:
  """Barycentric coordinates of the closest points of triangles.

  The regions of Ericson, Real-Time Collision Detection, 2005, 5.1.5, solved
  by trying the inside and the three edges.

  Args:
    points: [n, 3].
    corners: [n, 3, 3], one triangle for each point.

  Returns:
    [n, 3].
  """
  a = corners[:, 0]
  ab, ac, ap = corners[:, 1] - a, corners[:, 2] - a, points - a
  bb, bc, cc = _dot(ab, ab), _dot(ab, ac), _dot(ac, ac)
  pb, pc = _dot(ap, ab), _dot(ap, ac)
  det = bb * cc - bc * bc
  safe = np.where(det > 1e-12 * np.maximum(bb * cc, 1e-30), det, np.inf)
  v, w = (cc * pb - bc * pc) / safe, (bb * pc - bc * pb) / safe
  inside = np.stack([1 - v - w, v, w], axis=1)
  options = [_on_edge(points, corners, k) for k in range(3)]
  distances = np.stack([_distance(points, corners, o) for o in options], axis=1)
  best = np.stack(options, axis=1)[
    np.arange(len(points)), distances.argmin(axis=1)
  ]
  within = (inside >= 0).all(axis=1) & np.isfinite(safe)
  return np.where(within[:, None], inside, best)


def _on_edge(points, corners, k):
  start, end = corners[:, k], corners[:, (k + 1) % 3]
  edge = end - start
  share = _dot(points - start, edge) / np.maximum(_dot(edge, edge), 1e-30)
  share = np.clip(share, 0, 1)
  weights = np.zeros((len(points), 3))
  weights[:, k], weights[:, (k + 1) % 3] = 1 - share, share
  return weights


def _distance(points, corners, weights):
  return (((corners * weights[..., None]).sum(axis=1) - points) ** 2).sum(
    axis=1
  )


def _dot(a, b):
  return (a * b).sum(axis=-1)
