"""Eyeballs, the lids' inner side, and the rule that lids lie on the eyeball."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from facerec_jax.model_files.builtin import chart
from facerec_jax.model_files.builtin import feature_loops
from facerec_jax.model_files.builtin import measurements
from facerec_jax.model_files.builtin import parts

LID_THICKNESS = 1.3
_PRESSED = 0.9  # least distance of a moving lid from the eyeball, mm
NEAR = 9.0  # mm from the lid margin within which skin lies over the eyeball
# The corners lie beside the eyeball, not on it.
_FRONT = (0.15, 0.6)
# Polar angles of the eyeball's rings: dense over pupil and iris.
_IRIS_ANGLE = float(
  np.arcsin(measurements.IRIS_RADIUS / measurements.EYE_RADIUS)
)
RING_ANGLES = np.concatenate(
  [
    np.array([0.07, 0.13, 0.19, 0.26, 0.33, 0.4, 0.45, 0.49, 0.53, 0.58]),
    np.linspace(0.68, 1.5, 6),
    # Beyond the fissure: seen when the eye turns.
    [1.72, 1.98],
  ]
)
RING_SIZE = 26
NAMES = ("left_eye", "right_eye")


def centers() -> np.ndarray:
  """[2, 3] of the left and the right eyeball."""
  return measurements.both_sides(measurements.EYE_CENTER[None])


def near_lids(mesh) -> np.ndarray:
  """[n] distance from the lid margin in the chart, mm."""
  margin = feature_loops.lid_margin()
  closed = chart.curve(np.vstack([margin, margin[:1]]), 400)
  return chart.distance_to_curve(chart.folded(mesh.uv), closed)[0]


def cover(points, mesh, centers_, gap=LID_THICKNESS) -> np.ndarray:
  """Pushes lids out of the eyeballs.

  Args:
    points: [n, 3] of the head.
    mesh: the head's mesh.
    centers_: [2, 3] of the eyeballs.
    gap: smallest distance from the eyeball, mm.

  Returns:
    [n, 3].
  """
  points = points.copy()
  near = near_lids(mesh) < NEAR
  for center, side in zip(centers_, (1.0, -1.0), strict=True):
    mine = near & (mesh.opened[:, 0] * side > 0)
    offset = points[mine] - center
    distance = np.linalg.norm(offset, axis=1)
    least = measurements.EYE_RADIUS + gap
    # Smooth maximum: no crease where the rule sets in.
    outward = 0.5 * (distance + least + np.hypot(distance - least, 0.3)) - 0.075
    wanted = np.maximum(outward, least)
    points[mine] = center + offset * (wanted / distance)[:, None]
  return points


def hold_out(points, near, mesh) -> np.ndarray:
  """Moves lids out that have come too near to the eyeballs.

  Unlike `cover` it leaves alone what keeps its distance; the lids may be
  pressed a little.

  Args:
    points: [n, 3] of the head.
    near: [n] bool, around the lids: `near_lids` < `NEAR`.
    mesh: the head's mesh.

  Returns:
    [n, 3].
  """
  points = points.copy()
  for center, side in zip(centers(), (1.0, -1.0), strict=True):
    mine = near & (mesh.opened[:, 0] * side > 0)
    offset = points[mine] - center
    distance = np.linalg.norm(offset, axis=1, keepdims=True)
    least = np.maximum(distance, measurements.EYE_RADIUS + _PRESSED)
    points[mine] = center + offset * least / distance
  return points


def turn(points, center, yaw: float, pitch: float) -> np.ndarray:
  """Displacement [n, 3] of points that turn about an eyeball's centre.

  One column for the whole turn: at half weight an eyeball turned by 25 degrees
  is 2.4 % too small (0.3 mm), which the lids' clearance hides.

  Args:
    points: [n, 3] mm.
    center: [3] mm.
    yaw: degrees, to the subject's left.
    pitch: degrees, upward.
  """
  y, p = np.deg2rad([yaw, pitch])
  about_y = [[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]]
  about_x = [[1, 0, 0], [0, np.cos(p), np.sin(p)], [0, -np.sin(p), np.cos(p)]]
  offset = points - center
  return offset @ (np.array(about_y) @ about_x).T - offset


def slide(
  displacement, points, mesh, shift, reach=4.0, front=_FRONT
) -> np.ndarray:
  """Lets lids move along the eyeball only, relative to its own shift.

  Args:
    displacement: [n, 3, ...] of the head, mm.
    points: [n, 3] of the head before it.
    mesh: the head's mesh.
    shift: [2, 3, ...] displacement of the eyeballs.
    reach: how far from the margin the rule holds, mm of the chart.
    front: z of the eyeball's normal where the rule sets in and holds fully.

  Returns:
    [n, 3, ...] without the part that would lift or sink the lids.
  """
  displacement = displacement.copy()
  weight = chart.bump(near_lids(mesh), reach)
  for center, moved, side in zip(centers(), shift, (1.0, -1.0), strict=True):
    mine = mesh.opened[:, 0] * side > 0
    normal = points[mine] - center
    normal = normal / np.linalg.norm(normal, axis=1, keepdims=True)
    lift = np.einsum("nc...,nc->n...", displacement[mine] - moved, normal)
    on_front = chart.smoothstep(*front, normal[:, 2])
    held = (weight[mine] * on_front)[:, None] * normal
    displacement[mine] -= np.einsum("nc,n...->nc...", held, lift)
  return displacement


def follow_lids(displacement, points, mesh, **rule) -> np.ndarray:
  """`slide` with eyeballs that move as their lid margins do on average.

  The keywords of `rule` are those of `slide`.
  """
  shift = [displacement[margin].mean(axis=0) for margin in margins(mesh)]
  return slide(displacement, points, mesh, shift, **rule)


def margins(mesh) -> tuple[np.ndarray, np.ndarray]:
  """Vertices of the lid margin of the left and of the right eye."""
  return mesh.lids, mesh.mirror[mesh.lids]


def eyeball_part(mesh, side: int) -> parts.Part:
  """The front of one eyeball with the cornea's bulge (0.5 mm)."""
  points = _eyeball_points(side)
  head_size, count = len(mesh.opened), len(points)
  first = head_size + 1 + np.arange(RING_SIZE)
  fan = np.column_stack(
    [np.full(RING_SIZE, head_size), first, np.roll(first, -1)]
  )
  start = head_size + 1 + RING_SIZE
  rest = parts.rows(first, len(RING_ANGLES) - 1, start, closed=True)
  triangles = np.vstack([fan, rest[:, ::-1]])
  return parts.Part(
    name=NAMES[side],
    points=points,
    triangles=triangles if side == 0 else triangles[:, ::-1],
    follow=parts.follow_mean(margins(mesh)[side], count, head_size),
    follow_expression=parts.follow_nothing(count, head_size),
    jaw=np.zeros(count),
    chart=chart.to_chart(points),
  )


