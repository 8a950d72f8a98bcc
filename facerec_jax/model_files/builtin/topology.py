"""The triangles of the head: points in the opened chart, then Delaunay.

Loops of points follow eyes, lips, nostrils and ears; between them free points
are spread evenly with a size that grows away from the features. One half is
made and mirrored, so that the mesh is exactly symmetric.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.spatial import Delaunay
from scipy.spatial import cKDTree

from facerec_jax.model_files.builtin import chart
from facerec_jax.model_files.builtin import feature_loops

FREE_POINTS = 1480  # of one half


@dataclasses.dataclass(frozen=True)
class HeadMesh:
  """Vertices and triangles of the head in the chart.

  The vertices are: `num_middle` on the midline, then the subject's left side,
  then the right side in the same order.

  Attributes:
    opened: [n, 2] opened chart, mm.
    triangles: [t, 3], counter-clockwise seen from outside.
    num_middle: vertices on the midline.
    lids: vertices of the left eye's lid margin, counter-clockwise from the
      inner corner over the lower lid in the chart; [m].
    seam: vertices of the mouth's edge, a closed loop; [m].
    rim: vertices of the outer edge of the mesh, left half, from the top.
    ear: root of the left ear, from the front over the top; [m].
  """

  opened: np.ndarray
  triangles: np.ndarray
  num_middle: int
  lids: np.ndarray
  seam: np.ndarray
  rim: np.ndarray
  ear: np.ndarray

  @property
  def uv(self) -> np.ndarray:
    """[n, 2] chart coordinates with the mouth closed."""
    return chart.close_mouth(self.opened)

  @property
  def mirror(self) -> np.ndarray:
    """[n] the vertex that each becomes in a mirrored head."""
    middle = self.num_middle
    side = (len(self.opened) - middle) // 2
    left = np.arange(middle, middle + side)
    return np.concatenate([np.arange(middle), left + side, left])

  def symmetric(self, field) -> np.ndarray:
    """The mirror-symmetric part of a displacement field [n, 3]."""
    return 0.5 * (field + field[self.mirror] * [-1, 1, 1])


def _size(uv):
  """Wanted edge length at folded chart points, relative."""
  uv = chart.folded(uv)
  mouth = np.array([0.0, chart.to_chart(np.array([0, -71.0, 9.0]))[1]])
  features = (
    # Centre, half axes of the fine zone, size inside.
    (feature_loops.lid_margin().mean(axis=0) + [1, 7], (25.0, 20.0), 1.75),
    (chart.to_chart(np.array([0, -42.0, 20.0])), (15.0, 15.0), 1.7),
    (mouth, (26.0, 17.0), 1.75),
    # The chart sees the wings of the nose from their edge.
    (chart.to_chart(np.array([15.0, -42.0, 3.0])), (5.0, 6.5), 0.85),
  )
  size = np.full(len(uv), 3.3)
  for center, axes, fine in features:
    away = np.linalg.norm((uv - center) / axes, axis=1) - 1.0
    size = np.minimum(size, fine + 1.6 * np.maximum(away, 0.0))
  far = np.maximum(np.hypot(uv[:, 0], uv[:, 1] + 30.0) - 80.0, 0.0)
  return size + 0.055 * far


def _midline(fixed, rim):
  """Points on u = 0 between the fixed ones there."""
  occupied = fixed[np.abs(fixed[:, 0]) < 1e-6]
  lens_edges = [feature_loops.lens_edge()[side][0, 1] for side in (0, 1)]
  points, v = [], rim[-1, 1]
  while v < rim[0, 1]:
    size = 1.05 * _size(np.array([[0.0, v]]))[0]
    near = np.abs(occupied[:, 1] - v).min() < 0.7 * size
    if not near and not lens_edges[1] < v < lens_edges[0]:
      points.append([0.0, v])
    v += size
  return np.array(points)


def _thin(points, distance):
  """Drops points that are nearer than `distance` to an earlier one."""
  pairs = cKDTree(points).query_pairs(distance, output_type="ndarray")
  pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
  dropped = np.zeros(len(points), bool)
  for first, second in pairs:
    if not dropped[first]:
      dropped[second] = True
  return points[~dropped]


def _clear_of(points, edges, distance=0.4):
  """Points that lie neither in a hole nor on its edge between two vertices."""
  clear = np.ones(len(points), bool)
  for edge in edges:
    loop = np.vstack([edge, edge[:1]])
    steps = np.linspace(0, 1, 12, endpoint=False)[:, None, None]
    dense = (loop[:-1] + steps * np.diff(loop, axis=0)).reshape(-1, 2)
    clear &= cKDTree(dense).query(points)[0] > distance
    clear &= ~chart.inside(edge, points)
  return clear


def _spread(fixed, outline, holes, count, rounds=60, seed=7):
  """Free points of one half by weighted centroidal relaxation (Lloyd).

  With weight 1 / size^4 the relaxed points have density 1 / size^2. Candidates
  are drawn with density 1 / size^2 and carry the other factor.
  """
  random = np.random.default_rng(seed)
  low, high = outline.min(axis=0), outline.max(axis=0)
  cloud = random.uniform([0.0, low[1]], high, (500_000, 2))
  accept = random.uniform(size=len(cloud)) < (1.4 / _size(cloud)) ** 2
  cloud = cloud[accept]
  keep = chart.inside(outline, cloud)
  for hole in holes:
    keep &= ~chart.inside(hole, cloud)
  cloud = cloud[keep]
  size = _size(cloud)
  weight = 1.0 / size**2
  clear = cKDTree(fixed).query(cloud)[0] > 0.8 * size
  start = random.choice(np.flatnonzero(clear), count, replace=False)
  free = cloud[start]
  for _ in range(rounds):
    owner = cKDTree(np.vstack([fixed, free])).query(cloud)[1] - len(fixed)
    mine = owner >= 0
    total = np.bincount(owner[mine], weight[mine], count)
    sums = np.column_stack(
      [
        np.bincount(owner[mine], weight[mine] * cloud[mine, k], count)
        for k in (0, 1)
      ]
    )
    free = np.where(total[:, None] > 0, sums / total[:, None], free)
  return free


def _half_triangles(points, outline, holes):
  triangles = Delaunay(points).simplices
  a, b, c = (points[triangles[:, k]] for k in range(3))
  d, e = b - a, c - a
  area = d[:, 0] * e[:, 1] - d[:, 1] * e[:, 0]
  triangles = np.where(area[:, None] < 0, triangles[:, ::-1], triangles)
  middle = (a + b + c) / 3.0
  keep = chart.inside(outline, middle) & (np.abs(area) > 1e-3)
  for hole in holes:
    keep &= ~chart.inside(hole, middle)
  return triangles[keep]


def _nearest(points, wanted):
  distance, index = cKDTree(points).query(wanted)
  index = index[distance < 0.3]
  _, first = np.unique(index, return_index=True)
  return index[np.sort(first)]


def head_mesh(landmark_points) -> HeadMesh:
  """Builds the mesh.

  Args:
    landmark_points: [n, 2] opened chart, u >= 0: places that get a vertex.
  """
  eye, lips, ear, rim = (
    feature_loops.eye_rings(),
    feature_loops.lip_rows(),
    feature_loops.ear_root(),
    feature_loops.rim(),
  )
  upper, lower = feature_loops.lens_edge()
  lens_hole = np.vstack([upper, lower[::-1]])
  edges = [eye[0], lens_hole, ear]
  inner = np.vstack(
    [
      landmark_points,
      lips,
      eye[1:].reshape(-1, 2),
      feature_loops.nostril_rings(),
    ]
  )
  inner = inner[_clear_of(inner, edges)]
  fixed = _thin(np.vstack([eye[0], upper, lower, ear, rim, inner]), 0.6)
  fixed = np.vstack([fixed, _midline(fixed, rim)])
  outline = np.vstack([rim, rim[::-1] * [-1, 1]])
  lens_hole = np.vstack([lens_hole, lens_hole[::-1] * [-1, 1]])
  holes = [eye[0], lens_hole, ear]
  free = _spread(fixed, outline, [eye[-1], lens_hole, ear], FREE_POINTS)
  half = np.vstack([fixed, free])
  half[np.abs(half[:, 0]) < 1e-6, 0] = 0.0
  half = half[np.argsort(half[:, 0] > 0, kind="stable")]
  triangles = _half_triangles(half, outline, holes)
  used = np.unique(triangles)
  renumber = np.full(len(half), -1)
  renumber[used] = np.arange(len(used))
  half, triangles = half[used], renumber[triangles]
  return _mirrored_mesh(half, triangles, (eye[0], upper, lower, ear, rim))


def _mirrored_mesh(half, triangles, curves):
  lids, upper, lower, ear, rim = curves
  middle = int((half[:, 0] == 0.0).sum())
  side = len(half) - middle
  other = np.arange(len(half)) + np.where(
    np.arange(len(half)) < middle, 0, side
  )
  opened = np.vstack([half, half[middle:] * [-1, 1]])
  upper, lower = _nearest(half, upper), _nearest(half, lower)
  seam = np.concatenate(
    [upper, lower[-2::-1], other[lower[1:]], other[upper[-2:0:-1]]]
  )
  return HeadMesh(
    opened=opened,
    triangles=np.vstack([triangles, other[triangles][:, ::-1]]),
    num_middle=middle,
    lids=_nearest(half, lids),
    seam=seam,
    rim=_nearest(half, rim),
    ear=_nearest(half, ear),
  )
