"""The triangles around each vertex of a mesh."""

from __future__ import annotations

from flax import struct
import jax
import jax.numpy as jnp
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
  """

  corners: jax.Array
  hubs: jax.Array
  hub_corners: jax.Array

  @property
  def triangles(self) -> jax.Array:
    """[V, N] int32 triangles at each vertex, padded with T."""
    return self.corners // 3

  @property
  def hub_triangles(self) -> jax.Array:
    """[H, M] int32 triangles at each hub, padded with T."""
    return self.hub_corners // 3


def vertex_incidence(triangles, num_vertices: int) -> Incidence:
  """Lists the corners of triangles at each vertex.

  Args:
    triangles: [T, 3] integers.
    num_vertices: V.

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
  return Incidence(
    corners=jnp.asarray(table[:, :width]),
    hubs=jnp.asarray(hubs, jnp.int32),
    hub_corners=jnp.asarray(table[hubs]),
  )
