"""Seven emotions as combinations of FACS action units.

Prototypes and variants after Ekman & Friesen's FACS / EMFACS tables and Du, Tao
& Martinez 2014 (PNAS 111:E1454); the weights are FACS intensities A-E read as
.10, .25, .50, .80, 1. Action units are known by their numbers here; which basis
columns they are is the business of `expression_prior`.
"""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Variant:
  """One way to show an emotion.

  Attributes:
    share: of the images of its emotion.
    units: (action unit, mean weight) pairs that are always active.
    optional: (action unit, share of images in which it is active) pairs, at
      `OPTIONAL_WEIGHT`.
  """

  share: float
  units: tuple[tuple[int, float], ...]
  optional: tuple[tuple[int, float], ...] = ()


OPTIONAL_WEIGHT = 0.5

_ANGER_EXTRA = ((10, 0.26), (9, 0.15))
_DISGUST_EXTRA = ((6, 0.35), (4, 0.31))

EMOTIONS: dict[str, tuple[Variant, ...]] = {
  "anger": (
    Variant(0.35, ((4, 0.85), (7, 0.65), (24, 0.7), (17, 0.4)), _ANGER_EXTRA),
    Variant(0.25, ((4, 0.85), (5, 0.45), (7, 0.6), (23, 0.7)), _ANGER_EXTRA),
    Variant(
      0.25,
      ((4, 0.8), (7, 0.6), (10, 0.6), (25, 0.7), (26, 0.35)),
      ((9, 0.15),),
    ),
    Variant(0.15, ((4, 0.7), (7, 0.6)), _ANGER_EXTRA),
  ),
  "disgust": (
    Variant(0.40, ((9, 0.8), (10, 0.5), (17, 0.5)), _DISGUST_EXTRA),
    Variant(0.25, ((9, 0.85), (4, 0.4), (7, 0.4)), ((6, 0.35),)),
    Variant(0.20, ((10, 0.85), (25, 0.6), (16, 0.3)), _DISGUST_EXTRA),
    Variant(0.15, ((10, 0.7), (17, 0.6), (24, 0.4)), _DISGUST_EXTRA),
  ),
  "fear": (
    Variant(
      0.45, ((1, 0.8), (2, 0.5), (4, 0.6), (5, 0.8), (20, 0.6), (25, 0.7))
    ),
    Variant(0.30, ((1, 0.8), (4, 0.6), (5, 0.6), (25, 0.6), (26, 0.5))),
    Variant(0.15, ((1, 0.7), (2, 0.7), (5, 0.8), (25, 0.6), (26, 0.4))),
    Variant(0.10, ((5, 0.8), (20, 0.8), (25, 0.4))),
  ),
  "happiness": (
    Variant(0.45, ((6, 0.6), (12, 0.8), (25, 0.8))),
    Variant(0.25, ((12, 0.6),)),
    Variant(0.20, ((6, 0.5), (12, 0.7))),
    Variant(0.10, ((6, 0.7), (12, 0.9), (25, 0.9), (26, 0.6))),
  ),
  "neutral": (Variant(1.0, ()),),
  "sadness": (
    Variant(0.40, ((1, 0.6), (4, 0.5), (15, 0.7), (17, 0.5))),
    Variant(0.20, ((1, 0.7), (4, 0.6))),
    Variant(0.15, ((6, 0.4), (15, 0.6), (17, 0.4))),
    Variant(0.15, ((4, 0.5), (15, 0.6))),
    Variant(0.10, ((1, 0.6), (4, 0.5), (15, 0.5), (25, 0.4), (43, 0.3))),
  ),
  "surprise": (
    Variant(0.50, ((1, 0.85), (2, 0.85), (5, 0.5), (25, 0.6), (26, 0.9))),
    Variant(0.20, ((1, 0.9), (2, 0.9), (5, 0.6), (27, 0.6))),
    Variant(0.20, ((1, 0.8), (2, 0.8), (26, 0.5), (25, 0.5))),
    Variant(0.10, ((1, 0.7), (2, 0.7), (5, 0.6))),
  ),
}
CLASSES = tuple(EMOTIONS)

# A resting face is rarely exactly neutral: in this share of neutral images one
# of these units shows a trace, uniform up to the given weight.
NEUTRAL_TRACE_SHARE = 0.3
NEUTRAL_TRACE_UNITS = (1, 4, 12, 15, 17, 24, 43)
NEUTRAL_TRACE_WEIGHT = 0.15

# Spread of a unit's weight within a variant, its limits, and the strength
# (uniform) that multiplies all units of one image.
WEIGHT_SPREAD = 0.15
WEIGHT_LIMITS = (0.1, 1.0)
STRENGTH_LIMITS = (0.5, 1.1)

# Units that people move together, with the correlation of their weights in
# spontaneous faces; units that cannot be active together.
TIES = ((1, 2, 0.7), (6, 12, 0.7), (25, 26, 0.5), (4, 7, 0.4))
EXCLUSIVE = ((26, 27), (61, 62), (63, 64))

# Random faces show these this often, relative to other units; gaze has a
# distribution of its own.
RARE_UNITS = {"AD29": 0.15, "AD30_L": 0.1, "AD30_R": 0.1, "AD34": 0.15}

# Where eyes wander: standard deviation of the angle, degrees, and the degrees
# of full weight, per (positive, negative) pair of units.
GAZES = ((61, 62, 6.0, 25.0), (63, 64, 4.0, 22.0))
