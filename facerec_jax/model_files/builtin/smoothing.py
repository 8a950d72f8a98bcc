"""Smoothing of chosen places, where several small forms meet."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from facerec_jax.model_files.builtin import chart

_ROUNDS = 8
# Places of the left side (mm) and how far around them (mm of the chart).
ORBIT = (
  ((31.0, 6.5, -9.5), 5.0),  # between upper lid and brow
  ((19.0, 5.0, -8.0), 4.5),
  ((45.0, 4.0, -17.0), 6.0),
  ((50.0, -4.0, -23.0), 6.0),  # beside the eye
  ((30.0, -16.0, -12.5), 5.0),  # lower lid
  ((19.0, -13.0, -12.0), 4.0),
)
FOLDS = (
  ((25.0, -72.5, -5.5), 4.2),  # corner of the mouth
  ((0.0, -89.0, 3.0), 4.0),  # furrow above the chin
  ((14.0, -88.0, 1.0), 4.0),
  ((18.0, -61.5, 2.0), 3.5),  # beside the upper lip
  ((12.0, -51.5, 5.0), 3.5),  # lip under the nostril
  ((6.0, -51.5, 7.0), 2.5),
  ((18.5, -36.0, -3.0), 2.5),  # where the wing of the nose ends
)


def polish(points, mesh, places) -> np.ndarray:
  """Draws vertices near some places toward the mean of their neighbours.

  The lips count as joined along their seam, and stay so. Edges that meet
  another part (lid margins, rim, root of the ear) stay where they are.

  Args:
    points: [n, 3] of the head.
    mesh: the head's mesh.
    places: (point of the left side, width) pairs, such as `ORBIT`.

  Returns:
    [n, 3].
  """
  _, first, merged = np.unique(
    mesh.uv.round(4) + 0.0, axis=0, return_index=True, return_inverse=True
  )
  merged = merged.ravel()
  triangles = merged[mesh.triangles]
  folded = chart.folded(mesh.uv[first])
  weight = np.zeros(len(first))
  for place, width in places:
    away = np.linalg.norm(folded - chart.to_chart(np.array(place)), axis=1)
    weight = np.maximum(weight, chart.bump(away, width))
  weight[_edges(triangles)] = 0.0
  average = _neighbour_mean(triangles, len(first))
  smooth = np.stack(
    [np.bincount(merged, column) for column in points.T], axis=1
  )
  smooth = smooth / np.bincount(merged)[:, None]
  for _ in range(_ROUNDS):
    smooth = smooth + 0.7 * weight[:, None] * (average @ smooth - smooth)
  return smooth[merged]


def _directed_edges(triangles):
  return np.vstack([triangles[:, [k, (k + 1) % 3]] for k in range(3)])


def _edges(triangles):
  """Vertices on the border of the mesh."""
  edges = _directed_edges(triangles)
  undirected, count = np.unique(
    np.sort(edges, axis=1), axis=0, return_counts=True
  )
  return np.unique(undirected[count == 1])


def _neighbour_mean(triangles, size):
  edges = _directed_edges(triangles)
  edges = np.unique(np.vstack([edges, edges[:, ::-1]]), axis=0)
  matrix = sparse.csr_matrix(
    (np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(size, size)
  )
  degree = np.asarray(matrix.sum(axis=1)).ravel()
  return sparse.diags(1.0 / np.maximum(degree, 1.0)) @ matrix
