"""Changes to a model's mesh that carry everything at its vertices along."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy import sparse

from facerec_jax.model_files import surface
from facerec_jax.model_files.formats import raw_model

RawModel = raw_model.RawModel

# A point nearer to a vertex than this share of the face is that vertex, mm.
_SNAP = 0.6
# Least barycentric coordinate of an inserted vertex: no slivers.
_INSIDE = 0.02


def keep_triangles(model: RawModel, keep: np.ndarray) -> RawModel:
  """Drops triangles, and the vertices that no triangle is left of.

  Args:
    model: any.
    keep: [T] bool.

  Returns:
    The model; landmarks on dropped vertices are gone.
  """
  triangles = model.triangles[keep]
  used = np.zeros(len(model.mean), bool)
  used[triangles] = True
  number = np.cumsum(used) - 1
  arrays = {name: value[used] for name, value in model.per_vertex.items()}
  return dataclasses.replace(
    model,
    **arrays,
    triangles=number[triangles],
    corner_uv=None if model.corner_uv is None else model.corner_uv[keep],
    landmarks={
      k: int(number[v]) for k, v in model.landmarks.items() if used[v]
    },
  )


def drop_region(model: RawModel, name: str) -> RawModel:
  """Drops what touches a region, and the region's name."""
  if model.region is None or name not in model.region_names:
    return model
  number = model.region_names.index(name)
  keep = (model.region[model.triangles] != number).all(axis=1)
  model = keep_triangles(model, keep)
  names = tuple(n for n in model.region_names if n != name)
  region = model.region - (model.region > number)
  return dataclasses.replace(model, region=region, region_names=names)


def split_seams(model: RawModel) -> RawModel:
  """Gives every vertex one place in the chart: those on seams are doubled.

  The first copies keep the vertices' order; further ones come at the end.
  """
  if model.corner_uv is None:
    return model
  corner = model.triangles.ravel()
  key = np.column_stack([corner, np.round(model.corner_uv.reshape(-1, 2), 6)])
  unique, first, inverse = np.unique(
    key, axis=0, return_index=True, return_inverse=True
  )
  vertex = unique[:, 0].astype(np.int64)
  is_first = np.ones(len(vertex), bool)
  is_first[1:] = vertex[1:] != vertex[:-1]
  number = np.empty(len(vertex), np.int64)
  number[is_first] = vertex[is_first]
  copies = np.flatnonzero(~is_first)
  number[copies] = len(model.mean) + np.arange(len(copies))
  source = np.concatenate([np.arange(len(model.mean)), vertex[copies]])
  uv = np.zeros((len(source), 2), np.float32)
  uv[number] = model.corner_uv.reshape(-1, 2)[first]
  arrays = {name: value[source] for name, value in model.per_vertex.items()}
  arrays["uv"] = pack_tiles(uv)
  return dataclasses.replace(
    model,
    **arrays,
    triangles=number[inverse.ravel()].reshape(-1, 3),
    corner_uv=None,
  )


