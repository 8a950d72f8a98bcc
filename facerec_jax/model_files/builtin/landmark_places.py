"""Where the 68 landmarks lie on the head, as detectors see them."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from facerec_jax.face import landmarks as landmark_groups
from facerec_jax.model_files.builtin import chart
from facerec_jax.model_files.builtin import measurements

# Detectors and the tables of anatomy disagree by a few mm of the chart, found
# by comparing dlib's points with the model's on renders: brow points are seen
# farther in and up, the upper jaw line higher than calipers touch it, the lower
# lip's border lower. (outward, up) of the left side, mm.
_SHIFTS = {
  9: (-2.1, -0.1),
  10: (-4.1, 3.3),
  11: (-3.4, 2.8),
  12: (-2.6, 5.1),
  13: (2.3, 2.4),
  14: (2.5, 6.9),
  15: (-4.1, 14.8),
  16: (1.8, 22.1),
  22: (-2.3, 0.6),
  23: (-3.8, 2.0),
  24: (-4.7, 2.5),
  25: (-4.2, 3.3),
  26: (-4.5, 1.9),
  27: (0.0, -2.4),
  28: (0.0, -1.5),
  30: (0.0, 0.6),
  33: (0.0, -1.4),
  34: (0.0, -0.7),
  35: (-1.0, -0.6),
  42: (0.7, -0.9),
  43: (-0.6, -3.0),
  44: (-2.7, 0.5),
  45: (-5.5, 1.0),
  46: (-1.2, 3.4),
  47: (1.1, 1.4),
  51: (0.0, -0.7),
  52: (0.1, -0.9),
  53: (-0.9, -0.3),
  54: (-2.7, -1.7),
  55: (0.8, -1.6),
  56: (-0.2, -2.1),
  57: (0.0, -1.8),
  63: (-1.0, 0.0),
  64: (-2.8, -0.4),
  65: (-1.1, -0.8),
  66: (0.0, -0.7),
}
_UPPER_INNER_LIP = [61, 62, 63]
_LOWER_INNER_LIP = [65, 66, 67]


def anatomical() -> np.ndarray:
  """[68, 2] the tabled landmarks in the opened chart."""
  uv = chart.to_chart(measurements.landmarks())
  upper = uv[:, 1] > chart.mouth_height(uv[:, 0])
  upper[[48, 54]] = True
  opened = chart.open_mouth(uv, upper)
  u = uv[:, 0]
  for side, index in ((1, _UPPER_INNER_LIP), (-1, _LOWER_INNER_LIP)):
    edge = chart.mouth_height(u) + side * chart.lens(u)
    opened[index, 1] = edge[index]
  for index, side in ((60, -1), (64, 1)):
    opened[index] = _inner_corner() * [side, 1]
  return opened


def _inner_corner():
  """The inner mouth corner, 2 mm inside the seam's end, on the lower edge."""
  u = chart.to_chart(measurements.landmarks()[64])[0]
  return np.array([u, chart.mouth_height(u) - chart.lens(u)])


def as_detected() -> np.ndarray:
  """[68, 2] opened chart, symmetric, moved to where detectors see them."""
  places = anatomical()
  for index, (outward, up) in _SHIFTS.items():
    places[index] += [outward, up]
    other = landmark_groups.MIRROR[index]
    if other != index:
      places[other] += [-outward, up]
  return places


def left_half() -> np.ndarray:
  """Places of both kinds that lie on the left half, to be made vertices."""
  both = np.vstack([as_detected()[:36], anatomical()[17:27]])
  both[np.abs(both[:, 0]) < 1e-6, 0] = 0.0
  return both[both[:, 0] >= 0]


def vertices(mesh) -> np.ndarray:
  """[68] the vertex nearest to each landmark."""
  tree = cKDTree(mesh.opened)
  return tree.query(as_detected())[1]
