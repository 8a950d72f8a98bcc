"""Units that the table of 68 landmarks leaves out: AU11, 13, 38, AD34.

Design values in the manner of `data/au68.json`, (lateral, up, forward) mm at
full intensity for the right side and the midline: the muscle's path, sized
after its neighbours (AU11 between 10 and 12, AU13 a steeper 12).
"""

from __future__ import annotations

import numpy as np

from facerec_jax.face import landmarks as landmark_groups

_TABLES = {
  11: {
    31: (0.4, 0.5, 0.1), 32: (0.1, 0.2, 0), 48: (0.5, 0.9, 0),
    49: (0.7, 1.9, 0.2), 50: (0.4, 1.8, 0.3), 51: (0, 0.6, 0.1),
    60: (0.5, 0.8, 0), 61: (0.2, 0.6, 0.1), 67: (0.2, 0.6, 0.1),
    62: (0, 0.3, 0), 66: (0, 0.3, 0), 57: (0, 0.1, 0), 58: (0.1, 0.3, 0),
    59: (0.3, 0.7, 0),
  },
  13: {
    48: (1.2, 6.0, -1.5), 49: (1.0, 2.8, -0.8), 50: (0.2, 0.8, -0.3),
    59: (1.0, 2.8, -0.8), 58: (0.2, 0.8, -0.3), 51: (0, 0.3, -0.2),
    57: (0, 0.3, -0.2), 60: (1.1, 5.2, -1.3), 61: (0.4, 0.9, -0.4),
    67: (0.4, 0.9, -0.4), 62: (0, 0.3, -0.2), 66: (0, 0.3, -0.2),
  },
  34: {
    3: (1.2, 0, 0.8), 4: (1.8, 0, 1.4), 5: (1.8, 0, 1.4), 6: (0.8, 0, 0.7),
    48: (0.6, 0, 1.6), 49: (0.2, 0.4, 1.6), 50: (0, 0.4, 1.2),
    51: (0, 0.3, 1.0), 57: (0, -0.3, 1.0), 58: (0, -0.4, 1.2),
    59: (0.2, -0.4, 1.6), 60: (0.5, 0, 1.4), 61: (0.1, 0, 0.8),
    67: (0.1, 0, 0.8), 62: (0, 0, 0.6), 66: (0, 0, 0.6),
  },
  38: {31: (1.8, 0.5, 0.2), 32: (0.5, 0.2, 0), 33: (0, 0, 0)},
}  # fmt: skip


def tables() -> dict[int, np.ndarray]:
  """[68, 3] displacement at full intensity by number of the unit, mm."""
  return {unit: _both_sides(marks) for unit, marks in _TABLES.items()}


def _both_sides(marks):
  table = np.zeros((68, 3))
  for index, (lateral, up, forward) in marks.items():
    table[index] = -lateral, up, forward
    table[landmark_groups.MIRROR[index]] = lateral, up, forward
  return table
