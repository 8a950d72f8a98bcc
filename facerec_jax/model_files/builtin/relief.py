"""The small forms of the face: folds, rolls, grooves, nostrils.

Each function returns how far the skin stands out along its normal (mm, [n]) at
chart points, by eye from anatomy; sizes are those of an average adult. All use
the folded chart, so that both sides are alike.
"""

from __future__ import annotations

import numpy as np

from facerec_jax.model_files.builtin import chart
from facerec_jax.model_files.builtin import feature_loops

bump, smoothstep = chart.bump, chart.smoothstep


def _line(points, count=80):
  return chart.curve(chart.to_chart(np.array(points, float)), count)


def lid_crease_line() -> np.ndarray:
  """[n, 2] the fold of the upper lid, 7-9 mm over the margin (Farkas)."""
  margin = feature_loops.lid_margin()
  upper = margin[: len(margin) // 2 + 1]
  place = np.linspace(0, 1, len(upper))
  lift = 1.4 + 4.6 * np.sin(np.pi * np.clip(place * 1.05, 0, 1)) ** 0.7
  line = upper + np.column_stack([np.zeros(len(upper)), lift])
  ends = [line[0] + [-1.2, -1.0]], [line[-1] + [2.6, -1.6]]
  return chart.curve(np.vstack([ends[0], line[3:-1:4], ends[1]]), 100)


def upper_lid(uv):
  """The crease, and the fold of skin that hangs over it."""
  uv = chart.folded(uv)
  line = lid_crease_line()
  distance, place = chart.distance_to_curve(uv, line)
  ends = np.sin(np.pi * np.clip(place * 0.9 + 0.08, 0, 1)) ** 0.5
  height = np.interp(uv[:, 0], line[:, 0], line[:, 1], left=1e3, right=1e3)
  fold = (uv[:, 1] > height) * 0.7 * bump(distance - 2.6, 1.8)
  return ends * (fold - 0.9 * bump(distance, 1.0))


def lower_lid(uv):
  """The roll under the lashes and the tear trough below it."""
  uv = chart.folded(uv)
  margin = feature_loops.lid_margin()
  lower = np.vstack([margin[len(margin) // 2 :], margin[:1]])
  roll, _ = chart.distance_to_curve(uv, lower + [0.0, -2.6])
  trough = _line(
    [(15, -9, -12), (20, -15.5, -12), (28, -20, -10), (37, -21.5, -12)]
  )
  deep, _ = chart.distance_to_curve(uv, trough)
  return 0.15 * bump(roll, 1.5) - 0.4 * bump(deep, 3.0)


def philtrum(uv):
  """Groove from nose to lip between two ridges, 9 mm apart at the lip."""
  u, v = chart.folded(uv).T
  top, bottom = chart.to_chart(np.array([[0, -51, 9.0], [0, -62, 12.4]]))[:, 1]
  along = smoothstep(bottom - 0.5, bottom + 3.0, v)
  along = along * (1 - smoothstep(top - 2.5, top + 0.5, v))
  ridge = np.interp(v, [bottom, top], [4.6, 3.0])
  return along * (0.4 * bump(u - ridge, 1.3) - 0.6 * bump(u, 1.7))


def white_roll(opened):
  """The pale ridge along the border of the lips."""
  upper, lower = feature_loops.vermilion_border(60)
  border = np.vstack([upper, lower[::-1]])
  distance, _ = chart.distance_to_curve(chart.folded(opened), border)
  return 0.25 * bump(distance, 0.7)


def nasolabial_line() -> np.ndarray:
  """[n, 2] the fold from the nose wing past the mouth corner."""
  return _line(
    [
      (17, -40, -3),
      (21.5, -46, -4),
      (27, -55, -3.6),
      (32, -65, -6),
      (33, -72, -8),
    ]
  )


def nasolabial_fold(uv):
  """A shallow valley; deepest beside the nose wing."""
  distance, place = chart.distance_to_curve(chart.folded(uv), nasolabial_line())
  depth = np.interp(place, [0, 0.3, 0.8, 1], [0.5, 0.5, 0.3, 0.0])
  return -depth * bump(distance, 1.8)


def alar_line() -> np.ndarray:
  """[n, 2] the groove around the nose wing."""
  return _line(
    [
      (10.6, -37.6, 15.5),
      (13.0, -35.8, 9),
      (16.2, -36.6, 1.5),
      (18.6, -40.6, -2.4),
      (18.4, -45.2, -2.6),
      (16, -47.4, 0),
    ]
  )


def alar_groove(uv):
  """Sets the nose wing off from nose and cheek."""
  distance, place = chart.distance_to_curve(chart.folded(uv), alar_line())
  depth = np.interp(place, [0, 0.3, 1], [0.0, 0.4, 0.5])
  return -depth * bump(distance, 1.1)


def nostril_rim(uv):
  """The rounded edge of the nostril."""
  radius = np.linalg.norm(feature_loops.nostril_coordinates(uv), axis=1)
  return 0.35 * bump(radius - 1.35, 0.22)


def along_normal(mesh) -> np.ndarray:
  """All folds and rolls together, [n] mm along the normal."""
  uv = mesh.uv
  return (
    upper_lid(uv)
    + lower_lid(uv)
    + philtrum(uv)
    + white_roll(mesh.opened)
    + nasolabial_fold(uv)
    + alar_groove(uv)
    + nostril_rim(uv)
  )


def nostrils(uv) -> np.ndarray:
  """[n, 3] the openings: up, back and a little inward."""
  radius = np.linalg.norm(feature_loops.nostril_coordinates(uv), axis=1)
  depth = 1.0 - smoothstep(0.35, 1.05, radius)
  side = np.sign(uv[:, 0])
  return depth[:, None] * np.column_stack(
    [-0.5 * side, np.full(len(uv), 4.5), np.full(len(uv), -3.0)]
  )


def lip_seam(mesh) -> np.ndarray:
  """[n, 3] where the lips meet, each rolls 1.3 mm inward; corners dimple."""
  u = mesh.opened[:, 0] / chart.MOUTH_CORNER[0]
  roll = np.exp(-chart.lip_distance(mesh.opened) / 0.9) * (np.abs(u) < 1.0)
  roll = roll * np.clip(1 - u**4, 0, 1)
  away = np.linalg.norm(chart.folded(mesh.uv) - chart.MOUTH_CORNER, axis=1)
  back = -1.3 * roll - 0.6 * bump(away, 3.0)
  return np.column_stack([np.zeros((len(u), 2)), back])
