"""The ear: a flap drawn out of the head's surface ring by ring.

The rings run from the root on the head over the back of the ear to the rim
(helix), then inward over scapha, antihelix and concha to the ear hole. The
root is part of the head, so nothing looks glued on. Sizes: ANSUR II (length
61.8, breadth 34.6, protrusion 21.8 mm), leaning back 15 degrees.
"""

from __future__ import annotations

import numpy as np

from facerec_jax.model_files.builtin import chart
from facerec_jax.model_files.builtin import feature_loops
from facerec_jax.model_files.builtin import measurements
from facerec_jax.model_files.builtin import parts

_HALF_LENGTH = 31.0
_HALF_BREADTH = 17.0
_CENTER = np.array([70.5, -21.5, -99.0])
_TILT = np.deg2rad(15.0)
_FLARE = 17.0  # mm from the front edge to the back edge, outward
# The bowl (concha) lies before and below the middle: (back, up) mm that the
# innermost ring has moved.
_BOWL = np.array([-3.0, -3.5])
# (radius relative to the outline, height over the ear's plane, height at the
# lobe) of each ring: back, rim (helix), groove (scapha), ridge (antihelix),
# wall and floor of the bowl.
_PROFILE = (
  (0.86, -4.5, -4.0),
  (1.0, -2.0, -2.4),
  (1.0, 0.6, -0.6),
  (0.93, 1.4, 0.6),
  (0.85, -1.0, 1.0),
  (0.76, -1.8, 0.9),
  (0.64, 1.4, 0.8),
  (0.52, 1.0, -0.4),
  (0.42, -4.0, -3.0),
  (0.24, -7.5, -7.0),
)
_HOLE_HEIGHT = -10.0
_TRAGUS = 3.0  # mm that the flap before the ear hole stands up


def ear_part(mesh, head, side: int) -> parts.Part:
  """One ear on its root (side 0: the subject's left)."""
  turn = np.linspace(0, 2 * np.pi, feature_loops.EAR_ANGLES, endpoint=False)
  rings = np.stack([_ring(turn, *ring) for ring in _PROFILE])
  # The front edge lies in the cheek: no rim there.
  front = chart.smoothstep(0.55, 0.95, np.cos(turn))[:, None]
  ease = np.linspace(0.9, 0.0, len(_PROFILE))[:, None, None]
  rings = rings + front * ease * (head[mesh.ear] - rings)
  hole = _place(_BOWL[:1], _BOWL[1:], np.array([_HOLE_HEIGHT]))
  points = np.vstack([rings.reshape(-1, 3), hole])
  root = mesh.ear
  head_size, count = len(head), len(points)
  triangles = parts.rows(root, len(_PROFILE), head_size, closed=True)
  last = head_size + (len(_PROFILE) - 1) * len(root) + np.arange(len(root))
  tip = np.full(len(root), head_size + count - 1)
  triangles = np.vstack(
    [triangles, np.column_stack([last, np.roll(last, -1), tip])]
  )[:, ::-1]
  inward = np.linspace(1, 0, len(_PROFILE) + 2)[1:-1, None, None]
  flat = mesh.uv[root]
  middle = flat.mean(axis=0)
  places = np.vstack(
    [(middle + inward * (flat - middle)).reshape(-1, 2), middle]
  )
  if side == 1:
    points, root = measurements.mirrored(points), mesh.mirror[root]
    triangles, places = (
      _other_side(triangles, mesh, head_size),
      places * [-1, 1],
    )
  follow = parts.follow_mean(root, count, head_size)
  return parts.Part(
    name="ears",
    points=points,
    triangles=triangles,
    follow=follow,
    follow_expression=follow,
    jaw=np.zeros(count),
    chart=places,
  )


def _other_side(triangles, mesh, head_size):
  on_head = triangles < head_size
  root = mesh.mirror[np.where(on_head, triangles, 0)]
  return np.where(on_head, root, triangles)[:, ::-1]


def _ring(turn, radius, height, lobe_height):
  """[angles, 3] one ring; angles as in `feature_loops.ear_root`."""
  back, up = -np.cos(turn), np.sin(turn)
  inward = np.clip((0.93 - radius) / 0.7, 0.0, 1.0)
  # Broad above, narrow at the lobe.
  breadth = _HALF_BREADTH * (1.0 + 0.16 * up)
  lobe = chart.smoothstep(-0.55, -0.95, up)
  height = height * (1 - lobe) + lobe_height * lobe
  tragus = chart.bump(radius - 0.48, 0.1) * chart.bump(_from_tragus(turn), 0.4)
  return _place(
    radius * back * breadth + inward * _BOWL[0],
    radius * up * _HALF_LENGTH + inward * _BOWL[1],
    height + _TRAGUS * tragus,
  )


def _from_tragus(turn):
  """Angle from the front, a little below it, where the tragus is; [angles]."""
  return np.angle(np.exp(1j * (turn + 0.15)))


def _place(back, up, height):
  """Ear coordinates (mm, back, up, out of its plane) -> the left ear."""
  cos, sin = np.cos(_TILT), np.sin(_TILT)
  flare = _FLARE * (back + _HALF_BREADTH) / (2 * _HALF_BREADTH)
  return _CENTER + np.column_stack(
    [
      flare + height,
      up * cos - back * sin,
      -up * sin - back * cos,
    ]
  )
