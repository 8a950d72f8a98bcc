"""Colours people: from a `people.Person` to the albedo of every vertex."""

from __future__ import annotations

import numpy as np

from facerec_jax.model_files.builtin import chart
from facerec_jax.model_files.builtin import color_masks
from facerec_jax.model_files.builtin import eye_color
from facerec_jax.model_files.builtin import hair_masks
from facerec_jax.model_files.builtin import people
from facerec_jax.model_files.builtin import skin_color as skin_color_lib
from facerec_jax.model_files.builtin import skin_marks

smoothstep = chart.smoothstep

# Volume fractions in the mid cheek of medium skin.
_MELANIN, _BLOOD = 0.03, 0.02
# Factors of (melanin, blood) by region, on the mid cheek's.
PIGMENT_FACTORS = {
  "forehead": (1.15, 1.0),
  "cheek": (0.95, 1.3),
  "nose": (1.1, 1.6),
  "bridge": (1.1, 1.1),
  "chin": (1.05, 1.3),
  "upper_lip_skin": (1.1, 1.05),
  "jaw": (0.88, 0.8),
  "upper_lid": (1.2, 1.3),
  "socket": (1.2, 1.15),
  "under_eye": (1.18, 1.2),
  "nasolabial": (1.0, 1.2),
  "alar": (1.2, 1.8),
  "ears": (0.95, 1.5),
}
# Which factor darkens which region, in steps of the tone, and reddens it, in
# steps of blood. Along the line of tones, lest dark skin turn green.
_PIGMENT_STEPS = {
  "flush": {"cheek": (0.03, 1.8), "nose": (0.03, 1.2), "ears": (0.0, 0.9)},
  "under_eye": {"under_eye": (0.3, 0.9)},
  "socket": {"socket": (0.2, 0.5)},
  "upper_lid": {"upper_lid": (0.4, 0.7)},
  "sun": {"forehead": (0.08, 0.1), "bridge": (0.05, 0.2), "jaw": (-0.04, 0.0)},
  "nose_pigment": {"nose": (0.11, 0.7), "alar": (0.12, 0.7)},
  "chin_pigment": {"chin": (0.13, 0.3), "upper_lip_skin": (0.14, 0.0)},
}
_MOTTLING = (0.018, 0.2)  # steps of (tone, blood)
_CREASE = np.array([0.26, 0.31, 0.33])  # share of light that a crease takes
_FRECKLE = np.array([0.10, 0.15, 0.18])
_MOLE = np.array([0.5, 0.65, 0.7])
# Cover of the beard: mean and step of the whole, steps of its parts.
_BEARD, _BEARD_STEP = 0.22, 0.14
_BEARD_PARTS = {"moustache": 0.13, "chin_beard": 0.13, "jaw_beard": 0.09}
# A shaven beard shimmers through the skin, grey-blue.
_STUBBLE = np.array([0.36, 0.45, 0.60])
_LIP_BLOOD = 3.9
_LIP_STEP = np.array([0.026, -0.012, -0.006])
_LASH = np.array([0.020, 0.016, 0.014])
_TEETH = np.array([0.66, 0.56, 0.43])
_GUM = np.array([0.30, 0.10, 0.09])
_THROAT = np.array([0.05, 0.016, 0.013])
_MOUTH_WALL = np.array([0.20, 0.065, 0.06])
_LID_MARGIN = np.array([0.55, 0.29, 0.23])


