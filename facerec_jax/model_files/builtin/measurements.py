"""The published numbers that the face is sculpted from, as arrays.

`data/landmarks68.json` and `data/au68.json` are tables of means gathered from
surveys (ANSUR II, NIOSH 2003, Farkas 1994 and others); `data/
control_points.json` holds points between them, placed by eye. Frame and unit
are the package's: origin sellion, mm, x to the subject's left.
"""

from __future__ import annotations

import functools
import json
import pathlib

import numpy as np

_DATA = pathlib.Path(__file__).parent / "data"

MIRROR = np.array([-1.0, 1.0, 1.0])

# Correction of the tabled mouth, see `landmarks`.
MOUTH_SHIFT = np.array([0.0, -0.6, -1.7])

# The subject's left eye (Farkas; eyeball 24 mm long): centre, radius, and the
# radius of the iris (white-to-white 11.7 mm).
EYE_CENTER = np.array([31.4, -4.6, -22.5])
EYE_RADIUS = 12.0
IRIS_RADIUS = 5.85


def mirrored(points):
  """The points as seen in a mirror, x -> -x."""
  return np.asarray(points, float) * MIRROR


def both_sides(points):
  """Points off the midline twice, once mirrored."""
  points = np.asarray(points, float)
  off = np.abs(points[:, 0]) > 1e-6
  return np.concatenate([points, mirrored(points[off])])


def _read(name):
  return json.loads((_DATA / name).read_text())


@functools.cache
def _landmark_table():
  return _read("landmarks68.json")


def landmarks() -> np.ndarray:
  """[68, 3] mean positions, mm.

  The table is trusted to about 2 mm. Compared with scanned heads its eyelids
  lie 2 mm too far forward (but for the corners of the eyes), its mouth 1.7 mm
  and 0.6 mm too high. Lids lie on an eyeball there, which opens them: they are
  drawn together.
  """
  points = np.array(_landmark_table()["mean68"], float)
  upper, lower = [37, 38, 43, 44], [40, 41, 46, 47]
  points[upper + lower, 2] -= 2.0
  points[upper, 1] -= 0.4
  points[lower, 1] += 0.4
  points[[39, 42], 2] -= 0.8
  points[[36, 45], 2] += 1.5
  points[48:] += MOUTH_SHIFT
  points[[48, 54, 60, 64, *range(55, 60)], 1] -= 0.8
  return points


def landmark_sex_difference() -> np.ndarray:
  """[68, 3] male minus female, mm."""
  return np.array(_landmark_table()["male_minus_female68"], float)


def _left_side(table):
  """Entries by bare name: "al_l" is "al", "al_r" is left out."""
  return {
    name.removesuffix("_l"): np.array(value, float)
    for name, value in table.items()
    if not name.endswith("_r")
  }


def points() -> dict[str, np.ndarray]:
  """Anatomical points off the 68, of the midline and the subject's left."""
  found = _left_side(_landmark_table()["extra_points"])
  for name in ("ls", "sto", "li", "ch"):
    found[name] = found[name] + MOUTH_SHIFT
  return found


def point_sex_differences() -> dict[str, np.ndarray]:
  """Male minus female of those points."""
  return _left_side(_landmark_table()["extra_male_minus_female"])


def action_units() -> dict[int, np.ndarray]:
  """[68, 3] landmark displacement of each action unit at full intensity."""
  table = _read("au68.json")["au"]
  return {int(unit): np.array(value, float) for unit, value in table.items()}


def control_points() -> dict[str, np.ndarray]:
  """[n, 3] points by group; x >= 0, both sides where x > 0."""
  table = _read("control_points.json")
  return {
    name: np.array(value, float)
    for name, value in table.items()
    if not name.startswith("_")
  }
