"""The built-in face with more triangles, for measuring speed."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from facerec_jax import model_files
from facerec_jax.face import incidence
from facerec_jax.face import morphable_model

_FIELDS = (
  "mean",
  "identity",
  "expression",
  "albedo_mean",
  "albedo",
  "occlusion",
)


def load(num_triangles: int) -> morphable_model.MorphableModel:
  """The built-in face with about so many triangles, at least its own."""
  model = model_files.load("builtin")
  if num_triangles <= model.num_triangles:
    return model
  values = {name: np.asarray(getattr(model, name)) for name in _FIELDS}
  rows = [array.reshape(model.num_vertices, -1) for array in values.values()]
  ends = np.cumsum([row.shape[1] for row in rows])[:-1]
  table, triangles = refine(
    np.concatenate(rows, axis=1), np.asarray(model.triangles), num_triangles
  )
  parts = zip(values, np.split(table, ends, axis=1), strict=True)
  fields = {
    name: jnp.asarray(part.reshape(len(part), *values[name].shape[1:]))
    for name, part in parts
  }
  return model.replace(
    **fields,
    triangles=jnp.asarray(triangles, jnp.int32),
    incidence=incidence.vertex_incidence(triangles, len(table)),
    region=jnp.zeros(len(table), jnp.int32),
    uv=None,
  )


def refine(table, triangles, num_triangles: int):
  """Bisects the longest edges, both triangles of an edge at once.

  Args:
    table: [V, 3 + n] points, then values that are interpolated.
    triangles: [T, 3].
    num_triangles: at which to stop.

  Returns:
    (table, triangles), vertices in the order in which triangles name them, as
    in meshes that were made at this size.
  """
  while len(triangles) < num_triangles:
    edges = np.sort(triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    edges, at = np.unique(edges, axis=0, return_inverse=True)
    at = at.reshape(-1, 3)
    ends = table[edges]
    length = np.linalg.norm(np.diff(ends[..., :3], axis=1)[:, 0], axis=1)
    length += 1e-9 * np.arange(len(edges))  # No ties.
    side = length[at].argmax(axis=1)
    longest = at[np.arange(len(at)), side]
    uses = np.bincount(at.ravel(), minlength=len(edges))
    votes = np.bincount(longest, minlength=len(edges))
    chosen = np.flatnonzero(uses == votes)
    chosen = chosen[np.argsort(-length[chosen])]
    growth = np.cumsum(uses[chosen])
    chosen = chosen[
      : 1 + np.searchsorted(growth, num_triangles - len(triangles))
    ]
    middle = np.full(len(edges), -1)
    middle[chosen] = len(table) + np.arange(len(chosen))
    table = np.concatenate([table, ends[chosen].mean(axis=1)])
    triangles = _split(triangles, middle[longest], side)
  order, first = np.unique(triangles, return_index=True)
  order = order[np.argsort(first)]
  rank = np.empty(len(table), int)
  rank[order] = np.arange(len(order))
  return table[order], rank[triangles]


def _split(triangles, middle, side):
  """Splits those that have a middle, on that side; halves stay neighbours."""
  a, b, c = (
    np.take_along_axis(triangles, ((side + k) % 3)[:, None], axis=1)[:, 0]
    for k in range(3)
  )
  whole = middle < 0
  first = np.where(whole[:, None], triangles, np.stack([a, middle, c], axis=1))
  pairs = np.stack([first, np.stack([middle, b, c], axis=1)], axis=1)
  keep = np.stack([np.ones_like(whole), ~whole], axis=1)
  return pairs[keep]
