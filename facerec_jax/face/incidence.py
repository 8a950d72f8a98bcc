"""The triangles around each vertex of a mesh."""

from __future__ import annotations

from flax import struct
import jax
import numpy as np


@struct.dataclass
class Incidence:
  """The corners of triangles at each vertex, padded with 3 T.

  Corner 3 t + k is `triangles[t, k]`. Sums over the triangles around vertices
  are gathers: fast and deterministic everywhere, where scatter-adds are not.
  The few vertices with many triangles (centres of fans) are listed apart, so
  that they do not widen the table.

  Attributes:
    corners: [V, N] int32; incomplete for hubs.
    hubs: [H] int32 vertices with more than N triangles.
    hub_corners: [H, M] int32, all of their corners.
    copies: [V, C] int32 vertices at the same place, itself among them, padded
      with V; None where each vertex is alone.
  """

  corners: jax.Array
  hubs: jax.Array
  hub_corners: jax.Array
  copies: jax.Array | None = None

  @property
  def triangles(self) -> jax.Array:
    """[V, N] int32 triangles at each vertex, padded with T."""
    return self.corners // 3

  @property
  def hub_triangles(self) -> jax.Array:
    """[H, M] int32 triangles at each hub, padded with T."""
    return self.hub_corners // 3


def vertex_incidence(triangles, num_vertices: int, same_as=None) -> Incidence:
  """Lists the corners of triangles at each vertex.

  Args:
    triangles: [T, 3] integers.
    num_vertices: V.
    same_as: [V] for copies of a vertex (on seams of a texture chart) one and
      the same of them: they share their triangles, so that their normals
      agree. None: there are no copies.

  Returns:
    The lists; hubs are the vertices with more triangles than 99 % have.
  """
  triangles = np.asarray(triangles)
  vertices = triangles.ravel()
  order = np.argsort(vertices, kind="stable")
  counts = np.bincount(vertices, minlength=num_vertices)
  starts = np.cumsum(counts) - counts
  most = counts.max(initial=0)
  table = np.full((num_vertices, max(1, most)), triangles.size, np.int32)
  vertex = vertices[order]
  table[vertex, np.arange(len(vertex)) - starts[vertex]] = order
  width = max(1, int(np.ceil(np.quantile(counts, 0.99))) if most else 0)
  hubs = np.flatnonzero(counts > width)
  lists = Incidence(
    corners=table[:, :width],
    hubs=hubs.astype(np.int32),
    hub_corners=table[hubs],
    copies=None if same_as is None else _copies(same_as),
  )
  # Unlike jnp.asarray this compiles nothing.
  return jax.device_put(lists)


def _copies(same_as):
  """[V, C] all vertices that are the same as each, padded with V."""
  same_as = np.asarray(same_as)
  size = len(same_as)
  order = np.argsort(same_as, kind="stable")
  counts = np.bincount(same_as, minlength=size)
  starts = np.cumsum(counts) - counts
  groups = np.full((size, counts.max(initial=1)), size, np.int32)
  first = same_as[order]
  groups[first, np.arange(size) - starts[first]] = order
  return groups[same_as]
