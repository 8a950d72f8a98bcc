"""Changes with age and weight, and the ears; see `identity_fields`."""

from __future__ import annotations

import numpy as np

from facerec_jax.model_files.builtin import chart
from facerec_jax.model_files.builtin import identity_features
from facerec_jax.model_files.builtin import identity_fields

field = identity_fields.field

# Soft tissue, mm outward per 15 years (facts on ageing, 25 to 75 years): place,
# widths, change. Jowl, the hollow before it, malar fat that sinks, temple and
# buccal hollows, lid bag, tear trough, nasolabial fold.
_SOFT_TISSUE = (
  ((43, -92, -27), (11, 10, 18), 1.3),
  ((29, -100, -13), (8, 8, 14), -0.5),
  ((42, -27, -15), (14, 8, 18), -0.5),
  ((37, -46, -10), (11, 9, 16), 0.9),
  ((63, 14, -42), (14, 18, 22), -0.9),
  ((52, -60, -30), (12, 13, 20), -1.0),
  ((31, -15.5, -11), (9, 3.5, 12), 0.45),
  ((22, -20, -10), (8, 3.5, 12), -0.5),
  ((25, -52, -4), (3.5, 7, 10), -0.5),
)
# Downward, mm per 15 years: place, widths, change. Tail of the brow, outer
# corner of the eye, tip of the nose, corner of the mouth.
_DROPS = (
  ((46, 17, -13), (17, 10, 24), 0.75),
  ((45, -4, -23), (7, 6, 14), 0.3),
  ((0, -40, 24), (10, 9, 14), 1.05),
  ((25, -71, -2), (9, 7, 14), 0.7),
)
_AGED_LIP, _AGED_UPPER_RED, _AGED_LOWER_RED = 0.9, -0.65, -0.45

# Soft tissue, mm outward per standard deviation of weight: cheeks, before the
# ear, jowl, under the chin, lids.
_FAT = (
  ((48, -54, -24), (17, 18, 26), 2.6),
  ((62, -55, -55), (16, 24, 26), 2.0),
  ((40, -94, -32), (17, 13, 26), 1.8),
  ((0, -121, -40), (38, 10, 24), 3.2),
  ((31, 6, -10), (18, 5, 14), 0.3),
)
_NECK_CENTER_Z = -106.0
# 12 mm of circumference per 10 kg (ANSUR II).
_NECK_RADIUS = 2.8

# Middle of the left ear, its lean, and how far its field reaches.
_EAR = np.array([74.0, -21.5, -99.0])
_EAR_LEAN = np.deg2rad(15.0)
_EAR_REACH = np.array([26.0, 44.0, 30.0])


def age(skin):
  """15 years older."""
  out = _outward(skin, _SOFT_TISSUE)
  for center, widths, change in _DROPS:
    out[:, 1] -= change * skin.near(center, widths)
  lip = identity_features.philtrum_length(skin)
  upper = identity_features.upper_lip(skin)
  lower = identity_features.lower_lip(skin)
  return (
    out + _AGED_LIP * lip + _AGED_UPPER_RED * upper + _AGED_LOWER_RED * lower
  )


def weight(skin):
  """Heavier by a standard deviation: cheeks, jowl, under the chin, neck."""
  x, y, z = skin.points.T
  radial = np.column_stack([x, 0 * x, z - _NECK_CENTER_Z])
  radial /= np.maximum(np.linalg.norm(radial, axis=1, keepdims=True), 1.0)
  below = chart.smoothstep(-95, -135, y)
  return _outward(skin, _FAT) + _NECK_RADIUS * below[:, None] * radial


def _outward(skin, table):
  amount = sum(
    change * skin.near(center, widths) for center, widths, change in table
  )
  return amount[:, None] * skin.normals


def _ear_frame(skin):
  """Coordinates along the ear: up, back, out of the head; and its weight."""
  side = np.sign(skin.points[:, 0])
  offset = skin.points * np.column_stack([side, 1 + 0 * side, 1 + 0 * side])
  offset = offset - _EAR
  cos, sin = np.cos(_EAR_LEAN), np.sin(_EAR_LEAN)
  up = offset[:, 1] * cos - offset[:, 2] * sin
  back = -offset[:, 1] * sin - offset[:, 2] * cos
  away = np.linalg.norm(offset / _EAR_REACH, axis=1)
  return side, up, back, offset[:, 0], 1 - chart.smoothstep(0.75, 1.25, away)


def ear_length(skin):
  """Longer ears."""
  _, up, _, _, near = _ear_frame(skin)
  along = near * up / 31.0
  return field(skin, y=along * np.cos(_EAR_LEAN), z=-along * np.sin(_EAR_LEAN))


def ear_breadth(skin):
  """Broader ears."""
  _, _, back, _, near = _ear_frame(skin)
  along = near * (back + 17.0) / 34.0
  return field(skin, y=-along * np.sin(_EAR_LEAN), z=-along * np.cos(_EAR_LEAN))


def ear_protrusion(skin):
  """Ears farther from the head: turned about their front edge."""
  side, _, back, out, near = _ear_frame(skin)
  lever = np.maximum(back + 17.0, 0.0) / 34.0
  free = chart.smoothstep(-8.0, 4.0, out)
  return field(skin, side * near * lever * free)
