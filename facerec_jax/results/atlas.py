"""One texture for a whole face: skin, eyes, teeth and mouth side by side.

A model's own chart may lay eyeballs under lids and the mouth under the lips.
Here the skin keeps its chart and the inner parts get cells of their own beside
it. Vertices on the border of skin and an inner part have two places; their
copies come after all others, so that the model's vertices keep their numbers.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from facerec_jax.face import morphable_model

# Materials, by what a triangle belongs to.
PARTS = ("skin", "eyes", "teeth", "mouth")
_REGIONS = {
  "left_eye": "eyes",
  "right_eye": "eyes",
  "teeth": "teeth",
  "gums": "teeth",
  "mouth_interior": "mouth",
  "tongue": "mouth",
}
# Height of the strip of cells, and the empty border of a cell, shares of the
# side.
_STRIP = 1 / 8
_BORDER = 0.06


class Atlas(NamedTuple):
  """Where the vertices of a model lie in a texture.

  Attributes:
    source: [W] vertex of the model; 0, 1 ... V - 1, then the further copies.
    triangles: [T, 3] into `source`, the model's, in its order.
    part: [T] index into `PARTS`.
    uv: [W, 2] in [0, 1], v up; None for a model without a chart.
  """

  source: np.ndarray
  triangles: np.ndarray
  part: np.ndarray
  uv: np.ndarray | None


def create(model: morphable_model.MorphableModel) -> Atlas:
  """Lays out the texture of a model."""
  triangles = np.asarray(model.triangles)
  part = _parts(model)
  if model.uv is None:
    return Atlas(np.arange(model.num_vertices), triangles, part, None)
  patch = _patches(triangles, part, model.num_vertices)
  corner, label = triangles.ravel(), np.repeat(patch, 3)
  # By vertex, its place in the skin first.
  places, number = np.unique(
    np.column_stack([corner, label]), axis=0, return_inverse=True
  )
  vertex, label = places.T
  first = np.append(True, vertex[1:] != vertex[:-1])
  order = np.empty(len(vertex), int)
  order[first] = vertex[first]
  order[~first] = model.num_vertices + np.arange((~first).sum())
  source = np.concatenate([np.arange(model.num_vertices), vertex[~first]])
  uv = np.zeros((len(source), 2), np.float32)
  uv[order] = _places(model, triangles, patch)[label, vertex]
  return Atlas(source, order[number.ravel()].reshape(-1, 3), part, uv)


def _parts(model):
  """[T] what each triangle belongs to: one inner vertex makes it inner."""
  of_region = np.array(
    [PARTS.index(_REGIONS.get(n, "skin")) for n in model.region_names]
  )
  of_vertex = of_region[np.asarray(model.region)]
  return of_vertex[np.asarray(model.triangles)].max(axis=1, initial=0)


def _patches(triangles, part, num_vertices):
  """[T] 0 for skin, 1 ... for the connected pieces of inner parts."""
  from trimesh import graph

  inner = np.flatnonzero(part)
  # Nodes of the graph: a vertex as part of one material.
  nodes = triangles[inner] + num_vertices * part[inner, None]
  edges = nodes[:, [0, 1, 1, 2]].reshape(-1, 2)
  labels = graph.connected_component_labels(
    edges, node_count=num_vertices * len(PARTS)
  )
  patch = np.zeros(len(triangles), int)
  patch[inner] = 1 + np.unique(labels[nodes[:, 0]], return_inverse=True)[1]
  return patch


def _places(model, triangles, patch):
  """[P, V, 2] the place of each vertex in each patch."""
  count = patch.max(initial=0)
  places = np.zeros((count + 1, model.num_vertices, 2))
  uv = np.asarray(model.uv)
  if not count:
    places[0] = uv
    return places
  used = uv[triangles[patch == 0]].reshape(-1, 2)
  low, high = used.min(axis=0), used.max(axis=0)
  scale = min((1 - _STRIP) / (high - low)[1], 1 / (high - low)[0])
  left = 0.5 - 0.5 * scale * (high - low)[0]
  places[0] = (uv - low) * scale + [left, 0.0]
  points = np.asarray(model.mean, np.float64)
  side = min(_STRIP, 1 / count)
  for index in range(1, count + 1):
    mine = triangles[patch == index]
    vertices = np.unique(mine)
    flat = _open(points, mine)[vertices]
    corner = np.array([(index - 1) * side, 1 - side])
    places[index, vertices] = corner + side * (0.5 + (0.5 - _BORDER) * flat)
  return places


def _open(points, triangles):
  """Azimuthal chart of a cap or cup, [V, 2] in [-1, 1].

  Directions from the centre, with equal distances from the pole: the front of
  what is seen from outside, the back of what is seen from inside.
  """
  corners = points[triangles]
  normals = np.cross(
    corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
  )
  used = corners.reshape(-1, 3)
  center = 0.5 * (used.min(axis=0) + used.max(axis=0))
  outward = np.sum(normals * (corners.mean(axis=1) - center)) > 0
  offset = points - center
  across = np.linalg.norm(offset[:, :2], axis=1)
  depth = offset[:, 2] if outward else -offset[:, 2]
  angle = np.arctan2(across, depth)
  flat = offset[:, :2] * (angle / np.maximum(across, 1e-9))[:, None]
  return flat / np.abs(flat[np.unique(triangles)]).max()
