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
  8: (0.0, 0.3),
  9: (-2.1, -0.2),
  10: (-4.2, 3.2),
  11: (-3.6, 2.6),
  12: (-2.7, 4.7),
  13: (1.7, 2.2),
  14: (2.3, 6.7),
  15: (-3.1, 14.2),
  16: (2.5, 21.8),
  22: (-2.4, 0.6),
  23: (-3.9, 2.0),
  24: (-4.9, 2.4),
  25: (-4.2, 3.3),
  26: (-4.3, 1.9),
  27: (0.0, -2.4),
  28: (0.0, -1.4),
  30: (0.0, 0.6),
  33: (0.0, -1.6),
  34: (0.4, -0.7),
  35: (-1.1, -0.7),
  42: (0.9, -0.8),
  43: (-1.2, -2.6),
  44: (-3.6, -0.9),
  45: (-6.3, 0.6),
  46: (-1.0, 2.9),
  47: (1.2, 1.2),
  51: (0.0, -0.8),
  52: (0.2, -1.1),
  53: (-1.1, -0.2),
  54: (-2.1, -1.1),
  55: (0.6, -1.3),
  56: (-0.2, -1.7),
  57: (0.0, -1.5),
  63: (-0.7, 0.0),
  64: (-2.8, -0.3),
  65: (-0.9, -0.9),
  66: (0.0, -0.4),
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
