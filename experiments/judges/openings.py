"""The openings of the skin, eyes and mouth, and how far they gape."""

from __future__ import annotations

import numpy as np

from judges import surfaces


def opening_loops(triangles, on_skin, region, name_index) -> list[np.ndarray]:
  """Closed loops of edges where the skin meets a region.

  Args:
    triangles: [T, 3] of the whole mesh.
    on_skin: [V] bool.
    region: [V] region of each vertex.
    name_index: of the region that lies behind the loop.

  Returns:
    Vertex indices of each loop, in order.
  """
  skin = on_skin[triangles].all(axis=1)
  behind = ~skin & (region[triangles] == name_index).any(axis=1)
  edges = set(map(tuple, _directed_edges(triangles[skin]).tolist()))
  others = _directed_edges(triangles[behind]).tolist()
  # Neighbours run along a shared edge in opposite directions.
  following = {b: a for a, b in others if (b, a) in edges}
  loops = []
  while following:
    loop = [next(iter(following))]
    while loop[-1] in following:
      loop.append(following.pop(loop[-1]))
    loops.append(np.array(loop[:-1] if loop[0] == loop[-1] else loop))
  return loops


def _directed_edges(triangles):
  return np.vstack([triangles[:, [k, (k + 1) % 3]] for k in range(3)])


def gap(points, loop, at_rest) -> float:
  """Largest distance between the upper and the lower edge of a loop, mm.

  Each vertex of an edge is measured to the nearest point of the other edge.

  Args:
    points: [V, 3].
    loop: [n] vertices in order.
    at_rest: [V, 3]; the corners are the loop's ends along x there.
  """
  line, across = points[loop], at_rest[loop, 0]
  low, high = np.sort([across.argmin(), across.argmax()])
  first = line[low : high + 1]
  second = np.vstack([line[high:], line[: low + 1]])
  return max(_farthest(first, second), _farthest(second, first))


def _farthest(points, line):
  a, b = line[:-1], line[1:]
  along = b - a
  length = np.maximum((along**2).sum(axis=1), 1e-30)
  t = ((points[:, None] - a) * along).sum(axis=-1) / length
  nearest = a + np.clip(t, 0, 1)[..., None] * along
  return float(np.linalg.norm(points[:, None] - nearest, axis=-1).min(1).max())


def turned_triangles(before, after, triangles) -> np.ndarray:
  """[T] bool: the triangle's normal turned by more than 90 degrees."""
  return (_normals(before, triangles) * _normals(after, triangles)).sum(1) < 0


def _normals(points, triangles):
  a, b, c = (points[triangles[:, k]] for k in range(3))
  return surfaces.unit(np.cross(b - a, c - a))