def _eyeball_points(side):
  """The pole, then ring by ring, [n, 3]."""
  angle = RING_ANGLES
  turn = np.linspace(0, 2 * np.pi, RING_SIZE, endpoint=False)
  if side == 1:
    turn = np.pi - turn  # the mirror image of the left one
  across = measurements.EYE_RADIUS * np.sin(angle)
  bulge = np.clip(1 - (across / measurements.IRIS_RADIUS) ** 2, 0, 1)
  bulge = np.where(angle < _IRIS_ANGLE, 0.5 * bulge**0.8, 0.0)
  radius = measurements.EYE_RADIUS + bulge
  ring = np.stack(
    [
      np.sin(angle)[:, None] * np.cos(turn),
      np.sin(angle)[:, None] * np.sin(turn),
      np.repeat(np.cos(angle)[:, None], RING_SIZE, axis=1),
    ],
    axis=-1,
  )
  center = centers()[side]
  pole = center + [0.0, 0.0, measurements.EYE_RADIUS + 0.5]
  return np.vstack(
    [pole, (center + radius[:, None, None] * ring).reshape(-1, 3)]
  )


def inner_lid_part(mesh, points, side: int) -> parts.Part:
  """From the lid margin to the eyeball and on behind its surface."""
  margin = margins(mesh)[side]
  center = centers()[side]
  edge = points[margin]
  offset = edge - center
  distance = np.linalg.norm(offset, axis=1, keepdims=True)
  near = np.minimum(distance - 0.2, measurements.EYE_RADIUS + 0.3)
  touching = center + offset / distance * near
  inward = touching.mean(axis=0) - touching
  touching = touching + 0.35 * inward / np.linalg.norm(
    inward, axis=1, keepdims=True
  )
  hidden = center + (touching - center) * (
    (measurements.EYE_RADIUS - 2.4)
    / np.linalg.norm(touching - center, axis=1, keepdims=True)
  )
  head_size = len(mesh.opened)
  triangles = parts.rows(margin, 2, head_size, closed=True)
  # The hidden row stays with the eyeball: no gap however the lids move.
  count = len(margin)
  edge_follow = parts.follow_vertices(margin, 1.0, head_size)
  return parts.Part(
    name="lid_margin",
    points=np.vstack([touching, hidden]),
    triangles=triangles[:, ::-1] if side == 0 else triangles,
    follow=sparse.vstack(
      [edge_follow, parts.follow_mean(margin, count, head_size)]
    ),
    follow_expression=sparse.vstack(
      [edge_follow, parts.follow_nothing(count, head_size)]
    ),
    jaw=np.zeros(2 * count),
    chart=np.tile(mesh.uv[margin], (2, 1)),
  )
