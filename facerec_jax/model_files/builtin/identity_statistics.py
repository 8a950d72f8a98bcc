"""What is known of how measures of the head vary: spreads and correlations.

Standard deviations within one sex, mm: ANSUR II (Gordon et al. 2014) for
face_width, face_height, eye_spacing, head and ears; NIOSH 2003 (Zhuang and
Bradtmiller 2005) for jaw, forehead, nose and mouth; soldiers' heads (Flury and
Riedwyl 1988) for the depths; Farkas 1994 for the finer ones, widened where the
means of population groups lie farther apart. Correlations: ANSUR II among its
own measures, Flury and Riedwyl among theirs; face_height with nose_length from
Farkas' spreads of both and of the lower face. The others (nose, mouth, jaw and
forehead with the rest, and the lips) are our estimates, in sign after the NIOSH
principal components.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Measure(NamedTuple):
  """A distance between two points of the skin.

  Attributes:
    ends: names of the tables ("-" mirrors, "eye" is an eyeball) or landmarks'
      numbers; a single one is measured against the origin.
    spread: standard deviation within one sex, mm.
    difference: men minus women, mm.
    direction: along which it is measured; None for the straight distance.
  """

  ends: tuple
  spread: float
  difference: float = 0.0
  direction: tuple[float, float, float] | None = None


# The measures that the simulated population reproduces; a mode is named for
# each. The bigonial numbers are NIOSH's relative to 112 mm.
FACE = {
  "face_width": Measure(("zy", "-zy"), 5.9, 8.9),
  "face_height": Measure(("sellion", "me"), 6.4, 9.5),
  "eye_spacing": Measure(("eye", "-eye"), 3.5, 2.3),
  "jaw_width": Measure(("go", "-go"), 9.4, 10.0),
  "nose_breadth": Measure(("al", "-al"), 3.95, 3.4),
  "nose_length": Measure(("sellion", "sn"), 3.95, 3.8),
  "nose_projection": Measure(("sn", "prn"), 2.75, 1.3),
  "mouth_width": Measure(("ch", "-ch"), 4.1, 3.1),
  "forehead_width": Measure(("ft", "-ft"), 5.5, 2.6),
  "face_depth": Measure(("t", "sellion"), 4.6, 3.4),
  "jaw_depth": Measure(("t", "gn"), 5.9, 8.8),
}
HEAD = {
  "head_breadth": Measure(("eu", "-eu"), 5.35, 6.6),
  "head_height": Measure(("t", "vertex"), 6.4, 4.7, (0, 1, 0)),
  "ear_length": Measure(("ear_top", "ear_bottom"), 4.2, 4.9),
  "ear_breadth": Measure(("ear_front", "ear_back"), 2.9, 2.8),
  "ear_protrusion": Measure(("t", "ear_back"), 2.85, 2.8, (1, 0, 0)),
}
# Spreads of the finer measures, after what the ones above bring along.
DETAIL = {
  "chin_height": Measure(("sl", "gn"), 3.0),
  "chin_width": Measure((9, 7), 3.3),
  "brow_ridge": Measure(("g",), 1.8, direction=(0, 0, 1)),
  "eye_depth": Measure(("eye",), 1.8, direction=(0, 0, -1)),
  "fissure_length": Measure((42, 45), 1.2),
  "fissure_height": Measure((43, 47), 1.0),
  "eye_tilt": Measure((42, 45), 1.15, direction=(0, 1, 0)),
  "brow_height": Measure((24,), 2.5, direction=(0, 1, 0)),
  "brow_arch": Measure((22, 25), 1.8, direction=(0, 1, 0)),
  "tip_rotation": Measure(("sn", "prn"), 2.0, direction=(0, 1, 0)),
  "root_height": Measure((27,), 1.8, direction=(0, 0, 1)),
  "root_breadth": Measure(("root", "-root"), 2.1),
  "nose_hump": Measure((28,), 1.2, direction=(0, 0, 1)),
  "upper_lip": Measure(("ls", "sto"), 2.2, direction=(0, -1, 0)),
  "lower_lip": Measure(("sto", "li"), 2.2, direction=(0, -1, 0)),
  "lip_protrusion": Measure(("ls",), 3.0, direction=(0, 0, 1)),
  "philtrum_length": Measure(("sn", "ls"), 2.1),
}

_CORRELATIONS = {
  "face_height": {"face_width": 0.20},
  "eye_spacing": {"face_width": 0.45, "face_height": 0.19},
  "jaw_width": {"face_width": 0.45, "face_height": 0.15, "eye_spacing": 0.25},
  "nose_breadth": {
    "face_width": 0.25,
    "face_height": 0.05,
    "eye_spacing": 0.30,
    "jaw_width": 0.25,
  },
  "nose_length": {
    "face_width": 0.10,
    "face_height": 0.60,
    "eye_spacing": 0.10,
    "jaw_width": 0.05,
  },
  "nose_projection": {
    "face_height": 0.20,
    "nose_breadth": -0.30,
    "nose_length": 0.25,
  },
  "mouth_width": {
    "face_width": 0.25,
    "face_height": 0.15,
    "eye_spacing": 0.30,
    "jaw_width": 0.25,
    "nose_breadth": 0.35,
    "nose_length": 0.10,
  },
  "forehead_width": {
    "face_width": 0.55,
    "face_height": 0.15,
    "eye_spacing": 0.40,
    "jaw_width": 0.45,
    "nose_breadth": 0.15,
    "mouth_width": 0.15,
  },
  "face_depth": {
    "face_width": 0.30,
    "face_height": 0.26,
    "eye_spacing": 0.25,
    "jaw_width": 0.35,
    "nose_length": 0.20,
    "nose_projection": 0.20,
    "mouth_width": 0.15,
    "forehead_width": 0.40,
  },
  "jaw_depth": {
    "face_width": 0.30,
    "face_height": 0.30,
    "eye_spacing": 0.25,
    "jaw_width": 0.39,
    "nose_breadth": 0.10,
    "nose_length": 0.15,
    "nose_projection": 0.10,
    "mouth_width": 0.15,
    "forehead_width": 0.41,
    "face_depth": 0.66,
  },
  "head_breadth": {
    "face_width": 0.62,
    "face_height": 0.18,
    "eye_spacing": 0.28,
    "jaw_width": 0.35,
    "nose_breadth": 0.10,
    "mouth_width": 0.10,
    "forehead_width": 0.55,
    "face_depth": 0.20,
    "jaw_depth": 0.20,
  },
  "head_height": {
    "face_width": 0.23,
    "face_height": 0.19,
    "eye_spacing": 0.18,
    "face_depth": 0.20,
    "head_breadth": 0.32,
  },
  "ear_length": {
    "face_width": 0.20,
    "face_height": 0.14,
    "eye_spacing": 0.13,
    "jaw_width": 0.15,
    "jaw_depth": 0.15,
    "head_breadth": 0.10,
    "head_height": 0.13,
  },
  "ear_breadth": {
    "face_width": 0.09,
    "face_height": 0.11,
    "eye_spacing": 0.09,
    "jaw_width": 0.10,
    "jaw_depth": 0.10,
    "head_breadth": 0.06,
    "head_height": -0.03,
    "ear_length": 0.34,
  },
  "ear_protrusion": {
    "face_width": 0.06,
    "face_height": -0.01,
    "eye_spacing": -0.01,
    "head_breadth": 0.11,
    "head_height": 0.10,
    "ear_length": 0.24,
    "ear_breadth": 0.09,
  },
  "lower_lip": {"upper_lip": 0.8},
  # Heights of the whole upper lip (2.1 mm, Farkas) and of the mandible vary
  # less than their parts together.
  "chin_height": {"lower_lip": -0.4, "upper_lip": -0.3},
  "philtrum_length": {"upper_lip": -0.45, "lower_lip": -0.35},
}
# Lips are fuller where noses are broader.
LIPS_WITH_NOSE_BREADTH = 0.3

# What 15 years and one standard deviation of weight (14 kg) do to the measures,
# mm. ANSUR II: the ear's length and the face's height with age, the face's
# width with weight, which is taken at three quarters of its slope; the others
# are our estimates, small enough that a covariance is left.
AGE = {"ear_length": 1.7, "face_height": 0.4, "ear_breadth": 0.4}
WEIGHT = {
  "face_width": 2.6,
  "jaw_width": 3.5,
  "nose_breadth": 0.7,
  "face_height": 0.4,
  "eye_spacing": 0.3,
  "jaw_depth": 0.8,
  "forehead_width": 1.3,
  "head_breadth": 1.2,
  "mouth_width": 0.5,
}

# How the prior draws coefficients: N(0, 1) cut at 2.7, and the sex at +-1 with
# a spread of 0.7; the variances within one sex.
CUT_VARIANCE = 0.943
SEX_VARIANCE = 0.7**2 * CUT_VARIANCE


def correlation(names) -> np.ndarray:
  """[k, k] within one sex; what no source gives is 0."""
  matrix = np.eye(len(names))
  for i, first in enumerate(names):
    for j, second in enumerate(names[:i]):
      value = _CORRELATIONS.get(first, {}).get(second)
      if value is None:
        value = _CORRELATIONS.get(second, {}).get(first, 0.0)
      matrix[i, j] = matrix[j, i] = value
  return matrix


def vector(table, names) -> np.ndarray:
  """[k] the table's numbers, 0 where it has none."""
  return np.array([table.get(name, 0.0) for name in names])


def covariance(measures) -> np.ndarray:
  """[k, k] mm^2 within one sex."""
  spread = np.array([measure.spread for measure in measures.values()])
  return correlation(list(measures)) * np.outer(spread, spread)
