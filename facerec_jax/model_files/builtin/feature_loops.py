"""The loops of vertices along the features of the left half, in the chart.

Eyes, lips, nostrils, the ear's root and the outer edge; `topology` fills the
skin between them with triangles. All in the opened chart, mm.
"""

from __future__ import annotations

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.interpolate import PchipInterpolator

from facerec_jax.model_files.builtin import chart
from facerec_jax.model_files.builtin import measurements

EAR_ANGLES = 24
_EYE_ELLIPSE = np.array([20.5, 12.5])
_EYE_RINGS = (0.0, 0.09, 0.2, 0.34, 0.52, 0.75)
_LIP_ROWS = (0.0, 0.17, 0.36, 0.58, 0.8, 1.0, 1.25, 1.6)


def lid_margin(count: int = 50) -> np.ndarray:
  """[count, 2] the left eye's lid margin, from the inner corner, upper first.

  A cubic through the six eye landmarks, its parameter the root of the chord
  (centripetal), which keeps the corners pointed and the lids round.
  """
  eye = chart.to_chart(measurements.landmarks()[42:48])
  half = count // 2

  def arc(points, number):
    chord = np.linalg.norm(np.diff(points, axis=0), axis=1) ** 0.5
    place = np.concatenate([[0.0], np.cumsum(chord)])
    fine = CubicSpline(place, points)(np.linspace(0, place[-1], 300))
    return chart.curve(fine, number)

  upper = arc(eye[[0, 1, 2, 3]], half + 1)
  lower = arc(eye[[3, 4, 5, 0]], count - half + 1)
  return np.vstack([upper[:-1], lower[:-1]])


def eye_rings():
  """Rings from the lid margin outward to an ellipse, [rings, m, 2]."""
  margin = lid_margin()
  half = len(margin) // 2
  middle = 0.5 * (margin[0] + margin[half]) + [0.5, 0.8]
  angle = np.pi * (1.0 - np.arange(len(margin)) / half)
  ellipse = middle + _EYE_ELLIPSE * np.column_stack(
    [np.cos(angle), np.sin(angle)]
  )
  return np.stack([margin + t * (ellipse - margin) for t in _EYE_RINGS])


def lens_edge(count=22):
  """Half the lens' edge from the middle out: (upper, lower) [count, 2]."""
  # Even along the lens, so that both lips have a vertex at the same places.
  turn = np.linspace(0, np.pi / 2, 200)
  ellipse = np.column_stack(
    [chart.MOUTH_CORNER[0] * np.sin(turn), chart.LENS_HEIGHT * np.cos(turn)]
  )
  u = chart.curve(ellipse, count)[:, 0]
  middle, half = chart.mouth_height(u), chart.lens(u)
  return (
    np.column_stack([u, middle + half]),
    np.column_stack([u, middle - half]),
  )


def vermilion_border(count: int = 22) -> tuple[np.ndarray, np.ndarray]:
  """(upper, lower) outer contour of the left half of the lips, opened chart."""
  table = measurements.landmarks()
  corner = chart.open_mouth(chart.to_chart(table[[54]]), True)
  upper = chart.open_mouth(chart.to_chart(table[51:54]), True)
  lower = chart.open_mouth(chart.to_chart(table[[57, 56, 55]]), False)
  return tuple(
    chart.curve(np.vstack([line, corner]), count) for line in (upper, lower)
  )


def lip_rows():
  """Rows from the seam over the vermilion to the skin around, [n, 2]."""
  rows = []
  for edge, border in zip(lens_edge(), vermilion_border(), strict=True):
    rows += [edge + t * (border - edge) for t in _LIP_ROWS]
  return np.vstack(rows)


NOSTRIL_CENTER = chart.to_chart(np.array([7.5, -46.4, 12.8]))
NOSTRIL_RADII = np.array([3.6, 2.2])
_NOSTRIL_TURN = np.deg2rad(14.0)


def nostril_coordinates(uv):
  """Folded chart -> nostril frame: 1 is the rim's ellipse; [n, 2]."""
  cos, sin = np.cos(_NOSTRIL_TURN), np.sin(_NOSTRIL_TURN)
  offset = chart.folded(uv) - NOSTRIL_CENTER
  return offset @ np.array([[cos, -sin], [sin, cos]]) / NOSTRIL_RADII


def nostril_rings(count=14):
  """Ellipses around the nostril, from its middle out, [n, 2]."""
  angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
  circle = np.column_stack([np.cos(angle), np.sin(angle)])
  cos, sin = np.cos(_NOSTRIL_TURN), np.sin(_NOSTRIL_TURN)
  turn = np.array([[cos, sin], [-sin, cos]])
  rings = [NOSTRIL_CENTER]
  for scale in (0.35, 0.7, 1.0, 1.35):
    rings.append(NOSTRIL_CENTER + (circle * NOSTRIL_RADII * scale) @ turn)
  return np.vstack(rings)


# Root of the ear on the head: an ellipse in the chart, leaning back.
_EAR_CENTER = chart.to_chart(np.array([71.0, -22.0, -99.0]))
_EAR_RADII = np.array([13.0, 46.0])
_EAR_TILT = np.deg2rad(10.0)


def ear_root():
  """[angles, 2]; angle 0 is the front, then up, back, down."""
  angle = np.linspace(0, 2 * np.pi, EAR_ANGLES, endpoint=False)
  # u grows toward the back of the head.
  circle = np.column_stack([-np.cos(angle), np.sin(angle)]) * _EAR_RADII
  cos, sin = np.cos(_EAR_TILT), np.sin(_EAR_TILT)
  return _EAR_CENTER + circle @ np.array([[cos, -sin], [sin, cos]])


def rim(count=44):
  """Left half of the mesh's outer edge, from the top to the throat."""
  azimuth = np.linspace(0, 180, count)
  angle = PchipInterpolator(
    [0, 60, 95, 118, 140, 160, 180], [122, 122, 124, 118, 96, 76, 66]
  )(azimuth)
  radius = chart.SCALE * np.deg2rad(angle)
  turn = np.deg2rad(azimuth)
  rim = np.column_stack([radius * np.sin(turn), radius * np.cos(turn)])
  rim[[0, -1], 0] = 0.0
  return rim
