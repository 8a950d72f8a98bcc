"""The flat chart of the head: azimuthal, with the mouth opened to a lens.

A point of the surface is named by its direction from the head's centre. The
azimuthal equidistant map lays the directions on a plane: (u, v) mm, u along x,
v along y, distance from the origin proportional to the angle from +z. In the
*opened* chart the closed mouth line is pulled apart into a lens, so that upper
and lower lip are different places though they touch in space.
"""

from __future__ import annotations

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.spatial import cKDTree

from facerec_jax.model_files.builtin import measurements

CENTER = np.array([0.0, -8.0, -95.0])
SCALE = 95.0  # mm of the chart per radian

# Half height of the opened mouth, and how fast its effect fades above it.
LENS_HEIGHT = 4.0
LENS_FADE = 9.0

# The mouth line of closed lips: stomion, the slight bow, the corner.
MOUTH_LINE = np.array(
  [
    [0.0, -71.1, 9.0],
    [3.5, -70.8, 8.95],
    [8.0, -70.3, 8.5],
    [14.0, -70.55, 5.8],
    [20.0, -71.2, 1.8],
    [24.2, -71.75, -1.2],
  ]
)
MOUTH_LINE = MOUTH_LINE + measurements.MOUTH_SHIFT


def directions_of(points):
  """Unit directions [n, 3] of points [n, 3] from the head's centre."""
  offset = np.asarray(points, float) - CENTER
  return offset / np.linalg.norm(offset, axis=-1, keepdims=True)


def to_chart(points):
  """Chart coordinates [n, 2] of points in space [n, 3]."""
  direction = directions_of(points)
  angle = np.arccos(np.clip(direction[..., 2], -1.0, 1.0))
  across = np.hypot(direction[..., 0], direction[..., 1])
  stretch = SCALE * angle / np.maximum(across, 1e-12)
  return direction[..., :2] * stretch[..., None]


def to_directions(uv):
  """Unit directions [n, 3] of chart coordinates [n, 2]."""
  radius = np.hypot(uv[..., 0], uv[..., 1])
  angle = radius / SCALE
  shrink = np.sin(angle) / np.maximum(radius, 1e-12)
  return np.stack(
    [uv[..., 0] * shrink, uv[..., 1] * shrink, np.cos(angle)], axis=-1
  )


_LINE = to_chart(MOUTH_LINE)
_LINE_HEIGHT = PchipInterpolator(_LINE[:, 0], _LINE[:, 1])
MOUTH_CORNER = _LINE[-1]


def mouth_height(u):
  """Height (v) of the mouth line at u."""
  return _LINE_HEIGHT(np.clip(np.abs(u), 0.0, MOUTH_CORNER[0]))


def lens(u):
  """Half height of the opened mouth at u."""
  share = 1.0 - (np.asarray(u) / MOUTH_CORNER[0]) ** 2
  return LENS_HEIGHT * np.sqrt(np.clip(share, 0.0, None))


def lip_distance(opened):
  """Distance from the lens edge along v, 0 at the seam; [n], opened mm."""
  u, v = opened[..., 0], opened[..., 1]
  return np.maximum(np.abs(v - mouth_height(u)) - lens(u), 0.0)


def is_upper(opened):
  """Whether opened chart points lie above the mouth line."""
  return opened[..., 1] >= mouth_height(opened[..., 0])


def close_mouth(opened):
  """Opened chart -> chart: the lens closes to the mouth line."""
  u, v = opened[..., 0], opened[..., 1]
  shift = lens(u) * np.exp(-lip_distance(opened) / LENS_FADE)
  return np.stack([u, np.where(is_upper(opened), v - shift, v + shift)], -1)


def open_mouth(uv, upper):
  """Chart -> opened chart; `upper` says which lip points on the line join."""
  u, v = uv[..., 0], uv[..., 1]
  middle, half = mouth_height(u), lens(u)
  wanted = np.abs(v - middle)
  distance = wanted
  for _ in range(30):  # Newton on distance + half (1 - exp(-distance / fade))
    decay = half * np.exp(-distance / LENS_FADE)
    error = distance + half - decay - wanted
    distance = np.maximum(distance - error / (1 + decay / LENS_FADE), 0.0)
  side = np.where(upper, 1.0, -1.0)
  return np.stack([u, middle + side * (half + distance)], axis=-1)


def folded(uv):
  """Chart coordinates with |u|: both sides of the face on the left one."""
  return np.stack([np.abs(uv[..., 0]), uv[..., 1]], axis=-1)


def curve(points, count):
  """A smooth curve through points [n, d], `count` points even in arc length."""
  points = np.asarray(points, float)
  for fine in (400, count):
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    arc = np.concatenate([[0.0], np.cumsum(steps)])
    even = np.linspace(0.0, arc[-1], fine)
    points = PchipInterpolator(arc, points)(even)
  return points


def distance_to_curve(uv, line):
  """Distance [n] to a densely sampled curve, and position [n] in 0..1 on it."""
  distance, index = cKDTree(line).query(uv)
  return distance, index / (len(line) - 1)


def inside(polygon, points):
  """Which points [n, 2] lie inside a closed polygon [m, 2] (even-odd)."""
  x0, y0 = polygon.T
  x1, y1 = np.roll(polygon, -1, axis=0).T
  px, py = points[:, :1], points[:, 1:]
  spans = (y0 > py) != (y1 > py)
  rise = np.where(y1 == y0, 1.0, y1 - y0)
  return (spans & (px < x0 + (py - y0) / rise * (x1 - x0))).sum(1) % 2 == 1


def smoothstep(low, high, x):
  """0 below `low`, 1 above `high`, smooth between; low > high falls."""
  t = np.clip((x - low) / (high - low), 0.0, 1.0)
  return t * t * (3.0 - 2.0 * t)


def bump(x, width):
  """A Gaussian of height 1."""
  return np.exp(-0.5 * (x / width) ** 2)
