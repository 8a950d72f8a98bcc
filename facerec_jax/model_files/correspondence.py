"""Lays the built-in face over another model's mean: who is where.

Rigid first (by landmarks, or by shape alone), then by a smooth displacement
that follows landmarks and surface: non-rigid ICP with a displacement for every
vertex (Amberg, Romdhani & Vetter 2007, with translations instead of affine
maps), point to plane, its stiffness lowered from round to round.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses

import numpy as np
from scipy import sparse
from scipy import spatial
from scipy.sparse import linalg

from facerec_jax.face.morphable_model import MorphableModel
from facerec_jax.model_files import surface

# Regions of the template that are drawn to the other's surface.
_DRAWN = ("skin", "lips", "ears", "neck")
# mm behind the sellion up to which they are: skulls and necks end anywhere.
_DEPTH = -85.0
# Stiffness of each round, and the largest distance it still follows, mm.
_ROUNDS = tuple(
  zip(
    (200.0, 100.0, 50.0, 25.0, 12.0, 6.0, 3.0, 2.0),
    (30.0, 25.0, 20.0, 15.0, 10.0, 8.0, 6.0, 5.0),
    strict=True,
  )
)
# Share of a residual along the surface that counts.
_TANGENTIAL = 0.05
# Beyond the edge of the other's surface the closest point lies aside, mm.
_ASIDE = 4.0
_OPPOSED = 0.3
# Weight of landmarks: people agree on these groups, less on the others.
_TRUST = {"nose": 40.0, "eyes": 40.0, "mouth": 40.0, "brows": 1.0, "jaw": 0.3}
_GROUP = np.array(
  [name for name, count in (
    ("jaw", 17), ("brows", 10), ("nose", 9), ("eyes", 12), ("mouth", 20),
  ) for _ in range(count)]
)  # fmt: skip
_PITCHES = np.deg2rad([0.0, -12.0, 12.0, -25.0, 25.0])
_ENOUGH = 6
_FEW_POINTS = 400


@dataclasses.dataclass(frozen=True)
class Template:
  """What of a face model the correspondence uses, as NumPy arrays.

  Attributes:
    points: [n, 3] mm.
    triangles: [t, 3].
    landmarks: [68] vertices.
    drawn: [n] bool, vertices that are drawn to a surface.
  """

  points: np.ndarray
  triangles: np.ndarray
  landmarks: np.ndarray
  drawn: np.ndarray


def template(model: MorphableModel) -> Template:
  """The mean of a model as a template."""
  names = [n for n in model.region_names if n in _DRAWN]
  region = np.isin(
    np.asarray(model.region), [model.region_names.index(n) for n in names]
  )
  points = np.asarray(model.mean, np.float64)
  return Template(
    points=points,
    triangles=np.asarray(model.triangles),
    landmarks=np.asarray(model.landmarks),
    drawn=region & (points[:, 2] > _DEPTH),
  )


@dataclasses.dataclass(frozen=True)
class Similarity:
  """x -> scale R x + shift."""

  scale: float
  rotation: np.ndarray
  shift: np.ndarray

  def __call__(self, points: np.ndarray) -> np.ndarray:
    """Moves points [n, 3]."""
    return self.scale * points @ self.rotation.T + self.shift


def fit_similarity(points, target, weights=None, *, scale=True) -> Similarity:
  """The similarity that best moves points [n, 3] onto a target (Umeyama 1991).

  Args:
    points: [n, 3].
    target: [n, 3].
    weights: [n] or None.
    scale: whether it may scale.
  """
  weights = np.ones(len(points)) if weights is None else weights
  weights = weights / weights.sum()
  center, goal = weights @ points, weights @ target
  a, b = points - center, target - goal
  u, values, vt = np.linalg.svd((b * weights[:, None]).T @ a)
  signs = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
  rotation = (u * signs) @ vt
  size = (weights @ (a * a)).sum()
  factor = float(values @ signs / max(size, 1e-12)) if scale else 1.0
  return Similarity(factor, rotation, goal - factor * rotation @ center)


def lay_over(
  face: Template,
  points: np.ndarray,
  triangles: np.ndarray,
  landmarks: Mapping[int, int],
) -> np.ndarray:
  """Deforms the template onto a surface.

  Args:
    face: the template.
    points: [V, 3] of the other's mean, mm, facing +z, y up.
    triangles: [T, 3], counter-clockwise seen from outside.
    landmarks: iBUG index -> vertex, of the other, as far as they are known.

  Returns:
    [n, 3] the template's vertices on the other.
  """
  target = surface.Surface(points, triangles)
  anchors = {k: points[v] for k, v in landmarks.items()}
  inner = [k for k in anchors if _GROUP[k] not in ("jaw", "brows")]
  if len(inner) >= _ENOUGH:
    start = fit_similarity(
      face.points[face.landmarks[inner]], np.array([anchors[k] for k in inner])
    )
  else:
    start = _align_by_shape(face, points, triangles, target)
  return _deform(face, start(face.points), target, anchors)


def _align_by_shape(face, points, triangles, target):
  """Nose tip to nose tip, then rigid ICP of the face from several pitches."""
  tip = points[nose_tip(points, triangles)]
  own = face.points[face.landmarks[30]]
  near = face.drawn & (np.linalg.norm(face.points - own, axis=1) < 80)
  index = np.flatnonzero(near)
  few = index[:: max(1, len(index) // _FEW_POINTS)]
  results = []
  for pitch in _PITCHES:
    c, s = np.cos(pitch), np.sin(pitch)
    turn = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    start = Similarity(1.0, turn, tip - turn @ own)
    results.append(_icp(face, few, start, target, steps=15))
  best = min(results, key=lambda result: result[1])[0]
  return _icp(face, index, best, target, steps=25, scale=True)[0]


def _icp(face, index, move, target, *, steps, scale=False):
  normals = surface.vertex_normals(face.points, face.triangles)[index]
  points = face.points[index]
  for _ in range(steps):
    moved = move(points)
    found = target.closest(moved, normals @ move.rotation.T)
    distance = np.linalg.norm(found.points - moved, axis=1)
    keep = distance <= np.quantile(distance, 0.8)
    # Scale waits until the pose is about right.
    move = fit_similarity(points[keep], found.points[keep], scale=scale)
  return move, float(np.sqrt((distance[keep] ** 2).mean()))


def nose_tip(points: np.ndarray, triangles: np.ndarray) -> int:
  """The foremost vertex near the middle of a face."""
  used = np.unique(triangles)
  x = points[used, 0]
  low, high = np.percentile(x, [0.5, 99.5])
  middle = np.abs(x - 0.5 * (low + high)) < 0.12 * (high - low)
  candidates = used[middle]
  return int(candidates[points[candidates, 2].argmax()])


def _deform(face, start, target, anchors):
  """Non-rigid rounds on the drawn vertices; the rest follows them."""
  smooth, skin = _smoothness(face)
  number = np.full(len(face.points), -1)
  number[skin] = np.arange(len(skin))
  triangles = number[face.triangles[(number[face.triangles] >= 0).all(axis=1)]]
  marks = [k for k in anchors if number[face.landmarks[k]] >= 0]
  rows = number[face.landmarks[marks]]
  trust = np.array([_TRUST[_GROUP[k]] for k in marks])
  goals = np.array([anchors[k] for k in marks]).reshape(-1, 3)
  fixed, drawn = start[skin], face.drawn[skin]
  moved = fixed
  for stiffness, reach in _ROUNDS:
    normals = surface.vertex_normals(moved, triangles)
    found = target.closest(moved, normals)
    weight = _weights(moved, normals, found, reach) * drawn
    moved = fixed + _solve(
      stiffness * smooth, weight, found, fixed, (rows, trust, goals)
    )
  return start + _follow(start, skin, moved - fixed)


def _smoothness(face):
  """Laplacian of the graph of what hangs together with the drawn part."""
  edges = np.vstack(
    [face.triangles[:, pair] for pair in ([0, 1], [1, 2], [2, 0])]
  )
  num = len(face.points)
  ones = np.ones(len(edges))
  graph = sparse.coo_matrix((ones, edges.T), shape=(num, num)).tocsr()
  graph = ((graph + graph.T) > 0).astype(float)
  count, part = sparse.csgraph.connected_components(graph, directed=False)
  share = np.bincount(part, face.drawn, count)
  skin = np.flatnonzero(part == share.argmax())
  graph = graph[skin][:, skin]
  degree = np.asarray(graph.sum(axis=1)).ravel()
  return sparse.diags(degree) - graph, skin


def _weights(moved, normals, found, reach):
  offset = found.points - moved
  along = (offset * found.normals).sum(axis=1)
  aside = np.linalg.norm(offset - along[:, None] * found.normals, axis=1)
  faces = (normals * found.normals).sum(axis=1) > _OPPOSED
  near = np.abs(along) < reach
  return (near & faces & (aside < _ASIDE)).astype(float)


def _solve(smooth, weight, found, fixed, marks):
  """Displacement [n, 3] that balances smoothness, surface and landmarks."""
  num = len(fixed)
  rows, trust, goals = marks
  outer = found.normals[:, :, None] * found.normals[:, None, :]
  pull = weight[:, None, None] * (
    (1 - _TANGENTIAL) * outer + _TANGENTIAL * np.eye(3)
  )
  np.add.at(pull, rows, trust[:, None, None] * np.eye(3))
  wanted = np.einsum(
    "nij,nj->ni",
    weight[:, None, None]
    * ((1 - _TANGENTIAL) * outer + _TANGENTIAL * np.eye(3)),
    found.points - fixed,
  )
  np.add.at(wanted, rows, trust[:, None] * (goals - fixed[rows]))
  blocks = sparse.bsr_matrix(
    (pull, np.arange(num), np.arange(num + 1)), shape=(3 * num, 3 * num)
  )
  system = sparse.kron(smooth, np.eye(3)) + blocks
  system = (system + 1e-6 * sparse.identity(3 * num)).tocsc()
  return linalg.spsolve(system, wanted.ravel()).reshape(num, 3)


def _follow(points, skin, displacement):
  """Displacement of all vertices: their own, or of the skin around them."""
  tree = spatial.cKDTree(points[skin])
  distance, index = tree.query(points, 8)
  weight = 1 / np.maximum(distance, 1e-3) ** 2
  weight = weight / weight.sum(axis=1, keepdims=True)
  total = (displacement[index] * weight[..., None]).sum(axis=1)
  total[skin] = displacement
  return total
