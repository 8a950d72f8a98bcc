"""Random people's colouring: independent factors, each one mode of the model.

A person is a vector of standard normal factors, because that is what random
codes of a linear model are: whatever two factors make together, the model's
sums make too. Distributions follow the facts on skin and hair, bent where a sum
of independent factors would leave what one sees in a crowd.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy import special

MOTTLING_FACTORS = 8
# In the order of the model's modes.
FACTORS = (
  "tone",
  "hair_shade",
  "beard",
  "hair_line",
  "brow_cover",
  "brow_thickness",
  "brow_shade",
  "lip_shade",
  "lip_redness",
  "redness",
  "warmth",
  "under_eye",
  "creases",
  "flush",
  "moustache",
  "chin_beard",
  "jaw_beard",
  "baldness",
  "temples",
  "hair_peak",
  "sideburns",
  "hair_gray",
  "brow_height",
  "brow_tilt",
  "brow_arch",
  "brow_length",
  "brow_gap",
  "brow_asymmetry",
  "iris_lightness",
  "iris_blue",
  "lashes",
  "upper_lid",
  "sun",
  "nose_pigment",
  "chin_pigment",
  "socket",
  "hair_line_asymmetry",
  "hair_line_wave_0",
  "hair_line_wave_1",
  "strands_0",
  "strands_1",
  "brow_grain_0",
  "brow_grain_1",
  "freckles_0",
  "freckles_1",
  "moles_0",
  "moles_1",
  "moles_2",
  *(f"mottling_{k}" for k in range(MOTTLING_FACTORS)),
)
_LIMIT = 2.0  # the prior's
# Linear RGB of the mid cheek: mean and step per factor. Real tones lie on a
# curve from light to dark, a linear model's on this line, which stays as near
# to it as it can without turning orange or green at the ends.
_TONE = np.array([0.3930, 0.2425, 0.1865])
TONE_STEP = np.array([0.1600, 0.1038, 0.0851])
_WARMTH_STEP = np.array([0.003, 0.0, -0.007])
# More blood, by about a seventh.
BLOOD_STEP = np.array([-0.005, -0.0075, -0.004])
# Hair and irises lie near straight lines that end in black, because channels
# that vanish one after the other would be red or teal.
_HAIR = np.array([0.058, 0.035, 0.025])
_BLACK = 0.12  # of _HAIR: the darkest hair
_GRAY_STEP = np.array([0.008, 0.009, 0.010])
_IRIS = np.array([0.090, 0.068, 0.047])
_IRIS_STEP = np.array([0.057, 0.043, 0.030])
_BLUE_STEP = np.array([0.032, 0.045, 0.061])


@dataclasses.dataclass(frozen=True)
class Person:
  """One person's factors by name, standard normal."""

  factors: dict[str, float]

  def __getitem__(self, name: str) -> float:
    return self.factors[name]

  def skin(self) -> np.ndarray:
    """[3] linear RGB of the mid cheek."""
    color = _TONE + self["tone"] * TONE_STEP
    color = color + self["redness"] * BLOOD_STEP
    return color + self["warmth"] * _WARMTH_STEP

  def hair(self) -> np.ndarray:
    """[3] linear RGB; dark skin mostly goes with dark hair."""
    level = 0.8 + 0.95 * self["hair_shade"] + 0.45 * self["tone"]
    color = max(level, _BLACK) * _HAIR + self["hair_gray"] * _GRAY_STEP
    return np.maximum(color, _BLACK * _HAIR)

  def brow_hair(self) -> np.ndarray:
    """[3] linear RGB; darker than fair hair."""
    level = 0.42 + 0.22 * (self["hair_shade"] + self["brow_shade"])
    level = level + 0.3 * self["tone"]
    return max(level, _BLACK) * _HAIR

  def iris(self) -> np.ndarray:
    """[3] linear RGB; dark skin mostly goes with dark eyes."""
    light = self["iris_lightness"] + 0.5 * self["tone"]
    blue = self["iris_blue"] + 0.5 * self["tone"]
    color = _IRIS + light * _IRIS_STEP + blue * _BLUE_STEP
    return np.maximum(color, [0.02, 0.009, 0.005])


def person(values) -> Person:
  """The person of these factors, [len(FACTORS)]."""
  return Person(dict(zip(FACTORS, map(float, values), strict=True)))


def draw(random, count: int) -> np.ndarray:
  """[count, len(FACTORS)] factors of random people, within `_LIMIT`."""
  tail = special.ndtr(-_LIMIT)
  uniform = random.uniform(tail, 1 - tail, (count, len(FACTORS)))
  return special.ndtri(uniform)