class Painter:
  """Albedo of people on one sculpture; the masks are made once."""

  def __init__(self, sculpture):
    at = color_masks.places(sculpture)
    self._sculpture = sculpture
    pigments = color_masks.pigment_masks(at)
    self._regions = list(pigments)
    self._pigments = np.stack(list(pigments.values()), axis=1)
    factors = np.log([PIGMENT_FACTORS[name] for name in self._regions])
    melanin, blood = np.exp(self._pigments @ factors).T
    self._regional = _relative_color(melanin, blood)
    self._mottling = skin_marks.mottling(
      sculpture.points, people.MOTTLING_FACTORS
    )
    self._creases = skin_marks.creases(at)
    self._freckles = [skin_marks.freckles(at, seed) for seed in (31, 32)]
    self._moles = [skin_marks.moles(at, seed) for seed in (41, 42, 43)]
    self._lips = color_masks.lips(at)
    self._lip_line = color_masks.lip_line(at)
    from_seam = at.opened[:, 1] - chart.mouth_height(at.opened[:, 0])
    self._upper_lip = smoothstep(-0.5, 0.5, from_seam)
    self._nostrils = color_masks.nostrils(at)
    self._lash = color_masks.lashes(at)
    self._beard = hair_masks.beard_zones(at)
    self._scalp = hair_masks.Scalp(at)
    self._line_shifts = hair_masks.line_shifts(at)
    self._strands = [hair_masks.strands(at, seed) for seed in (50, 51, 52)]
    self._brow = hair_masks.Brow(at)
    random = np.random.default_rng(60)
    self._grain = random.normal(size=(3, len(at.uv)))
    self._eye_places = color_masks.eye_places(sculpture)

  def paint(self, person: people.Person) -> np.ndarray:
    """[V, 3] linear RGB; just below 0 in the darkest places of dark people."""
    color = self._marks(self._skin(person), person)
    color = self._paint_lips(color, person)
    color = color * (1 - 0.93 * self._nostrils)[:, None]
    color = self._paint_beard(color, person)
    color = self._paint_brows(color, person)
    color = self._paint_scalp(color, person)
    upper, lower = self._lash
    strength = 1.0 + 0.45 * person["lashes"]
    lash = np.clip(strength * (1.1 * upper + 0.4 * lower), 0, 0.92)[:, None]
    color = color * (1 - lash) + _LASH * lash
    return self._paint_parts(color, person)

  def _skin(self, person):
    shade, blood = (self._pigments @ self._region_steps(person)).T
    weights = [person[f"mottling_{k}"] for k in range(people.MOTTLING_FACTORS)]
    mottling = self._mottling @ np.array(weights) / np.sqrt(len(weights))
    shade = shade + _MOTTLING[0] * mottling
    blood = blood + _MOTTLING[1] * mottling
    steps = blood[:, None] * people.BLOOD_STEP
    steps = steps - shade[:, None] * people.TONE_STEP
    return person.skin() * self._regional + steps

  def _region_steps(self, person):
    total = {name: np.zeros(2) for name in self._regions}
    for factor, regions in _PIGMENT_STEPS.items():
      for region, step in regions.items():
        total[region] += person[factor] * np.array(step)
    return np.stack([total[name] for name in self._regions])

  def _marks(self, color, person):
    depth = (0.48 + 0.42 * person["creases"]) * self._creases
    color = color * (1 - depth[:, None] * _CREASE)
    for k, field in enumerate(self._freckles):
      amount = (0.22 + 0.2 * person[f"freckles_{k}"]) * field
      color = color * np.exp(-amount[:, None] * _FRECKLE)
    for k, field in enumerate(self._moles):
      amount = (0.1 + 0.12 * person[f"moles_{k}"]) * field
      color = color * np.exp(-amount[:, None] * _MOLE)
    return color

  def _paint_lips(self, color, person):
    lip = person.skin() * _relative_color(1.0, _LIP_BLOOD)
    lip = lip + 0.6 * person["lip_shade"] * people.TONE_STEP
    lip = lip + person["lip_redness"] * _LIP_STEP
    # The upper lip is darker than the lower, and redder than the model says.
    tone = (1.0 - 0.18 * self._upper_lip)[:, None] * [1.06, 0.9, 0.95]
    cover = (0.94 * self._lips)[:, None]
    color = color * (1 - cover) + lip * tone * cover
    return color * (1 - 0.6 * self._lip_line)[:, None]

  def _paint_beard(self, color, person):
    whole = _BEARD + _BEARD_STEP * person["beard"] - 0.04 * person["tone"]
    cover = whole * self._beard["beard"]
    for name, step in _BEARD_PARTS.items():
      cover = cover + step * person[name] * self._beard[name]
    cover = np.clip(cover * (1 + 0.08 * self._grain[0]), 0, 0.95)[:, None]
    hair = 0.5 * color * _STUBBLE + 0.5 * person.brow_hair()
    return color * (1 - cover) + hair * cover

  def _paint_brows(self, color, person):
    grain = 0.10 * self._grain[0]
    for k in range(2):
      grain = grain + 0.12 * person[f"brow_grain_{k}"] * self._grain[k + 1]
    cover = self._brow.cover(
      height=0.75 * person["brow_height"],
      tilt=0.95 * person["brow_tilt"],
      arch=0.95 * person["brow_arch"],
      length=2.5 * person["brow_length"],
      gap=2.6 * person["brow_gap"],
      asymmetry=1.0 * person["brow_asymmetry"],
      thickness=1.0 + 0.22 * person["brow_thickness"] - 0.1 * person["tone"],
      grain=grain,
    )
    most = 0.9 + 0.15 * person["brow_cover"] - 0.08 * person["tone"]
    cover = np.clip(most * cover, 0, 0.97)[:, None]
    return color * (1 - cover) + person.brow_hair() * cover

  def _paint_scalp(self, color, person):
    retreat = sum(
      person[name] * field for name, field in self._line_shifts.items()
    )
    retreat = retreat + 1.5 * person["tone"]
    baldness = 0.05 + 0.09 * person["baldness"]
    cover = self._scalp.cover(retreat, baldness)[:, None]
    streak = self._strands[0]
    for k in range(2):
      streak = streak + person[f"strands_{k}"] * self._strands[k + 1]
    hair = person.hair() * np.exp(0.11 * streak)[:, None]
    return color * (1 - cover) + hair * cover

  def _paint_parts(self, color, person):
    places = zip(
      self._sculpture.parts, self._sculpture.part_slices, strict=True
    )
    light = min(1.0, float(np.median(color[:, 0])) / 0.35)
    for part, where in places:
      if part.name.endswith("_eye"):
        color[where] = eye_color.eye_color(
          *self._eye_places[where].T, person.iris()
        )
      elif part.name == "lid_margin":
        color[where] = _LID_MARGIN * (0.45 + 0.4 * light)
      elif part.name == "mouth_interior":
        depth = smoothstep(8.0, -12.0, part.points[:, 2])[:, None]
        color[where] = _MOUTH_WALL * (1 - depth) + _THROAT * depth
      elif part.name == "teeth":
        color[where] = _teeth(part.points)
    return color


def _relative_color(melanin, blood):
  """Colour of skin with these factors of pigments, relative to the cheek's.

  Taken at medium skin for all: in a linear model shares of the tone scale with
  it, differences would not.
  """
  base = skin_color_lib.skin_color(np.array(_MELANIN), np.array(_BLOOD))
  return (
    skin_color_lib.skin_color(_MELANIN * melanin, _BLOOD * np.array(blood))
    / base
  )


def _teeth(points):
  """Crowns with gaps every 8 mm, gums beyond them."""
  from_edge = np.abs(points[:, 1] + 74.1)
  gum = smoothstep(7.5, 9.5, from_edge)[:, None]
  gap = np.cos(2 * np.pi * points[:, 0] / 8.0)
  crown = _TEETH * (1 - 0.12 * np.clip(-gap, 0, 1))[:, None]
  # Toward the cheeks the row lies in the dark.
  crown = crown * (1 - 0.75 * smoothstep(13, 23, np.abs(points[:, 0])))[:, None]
  return crown * (1 - gum) + _GUM * gum
