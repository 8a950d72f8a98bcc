"""Random people's colouring: pigments, hair, eyes, lips.

Distributions of the facts on skin and hair; `painting` turns a `Person` into
the albedo of every vertex.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from facerec_jax.model_files.builtin import skin_color as skin_color_lib

skin_color = skin_color_lib.skin_color

# Weights of random irregularities of a person's skin.
NUM_MOTTLING = 40
# Hair and irises lie on straight lines between colours, because a linear
# model's combinations of many colours would be teal and violet.
_BLACK_HAIR = np.array([0.012, 0.010, 0.009])
_FAIR_HAIR = np.array([0.30, 0.20, 0.115])
_GRAY_HAIR = np.array([0.12, 0.14, 0.16])  # added, times a small number
_BROWN_IRIS = np.array([0.075, 0.034, 0.014])
_BLUE_IRIS = np.array([0.19, 0.29, 0.37])
_HAZEL_IRIS = np.array([0.05, 0.035, 0.0])  # added, times a small number
# Red albedo of the mid cheek in the population: mean, standard deviation, and
# how many of these are kept. Drawn even in albedo, not in melanin, because a
# linear model's tones are; light to dark skin (ITA 55 to -45) lies within.
_RED_ALBEDO = (0.35, 0.08, 2.25)
# Real tones lie on a curve from light to dark; a line through its middle would
# end in orange. They are drawn toward the chord by this share.
_CHORD_SHARE = 0.8
_CHORD_ENDS = (0.16, 0.006)  # melanin
_MELANINS = np.geomspace(*skin_color_lib.MELANIN_RANGE, 200)
_RED_OF_MELANIN = skin_color(_MELANINS, 0.02)[:, 0]


@dataclasses.dataclass(frozen=True)
class Person:
  """One person's colouring.

  Attributes:
    melanin: effective volume fraction in the epidermis, mid cheek.
    straightening: [3] added to skin, see `_CHORD_SHARE`.
    blood: volume fraction in the dermis, mid cheek.
    flush: strength of the cheeks' redness, 1 is usual.
    under_eye: strength of the rings under the eyes, 1 is usual.
    lip_blood: blood of the lips, relative to the cheek.
    lip_strength: cover of the vermilion, 0 to 1.
    hair: [3] linear RGB.
    brow_cover: share of skin that the brow hides, 0 to 1.
    brow_thickness: 1 is 30 % thicker.
    brow_lift: 1 is 1.5 mm higher.
    lash: strength of the lash lines, 0 to 1.
    beard: strength of the beard's shadow, 0 to 1.
    scalp: share of scalp that hair hides, 0 to 1.
    retreat: 1 is a hair line 10 mm higher.
    iris: [3] linear RGB.
    mottling: [NUM_MOTTLING] weights of irregularities.
  """

  melanin: float
  straightening: np.ndarray
  blood: float
  flush: float
  under_eye: float
  lip_blood: float
  lip_strength: float
  hair: np.ndarray
  brow_cover: float
  brow_thickness: float
  brow_lift: float
  lash: float
  beard: float
  scalp: float
  retreat: float
  iris: np.ndarray
  mottling: np.ndarray


def _chord(red):
  """The colour of this red albedo on the line from dark to light skin."""
  dark, light = (skin_color(melanin, 0.02) for melanin in _CHORD_ENDS)
  return dark + (red - dark[0]) / (light[0] - dark[0]) * (light - dark)


def sample(random) -> Person:
  """Draws a person."""
  mean, spread, limit = _RED_ALBEDO
  tone = mean + spread * np.clip(random.normal(), -limit, limit)
  melanin = float(np.interp(-tone, -_RED_OF_MELANIN, _MELANINS))
  # Dark skin goes with dark hair and eyes.
  fair = float(np.interp(np.log(melanin / 0.03), [-1.0, 0.8], [1.0, 0.12]))
  man = random.uniform() < 0.5
  return Person(
    melanin=melanin,
    straightening=_CHORD_SHARE * (_chord(tone) - skin_color(melanin, 0.02)),
    blood=float(0.02 * np.exp(random.normal(0, 0.2))),
    flush=random.uniform(0.8, 1.6),
    under_eye=random.uniform(0.3, 1.3),
    lip_blood=random.uniform(3.2, 4.5),
    lip_strength=random.uniform(0.7, 1.0),
    hair=_BLACK_HAIR
    + fair * random.beta(0.9, 2.2) * (_FAIR_HAIR - _BLACK_HAIR)
    + abs(random.normal(0, 0.25)) * _GRAY_HAIR,
    brow_cover=random.uniform(0.45, 0.85),
    brow_thickness=random.normal(0.0, 0.5),
    brow_lift=random.normal(0.0, 0.5),
    lash=random.uniform(0.5, 1.0),
    beard=0.8 * random.beta(2, 3) if man else 0.0,
    scalp=random.uniform(0.7, 1.0),
    retreat=random.normal(0.0, 0.5),
    iris=_BROWN_IRIS
    + fair * random.beta(0.7, 0.9) * (_BLUE_IRIS - _BROWN_IRIS)
    + random.uniform(0, 1) * _HAZEL_IRIS,
    mottling=random.normal(size=NUM_MOTTLING),
  )
