"""The jaw turns about its hinge and carries chin, lower lip and teeth."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import RBFInterpolator

from facerec_jax.model_files.builtin import chart
from facerec_jax.model_files.builtin import landmark_places
from facerec_jax.model_files.builtin import mouth

# Hinge parallel to x through (y, z); degrees and translation of AU26 and AU27.
_HINGE = np.array([0.0, -32.0, -80.0])
OPENINGS = {26: (8.5, (0.0, -1.5, 3.0)), 27: (28.0, (0.0, -8.0, 13.0))}
# A rotation as one column is short between its ends by the sagitta of the arc.
# Reaching this share of it farther out at full weight makes the largest error
# over all weights smallest: 12 - sqrt(128), where both errors are equal.
_BEYOND_ARC = 12.0 - np.sqrt(128.0)
# The jaw forward and to the left (AD29, AD30): degrees about a vertical axis
# midway between the condyles, translation; 6-9 and 8-11 mm at the incisors.
_THRUST = np.array([0.0, -1.0, 7.0])
_SWING, _SWING_SHIFT = 6.0, np.array([0.0, -0.8, 0.0])
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


def motion(points, unit: int, weight: float = 1.0) -> np.ndarray:
  """True displacement [n, 3] of points that move fully with the jaw."""
  degrees, shift = OPENINGS[unit]
  turned = (points - _HINGE) @ _about_x(weight * degrees).T + _HINGE
  return turned + weight * np.array(shift) - points


def linear_motion(points, unit: int) -> np.ndarray:
  """The column [n, 3] that follows `motion` best over weights 0 to 1.

  The chord of the arc, 0.686 sagittas longer. For AU27's 28 degrees no point is
  ever farther from its true place than 2.2 % of its distance from the hinge
  (2.1 % short at half weight, where the chord is 3.0 % short); 0.2 % for AU26.
  """
  angle = OPENINGS[unit][0]
  across = (points - _HINGE) * [0.0, 1.0, 1.0]
  middle = across @ _about_x(angle / 2).T
  sagitta = 1.0 - np.cos(np.deg2rad(angle / 2))
  return motion(points, unit) + _BEYOND_ARC * sagitta * middle


def _about_x(degrees):
  angle = np.deg2rad(degrees)
  cos, sin = np.cos(angle), np.sin(angle)
  return np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])


def thrust(points) -> np.ndarray:
  """AD29: displacement [n, 3] of points that go fully with the jaw."""
  return np.broadcast_to(_THRUST, points.shape)


def swing(points) -> np.ndarray:
  """AD30 to the subject's left, [n, 3]."""
  angle = np.deg2rad(_SWING)
  x, z = points[:, 0], points[:, 2] - _HINGE[2]
  return _SWING_SHIFT + np.column_stack(
    [
      x * (np.cos(angle) - 1) + z * np.sin(angle),
      0 * x,
      z * (np.cos(angle) - 1) - x * np.sin(angle),
    ]
  )


def swing_right(points) -> np.ndarray:
  """AD30 to the subject's right, [n, 3]."""
  mirror = np.array([-1.0, 1.0, 1.0])
  return swing(points * mirror) * mirror


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


# Where the lips' inner corner lies on the way to the outer one.
_INNER_CORNER = 0.9


def _lip_share(opened):
  """Share of the lips (an open mouth is round), and how much a lip it is."""
  place = np.abs(opened[:, 0]) / chart.MOUTH_CORNER[0]
  inside = np.clip(place / _INNER_CORNER, 0.0, 1.0)
  lower = 0.45 + 0.55 * np.sqrt(1 - inside**2)
  upper = 0.45 * inside**8
  beyond = np.maximum(place - 1.0, 0.0) * chart.MOUTH_CORNER[0]
  away = np.hypot(chart.lip_distance(opened), beyond)
  return np.where(chart.is_upper(opened), upper, lower), chart.bump(away, 5.0)


def opening(sculpture, unit: int, marks, table) -> np.ndarray:
  """[V, 3] AU26 or AU27 at full intensity.

  Args:
    sculpture: the neutral mean.
    unit: 26 or 27.
    marks: `landmark_spread.LandmarkSpread` of its mesh.
    table: [68, 3] displacement of the landmarks.
  """
  mesh, head = sculpture.mesh, sculpture.head
  true = motion(head, unit)
  skin = marks.fit(table, share(mesh)[:, None] * true, mesh.symmetric, rounds=8)
  weight = (skin * true).sum(axis=1) / (true**2).sum(axis=1)
  beyond = linear_motion(head, unit) - true
  skin = skin + np.clip(weight, 0.0, 1.0)[:, None] * beyond
  return carry(sculpture, skin, lambda points: linear_motion(points, unit))


def shifted(sculpture, motion_) -> np.ndarray:
  """[V, 3] the closed jaw moved: AD29 or AD30.

  The lips stay on each other: the upper one is drawn along at the seam.
  """
  weight = share(sculpture.mesh)[:, None]
  skin = mouth.meet(weight * motion_(sculpture.head), sculpture.mesh)
  return carry(sculpture, skin, motion_)


def carry(sculpture, skin, motion_) -> np.ndarray:
  """Displacement [V, 3] of the whole: the skin's [n, 3] and the jaw's."""
  whole = sculpture.carry(skin, expression=True)
  for part, place in zip(sculpture.parts, sculpture.part_slices, strict=True):
    whole[place] += part.jaw[:, None] * motion_(part.points)
  return whole
