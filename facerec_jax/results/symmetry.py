"""Which places of a face lie opposite each other."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from facerec_jax.face import morphable_model


class Partners(NamedTuple):
  """The opposite of each vertex: a place in a triangle.

  Attributes:
    corners: [V, 3] vertices.
    weights: [V, 3] barycentric.
  """

  corners: np.ndarray
  weights: np.ndarray


def partners(model: morphable_model.MorphableModel) -> Partners:
  """Finds the places opposite each other on the mean face, left and right.

  Exact for a mesh that is symmetric itself; else the nearest place on the
  triangles around the nearest vertex.
  """
  import trimesh

  points = np.asarray(model.mean, np.float64)
  mirrored = points * [-1, 1, 1]
  mesh = trimesh.Trimesh(points, np.asarray(model.triangles), process=False)
  _, nearest = mesh.kdtree.query(mirrored)
  around = mesh.vertex_faces[nearest]
  vertex, column = np.nonzero(around >= 0)
  face = around[vertex, column]
  corners = points[mesh.faces[face]]
  place = trimesh.triangles.closest_point(corners, mirrored[vertex])
  distance = np.full(around.shape, np.inf)
  distance[vertex, column] = np.linalg.norm(place - mirrored[vertex], axis=1)
  best = distance.argmin(axis=1)
  index = np.full(around.shape, -1)
  index[vertex, column] = np.arange(len(vertex))
  chosen = index[np.arange(len(points)), best]
  weights = trimesh.triangles.points_to_barycentric(
    corners[chosen], place[chosen]
  )
  return Partners(np.asarray(mesh.faces)[face[chosen]], weights)


def at_partners(values: np.ndarray, where: Partners) -> np.ndarray:
  """Values of vertices [V, n] at the places opposite them, [V, n]."""
  return np.einsum("vkn,vk->vn", values[where.corners], where.weights)
