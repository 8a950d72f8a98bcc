"""The jaw turns about its hinge and carries chin, lower lip and teeth."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import RBFInterpolator

from facerec_jax.model_files.builtin import chart
from facerec_jax.model_files.builtin import landmark_places

# Hinge parallel to x through (y, z); degrees and translation of AU26 and AU27.
_HINGE = np.array([0.0, -32.0, -80.0])
OPENINGS = {26: (8.5, (0.0, -1.5, 3.0)), 27: (28.0, (0.0, -8.0, 13.0))}
# Share of the jaw's motion at landmarks of the right side and the midline.
_SHARES = {
  0: 0.0, 1: 0.0, 2: 0.03, 3: 0.15, 4: 0.4, 5: 0.75, 6: 0.95, 7: 1.0, 8: 1.0,
  48: 0.45, 49: 0.12, 50: 0.0, 51: 0.0, 57: 1.0, 58: 1.0, 59: 0.82,
  60: 0.45, 61: 0.0, 62: 0.0, 66: 1.0, 67: 1.0,
}  # fmt: skip
# The same at points between them, x >= 0.
_ANCHORS = (
  ((0, -49, 9), 0.0),
  ((20, -46, -4), 0.0),
  ((40, -45, -14), 0.0),
  ((60, -50, -45), 0.0),
  ((0, -20, 10), 0.0),
  ((45, -10, -20), 0.0),
  ((69.3, -26, -91.5), 0.0),
  ((0, 60, -12), 0.0),
  ((30, -62, -5), 0.25),
  ((30, -75, -6), 0.5),
  ((42, -70, -20), 0.42),
  ((25, -95, -8), 0.95),
  ((0, -90, 2), 1.0),
  ((0, -100, 2), 1.0),
  ((0, -120, -25), 0.95),
  ((20, -118, -30), 0.92),
  ((35, -108, -45), 0.85),
  ((0, -122, -55), 0.35),
)


def motion(points, unit: int) -> np.ndarray:
  """Displacement [n, 3] of points that move fully with the jaw."""
  degrees, shift = OPENINGS[unit]
  angle = np.deg2rad(degrees)
  cos, sin = np.cos(angle), np.sin(angle)
  turn = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
  turned = (points - _HINGE) @ turn.T + _HINGE + np.array(shift)
  return turned - points


def share(mesh) -> np.ndarray:
  """[n] how far the skin goes with the jaw, 0 to 1."""
  marks = landmark_places.anatomical()
  index = np.array(list(_SHARES))
  anchors = np.array([point for point, _ in _ANCHORS], float)
  anchor_uv = chart.to_chart(anchors)
  places = np.vstack([marks[index] * [-1, 1], anchor_uv])
  values = np.array([*_SHARES.values(), *(value for _, value in _ANCHORS)])
  both = np.vstack([places, places * [-1, 1]])
  both_values = np.concatenate([values, values])
  _, first = np.unique(both.round(3) + 0.0, axis=0, return_index=True)
  fit = RBFInterpolator(
    both[first], both_values[first], kernel="linear", smoothing=0.02
  )
  weight = np.clip(fit(mesh.opened), 0.0, 1.0)
  lips, near = _lip_share(mesh.opened)
  weight = weight + near * (lips - weight)
  return 0.5 * (weight + weight[mesh.mirror])


def _lip_share(opened):
  """Share of the lips (an open mouth is round), and how much a lip it is."""
  place = np.abs(opened[:, 0]) / chart.MOUTH_CORNER[0]
  inside = np.clip(place, 0.0, 1.0)
  lower = 0.45 + 0.55 * np.sqrt(1 - inside**2)
  upper = 0.45 * inside**8
  beyond = np.maximum(place - 1.0, 0.0) * chart.MOUTH_CORNER[0]
  away = np.hypot(chart.lip_distance(opened), beyond)
  return np.where(chart.is_upper(opened), upper, lower), chart.bump(away, 5.0)


def opening(sculpture, unit: int) -> np.ndarray:
  """[V, 3] AU26 or AU27 at full intensity.

  A rotation written as one blendshape: exact at weights 0 and 1, and 3 %
  short between for the 28 degrees of AU27.
  """
  weight = share(sculpture.mesh)
  skin = weight[:, None] * motion(sculpture.head, unit)
  if unit == 27:
    # Wide opening draws the corners 4 mm inward.
    corner = chart.folded(sculpture.mesh.uv) - chart.MOUTH_CORNER
    pull = 4.0 * chart.bump(np.linalg.norm(corner, axis=1), 10.0)
    skin[:, 0] -= np.sign(sculpture.mesh.uv[:, 0]) * pull
  whole = sculpture.carry(skin, expression=True)
  for part, place in zip(sculpture.parts, sculpture.part_slices, strict=True):
    whole[place] += part.jaw[:, None] * motion(part.points, unit)
  return whole
