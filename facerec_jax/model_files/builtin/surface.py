"""The smooth head: radius over direction, through measured points.

Every control point is a direction and a radius from the head's centre; a
thin-plate spline on the sphere of directions joins them. Small forms (lids,
lip rolls, nostrils) come later, in `relief`.
"""

from __future__ import annotations

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.spatial import cKDTree

from facerec_jax.model_files.builtin import chart
from facerec_jax.model_files.builtin import forms
from facerec_jax.model_files.builtin import measurements

# Smoothing of the spline: none at the landmarks, little elsewhere, more along
# the cheek and jaw, where points placed by eye would make lumps.
_SMOOTH = 4e-5
_SMOOTH_CHEEK = 4e-3

# Points that are no skin, that the head's smooth form must not follow, or that
# are landmarks by another name.
_NOT_SKIN = (
  "cornea_apex",
  "pupil",
  "eyeball_centre",
  "sa",
  "sba",
  "t",
  "ac",
  "al",
  "eu",
  "ls",
  "li",
  "sto",
  "ch",
  "en",
  "ex",
)


class SphereSpline:
  """Thin-plate spline over unit directions; values may be vectors."""

  def __init__(self, directions, values, smoothing=0.0):
    count = len(directions)
    affine = np.column_stack([np.ones(count), directions])
    system = np.zeros((count + 4, count + 4))
    system[:count, :count] = self._kernel(directions, directions)
    system[:count, :count] += np.diag(np.broadcast_to(smoothing, count))
    system[:count, count:] = affine
    system[count:, :count] = affine.T
    zeros = np.zeros((4, *values.shape[1:]))
    self._weights = np.linalg.solve(system, np.concatenate([values, zeros]))
    self._directions = directions

  @staticmethod
  def _kernel(a, b):
    square = 2.0 - 2.0 * np.clip(a @ b.T, -1.0, 1.0)
    square = np.maximum(square, 1e-14)
    return 0.5 * square * np.log(square)

  def __call__(self, directions):
    """Values at unit directions [n, 3]."""
    kernel = self._kernel(directions, self._directions)
    affine = np.column_stack([np.ones(len(directions)), directions])
    count = len(self._directions)
    return kernel @ self._weights[:count] + affine @ self._weights[count:]


def soft_landmarks() -> np.ndarray:
  """The 68 landmarks as the smooth head passes them, [68, 3] mm.

  Lips: the surface stays behind the vermilion, whose rolls `relief` adds. Jaw:
  the tabled contour is where calipers touch bone; the skin's outline, which
  detectors see, lies up to 4 mm farther out.
  """
  points = measurements.landmarks()
  corners, outer = [48, 54], [*range(49, 54), *range(55, 60)]
  points[corners, 2] -= 2.5
  points[outer, 2] -= 1.0
  jaw = np.array([*range(1, 8), *range(9, 16)])
  outward = np.interp(
    np.abs(jaw - 8), [1, 2.5, 4, 5, 7], [0.5, 2.5, 4.0, 3.4, 2.2]
  )
  points[jaw, 0] += np.sign(points[jaw, 0]) * outward
  return points


def lip_points() -> np.ndarray:
  """Seam and fullest line of both lips at stations across; [n, 3], x >= 0.

  The vermilion bulges 2.4 mm before the plane between seam and border, the
  upper with a tubercle in the middle.
  """
  table = soft_landmarks()
  x = np.array([0.0, 3.5, 7.0, 10.5, 14.0, 17.5, 21.0, 23.5])
  corner = [25.0, -71.8, -2.0] + measurements.MOUTH_SHIFT
  line = np.vstack([chart.MOUTH_LINE[:-1], corner])
  seam_y = PchipInterpolator(line[:, 0], line[:, 1])(x)
  depth_x, depth_z = [0, 7.4, 14.5, 21.5, 25], [6.7, 6.2, 3.2, -2.7, -6.0]
  seam_z = PchipInterpolator(depth_x, depth_z)(x)
  rows = [np.column_stack([x, seam_y, seam_z])]
  tubercle = 0.15 * chart.bump(x, 3 / np.sqrt(2))
  lips = (
    (table[51:55], 0.6, 2.3 * (1 + tubercle)),
    (table[[57, 56, 55, 54]], 0.5, 2.5 * (1 - 0.67 * tubercle)),
  )
  full = x < 19
  for border, share, bulge in lips:
    border_y, border_z = (
      PchipInterpolator(border[:, 0], border[:, k])(x) for k in (1, 2)
    )
    y = (1 - share) * seam_y + share * border_y
    fade = np.sqrt(1 - (x / 25.2) ** 2)
    z = 0.5 * (seam_z + border_z) + bulge * fade
    rows.append(np.column_stack([x, y, z])[full])
  return np.vstack(rows)


def control_points() -> tuple[np.ndarray, np.ndarray]:
  """All points that the head passes, and the spline's smoothing at each.

  Returns:
    (points [n, 3] mm, smoothing [n]).
  """
  landmarks = np.delete(soft_landmarks(), np.s_[60:68], axis=0)
  anatomical = np.array(
    [p for k, p in measurements.points().items() if k not in _NOT_SKIN]
  )
  wide = np.abs(anatomical[:, 0]) > 55.5
  anatomical[wide, 0] *= 1.02
  authored = np.vstack([*measurements.control_points().values()])
  points = np.vstack(
    [
      landmarks,
      measurements.both_sides(anatomical),
      measurements.both_sides(lip_points()),
      measurements.both_sides(authored),
    ]
  )
  points = points[points[:, 1] > -125]
  points = _without_near_duplicates(points, 0.9)
  smoothing = np.full(len(points), _SMOOTH)
  cheek = (np.abs(points[:, 0]) > 34) & (points[:, 1] < -40)
  smoothing[cheek] = _SMOOTH_CHEEK
  exact = cKDTree(landmarks[17:]).query(points)[0] < 0.01
  smoothing[exact] = 0.0
  return points, smoothing


def _without_near_duplicates(points, cell):
  cells = np.round(np.abs(points) / cell) * np.where(points < 0, -1, 1)
  _, first = np.unique(cells + 0.0, axis=0, return_index=True)
  return points[np.sort(first)]


def smooth_head(uv) -> np.ndarray:
  """Points [n, 3] of the smooth head at (closed) chart coordinates [n, 2]."""
  points, smoothing = control_points()
  radius = np.linalg.norm(points - chart.CENTER, axis=1)
  spline = SphereSpline(chart.directions_of(points), radius, smoothing)
  directions = chart.to_directions(uv)
  reach = spline(directions) + forms.lift(uv)
  return chart.CENTER + reach[:, None] * directions
