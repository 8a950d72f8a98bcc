"""The triangles around each vertex of a mesh."""

from __future__ import annotations

from flax import struct
import jax
import jax.numpy as jnp
import numpy as np


@struct.dataclass
class Incidence:
  """The triangles around each vertex, padded with T.

  Sums over them are gathers: fast and deterministic everywhere, where
  scatter-adds are not. The few vertices with many triangles (centres of fans)
  are listed apart, so that they do not widen the table.

  Attributes:
    triangles: [V, N] int32; incomplete for hubs.
    hubs: [H] int32 vertices with more than N triangles.
    hub_triangles: [H, M] int32, all of their triangles.
  """

  triangles: jax.Array
  hubs: jax.Array
  hub_triangles: jax.Array


def vertex_incidence(triangles, num_vertices: int, same_as=None) -> Incidence:
  """Lists the triangles around each vertex.

  Args:
    triangles: [T, 3] integers.
    num_vertices: V.
    same_as: [V] for copies of a vertex (on seams of a texture chart) one and
      the same of them: they share all their triangles, so that their normals
      agree. None: there are no copies.

  Returns:
    The lists; hubs are the vertices with more triangles than 99 % have.
  """
  triangles = np.asarray(triangles)
  corners = triangles.ravel()
  if same_as is not None:
    corners = same_as[corners]
  order = np.argsort(corners, kind="stable")
  counts = np.bincount(corners, minlength=num_vertices)
  starts = np.cumsum(counts) - counts
  most = counts.max(initial=0)
  table = np.full((num_vertices, max(1, most)), len(triangles), np.int32)
  vertex = corners[order]
  table[vertex, np.arange(len(vertex)) - starts[vertex]] = order // 3
  if same_as is not None:
    counts, table = counts[same_as], table[same_as]
  width = max(1, int(np.ceil(np.quantile(counts, 0.99))) if most else 0)
  hubs = np.flatnonzero(counts > width)
  return Incidence(
    triangles=jnp.asarray(table[:, :width]),
    hubs=jnp.asarray(hubs, jnp.int32),
    hub_triangles=jnp.asarray(table[hubs]),
  )
