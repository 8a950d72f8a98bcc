"""Behind the lips: the pocket of the mouth and two rows of teeth."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from facerec_jax.model_files.builtin import chart
from facerec_jax.model_files.builtin import parts

# Rings of the pocket behind the seam: back (mm), apart (mm), share of the
# lip's motion that each follows, and width relative to the mouth. The first
# rings rise before the teeth, so that the lips bare them.
_RINGS = (
  (-2.0, 0.5, 1.0, 1.0),
  (-4.2, 5.5, 0.95, 1.0),
  (-10.0, 9.5, 0.6, 0.98),
  (-20.0, 11.0, 0.3, 0.9),
  (-34.0, 12.0, 0.1, 0.7),
)
_TEETH_COLUMNS = 29
# The dental arch: half width, its angle, and how fast it recedes (mm).
_ARCH_WIDTH, _ARCH_ANGLE, _ARCH_DEPTH = 24.0, 1.15, 26.0
_FRONT = {"upper": -0.3, "lower": -2.7}
_ARCH_FOLLOWS = 9.0  # mm along the lips that a tooth looks at
_LIP_THICKNESS = 2.0
_MEETING_WIDTH = 3.0  # mm over which lips that meet share their difference


def cover_teeth(points, mesh) -> np.ndarray:
  """Keeps the skin around the mouth in front of the teeth at rest, [n, 3]."""
  away = np.linalg.norm(
    (mesh.uv - [0.0, chart.mouth_height(0.0)]) / [30.0, 24.0], axis=1
  )
  near = 1.0 - chart.smoothstep(0.7, 1.0, away)
  across = np.clip(points[:, 0] / _ARCH_WIDTH, -1, 1) * np.sin(_ARCH_ANGLE)
  arch = _FRONT["upper"] - _ARCH_DEPTH * (1 - np.sqrt(1 - across**2))
  lack = arch + _LIP_THICKNESS - points[:, 2]
  push = 0.5 * (lack + np.hypot(lack, 0.6))
  out = points.copy()
  out[:, 2] += near * np.where(lack > -3.0, push, 0.0)
  return out


def meet(displacement, mesh) -> np.ndarray:
  """Makes closed lips stay closed: both edges of the seam move as one.

  What the upper edge moves more than the lower one is shared between them and
  fades over the lips.

  Args:
    displacement: [n, 3, ...] of the head.
    mesh: the head's mesh.

  Returns:
    [n, 3, ...].
  """
  flat = displacement.reshape(len(displacement), -1)
  u = mesh.opened[:, 0]
  upper, lower = seam_edges(mesh)
  stations = np.unique(np.round(u[mesh.seam], 6))
  apart = np.column_stack(
    [
      np.interp(stations, u[upper], column[upper])
      - np.interp(stations, u[lower], column[lower])
      for column in flat.T
    ]
  )
  near = np.flatnonzero(np.abs(u) < chart.MOUTH_CORNER[0])
  at = np.column_stack([np.interp(u[near], stations, a) for a in apart.T])
  fade = chart.bump(chart.lip_distance(mesh.opened[near]), _MEETING_WIDTH)
  side = np.where(chart.is_upper(mesh.opened[near]), -0.5, 0.5)
  out = flat.copy()
  out[near] += (side * fade)[:, None] * at
  return out.reshape(displacement.shape)


def seam_edges(mesh) -> tuple[np.ndarray, np.ndarray]:
  """Vertices of the (upper, lower) edge of the seam, each by u, corners too."""
  place = mesh.opened[mesh.seam]
  corners = np.abs(place[:, 0]) > np.abs(place[:, 0]).max() - 1e-6
  upper = chart.is_upper(place)
  by_u = mesh.seam[np.argsort(place[:, 0], kind="stable")]
  edges = (mesh.seam[upper | corners], mesh.seam[~upper | corners])
  return tuple(by_u[np.isin(by_u, edge)] for edge in edges)


def pocket_part(mesh, points) -> parts.Part:
  """The dark inside of the mouth: a pocket closed at the back.

  The seam's loop is drawn backward ring by ring and closed by a fan. The upper
  half stays with the skull, the lower half goes with the jaw.
  """
  seam, head_size = mesh.seam, len(mesh.opened)
  edge = points[seam]
  upper = chart.is_upper(mesh.opened[seam])
  share = np.clip(1 - (edge[:, 0] / 23.0) ** 2, 0, 1) ** 0.5
  apart = np.where(upper, 1.0, -1.0) * share
  rings = [
    edge * [width, 1, 1]
    + np.column_stack([0 * apart, gap * apart, back + 0 * apart])
    for back, gap, _, width in _RINGS
  ]
  end = rings[-1].mean(axis=0) + [0, 0, -4.0]
  all_points = np.vstack([*rings, end])
  triangles = parts.rows(seam, len(_RINGS), head_size, closed=True)
  last = head_size + (len(_RINGS) - 1) * len(seam) + np.arange(len(seam))
  tip = np.full(len(seam), head_size + len(all_points) - 1)
  fan = np.column_stack([last, np.roll(last, -1), tip])
  lip_share = np.repeat([ring[2] for ring in _RINGS], len(seam))
  parents = np.tile(seam, len(_RINGS))
  lower = np.tile(np.where(upper, 0.0, share), len(_RINGS))
  return parts.Part(
    name="mouth_interior",
    points=all_points,
    triangles=np.vstack([triangles, fan])[:, ::-1],
    follow=parts.follow_vertices(np.append(parents, seam[0]), 1.0, head_size),
    follow_expression=parts.follow_vertices(
      np.append(parents, seam[0]), np.append(lip_share, 0.0), head_size
    ),
    jaw=np.append((1 - lip_share) * lower, 0.4),
    chart=chart.to_chart(all_points),
  )


def _follow_seam(mesh, points):
  """Teeth follow the lips before them: broad mouths have broad arches."""
  across = chart.to_chart(points)[:, :1] - mesh.opened[mesh.seam, 0]
  weights = chart.bump(across, _ARCH_FOLLOWS)
  weights /= weights.sum(axis=1, keepdims=True)
  follow = sparse.lil_matrix((len(points), len(mesh.opened)))
  follow[:, mesh.seam] = weights
  return follow.tocsr()


def teeth_part(mesh, *, upper: bool) -> parts.Part:
  """One row of teeth along the dental arch, with a biting edge.

  The upper incisors end 2.5 mm below the lips' meeting line (facts: 2-4 mm).
  """
  if upper:
    gum, edge, front = -63.7, -74.2, _FRONT["upper"]
  else:
    gum, edge, front = -82.7, -74.0, _FRONT["lower"]
  turn = np.linspace(-1, 1, _TEETH_COLUMNS) * _ARCH_ANGLE
  x = _ARCH_WIDTH * np.sin(turn) / np.sin(_ARCH_ANGLE)
  arch = front - _ARCH_DEPTH * (1 - np.cos(turn))
  # Rows: gum line, crown, biting edge, and the edge's thickness.
  heights = [gum + (edge - gum) * t for t in (0.0, 0.25, 0.5, 0.75, 1.0)]
  depths = [-0.8, -0.3, 0.0, -0.1, -0.5]
  heights.append(edge + (0.8 if upper else -0.8))
  depths.append(-5.0)
  points = np.vstack(
    [
      np.column_stack([x, np.full(len(x), height), arch + depth])
      for height, depth in zip(heights, depths, strict=True)
    ]
  )
  head_size = len(mesh.opened)
  first = head_size + np.arange(_TEETH_COLUMNS)
  start = head_size + _TEETH_COLUMNS
  triangles = parts.rows(first, len(heights) - 1, start, closed=False)
  count = len(points)
  return parts.Part(
    name="teeth",
    points=points,
    triangles=triangles[:, ::-1] if upper else triangles,
    follow=_follow_seam(mesh, points),
    follow_expression=parts.follow_nothing(count, head_size),
    jaw=np.full(count, 0.0 if upper else 1.0),
    chart=chart.to_chart(points),
  )