def pack_tiles(uv: np.ndarray) -> np.ndarray:
  """Brings a chart of several unit tiles into one.

  The first tile takes three quarters of the side, up to seven others the strip
  beside and above it; of more tiles all are of one size.

  Args:
    uv: [V, 2].
  """
  # A chart may reach the far edge of its tile.
  tile = np.floor(np.clip(uv, -1e6, 1e6) - 1e-5).astype(np.int64)
  tile = np.maximum(tile, 0)
  tiles, number = np.unique(tile, axis=0, return_inverse=True)
  number, inside = number.ravel(), np.clip(uv - tile, 0, 1)
  if len(tiles) == 1:
    return inside
  if len(tiles) <= 8:
    strip = [(0.75, k / 4) for k in range(4)] + [
      (k / 4, 0.75) for k in range(3)
    ]
    corner = np.array([(0.0, 0.0), *strip])[number]
    side = np.where(number == 0, 0.75, 0.25)[:, None]
    return (corner + side * inside).astype(np.float32)
  side = int(np.ceil(np.sqrt(len(tiles))))
  corner = np.column_stack([number % side, number // side])
  return ((corner + inside) / side).astype(np.float32)


def insert_points(
  model: RawModel, numbers, points, *, snap: float = _SNAP
) -> RawModel:
  """Makes points of the surface landmarks: vertices, new ones where needed.

  Args:
    model: without `uv` (seams not split yet).
    numbers: [n] iBUG indices.
    points: [n, 3] near the mean's surface.
    snap: a vertex this near, in units of the mean, is taken as it is.

  Returns:
    The model with further vertices at the end and further landmarks. New
    vertices lie in the plane of the triangle that they split and move with it.
  """
  places = surface.Surface(model.mean, model.triangles, turn=0.0).closest(
    points
  )
  corners = model.triangles[places.triangle]
  offset = np.linalg.norm(model.mean[corners] - places.points[:, None], axis=2)
  nearest = offset.argmin(axis=1)
  landmarks, fresh = dict(model.landmarks), []
  for row, number in enumerate(numbers):
    if offset[row, nearest[row]] <= snap:
      landmarks[int(number)] = int(corners[row, nearest[row]])
    else:
      landmarks[int(number)] = len(model.mean) + len(fresh)
      fresh.append(row)
  model = dataclasses.replace(model, landmarks=landmarks)
  if not fresh:
    return model
  return _split(model, places.triangle[fresh], places.weights[fresh])


def _split(model, triangle, weights):
  """Appends vertices inside triangles, which each falls into three."""
  weights = np.maximum(weights, _INSIDE)
  weights = weights / weights.sum(axis=1, keepdims=True)
  rows = model.triangles[triangle]
  num = len(model.mean)
  mix = sparse.vstack(
    [
      sparse.identity(num, format="csr"),
      sparse.csr_matrix(
        (weights.ravel(), rows.ravel(), 3 * np.arange(len(rows) + 1)),
        shape=(len(rows), num),
      ),
    ]
  ).tocsr()
  points = mix @ model.mean
  triangles = list(map(tuple, model.triangles))
  uvs = None if model.corner_uv is None else list(model.corner_uv)
  pieces = {}
  for new, t in enumerate(triangle):
    # An earlier point may have split the same triangle.
    options = pieces.setdefault(t, [t])
    corners = points[np.array([triangles[k] for k in options])]
    place = points[num + new]
    inside = surface.closest_weights(
      np.broadcast_to(place, (len(options), 3)), corners
    )
    best = options[int(inside.min(axis=1).argmax())]
    options += _replace(triangles, uvs, best, num + new, place, points)
  return dataclasses.replace(
    blend(model, mix),
    triangles=np.array(triangles),
    corner_uv=None if uvs is None else np.array(uvs, np.float32),
  )


def _replace(triangles, uvs, index, vertex, place, points):
  """Splits one triangle at a vertex; returns the two further triangles."""
  a, b, c = triangles[index]
  further = [len(triangles), len(triangles) + 1]
  triangles[index] = (a, b, vertex)
  triangles += [(b, c, vertex), (c, a, vertex)]
  if uvs is not None:
    weight = surface.closest_weights(place[None], points[[[a, b, c]]])[0]
    ua, ub, uc = uvs[index]
    middle = weight @ uvs[index]
    uvs[index] = np.array([ua, ub, middle])
    uvs += [np.array([ub, uc, middle]), np.array([uc, ua, middle])]
  return further


def blend(model: RawModel, mix) -> RawModel:
  """Puts weighted means of vertices in the place of vertices.

  Args:
    model: any.
    mix: [n, V] sparse, rows that sum to 1.

  Returns:
    The model with n vertices; triangles and landmarks are left as they are.
  """
  arrays = {}
  for name, value in model.per_vertex.items():
    if name == "region":
      largest = np.asarray(mix.argmax(axis=1)).ravel()
      arrays[name] = value[largest]
    else:
      # Bases may have no columns.
      flat = mix @ value.reshape(len(value), int(np.prod(value.shape[1:])))
      arrays[name] = flat.reshape(mix.shape[0], *value.shape[1:]).astype(
        np.float32
      )
  return dataclasses.replace(model, **arrays)
