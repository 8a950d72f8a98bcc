"""Colours people: from a `people.Person` to the albedo of every vertex."""

from __future__ import annotations

import numpy as np

from facerec_jax.model_files.builtin import chart
from facerec_jax.model_files.builtin import color_masks
from facerec_jax.model_files.builtin import people
from facerec_jax.model_files.builtin import skin_color as skin_color_lib

smoothstep = chart.smoothstep
skin_color = skin_color_lib.skin_color

# Factors of (melanin, blood) by region, on the mid cheek's.
PIGMENT_FACTORS = {
  "forehead": (1.15, 1.0),
  "cheek": (0.95, 1.35),
  "nose": (1.1, 1.6),
  "bridge": (1.1, 1.1),
  "chin": (1.05, 1.3),
  "upper_lip_skin": (1.1, 1.05),
  "jaw": (0.88, 0.8),
  "upper_lid": (1.2, 1.3),
  "under_eye": (1.35, 1.3),
  "nasolabial": (1.0, 1.2),
  "alar": (1.2, 1.8),
  "ears": (0.95, 1.9),
}
# Linear RGB; the beard's factors multiply the skin.
_LASH = 0.022
_PUPIL = 0.004
_TEETH = np.array([0.60, 0.54, 0.42])
_GUM = np.array([0.30, 0.10, 0.09])
_THROAT = np.array([0.05, 0.016, 0.013])
_MOUTH_WALL = np.array([0.20, 0.065, 0.06])
_SCLERA = np.array([0.56, 0.52, 0.485])
_CANTHUS = np.array([0.42, 0.31, 0.26])
_BEARD = np.array([0.55, 0.58, 0.64])
_LID_MARGIN = np.array([0.55, 0.29, 0.23])


class Painter:
  """Albedo of people on one sculpture; the masks are made once."""

  def __init__(self, sculpture):
    at = color_masks.places(sculpture)
    self._at = at
    self._sculpture = sculpture
    pigments = color_masks.pigment_masks(at)
    self._pigments = np.stack(list(pigments.values()), axis=1)
    self._names = list(pigments)
    self._brow = color_masks.brow(at, thickness=1.0)
    # Derivatives by thickness and height: brows vary linearly.
    self._brow_thicker = color_masks.brow(at, thickness=1.3) - self._brow
    self._brow_higher = (
      color_masks.brow(at, thickness=1.0, lift=1.5) - self._brow
    )
    self._lash = color_masks.lashes(at)
    self._lips = color_masks.lips(at)
    self._lip_line = color_masks.lip_line(at)
    self._upper = at.opened[:, 1] > 0
    from_seam = at.opened[:, 1] - chart.mouth_height(at.opened[:, 0])
    self._upper_lip = smoothstep(-0.5, 0.5, from_seam)
    self._nostrils = color_masks.nostrils(at)
    self._beard = color_masks.beard(at)
    self._scalp = color_masks.scalp(at)
    self._scalp_retreat = color_masks.scalp(at, retreat=10.0) - self._scalp
    self._eye_radius = color_masks.eye_radius(sculpture)
    self._mottling = _mottling_fields(sculpture.points, people.NUM_MOTTLING)

  def paint(self, person: people.Person) -> np.ndarray:
    """[V, 3] linear RGB."""
    color = self._skin(person)
    color = self._paint_lips(color, person)
    color = color * (1 - 0.93 * self._nostrils)[:, None]
    beard = np.clip(person.beard * self._beard, 0, 1)[:, None]
    color = color * (1 - beard * (1 - _BEARD))
    color = self._paint_hair(color, person)
    upper, lower = self._lash
    lash = np.clip(person.lash * (1.1 * upper + 0.35 * lower), 0, 0.92)[:, None]
    color = color * (1 - lash) + _LASH * lash
    return self._paint_parts(color, person)

  def _skin(self, person):
    factors = np.log([PIGMENT_FACTORS[name] for name in self._names])
    factors[self._names.index("cheek"), 1] *= person.flush
    factors[self._names.index("under_eye")] *= person.under_eye
    melanin, blood = (self._pigments @ factors).T
    mottling = self._mottling @ person.mottling.reshape(2, -1).T
    melanin = melanin + 0.035 * mottling[:, 0]
    blood = blood + 0.06 * mottling[:, 1]
    color = skin_color(
      person.melanin * np.exp(melanin), person.blood * np.exp(blood)
    )
    return np.maximum(color + person.straightening, 0.01)

  def _paint_lips(self, color, person):
    pigment = 0.9 if person.melanin < 0.06 else 1.1
    lip = skin_color(
      np.array(person.melanin * pigment),
      np.array(min(person.blood * person.lip_blood, 0.085)),
    )
    # The upper lip is darker than the lower, and redder than the model says.
    tone = (1.02 - 0.16 * self._upper_lip)[:, None] * [1.06, 0.9, 0.84]
    cover = (person.lip_strength * self._lips)[:, None]
    color = color * (1 - cover) + lip * tone * cover
    return color * (1 - 0.6 * self._lip_line)[:, None]

  def _paint_hair(self, color, person):
    brow = (
      self._brow
      + person.brow_thickness * self._brow_thicker
      + person.brow_lift * self._brow_higher
    )
    brow = np.clip(person.brow_cover * brow, 0, 1)[:, None]
    color = color * (1 - brow) + 1.1 * person.hair * brow
    cover = self._scalp + person.retreat * self._scalp_retreat
    cover = np.clip(person.scalp * cover, 0, 1)[:, None]
    return color * (1 - cover) + person.hair * cover

  def _paint_parts(self, color, person):
    places = zip(
      self._sculpture.parts, self._sculpture.part_slices, strict=True
    )
    light = min(1.0, float(np.median(color[:, 0])) / 0.35)
    for part, where in places:
      if part.name.endswith("_eye"):
        color[where] = self._eye(self._eye_radius[where], person)
      elif part.name == "lid_margin":
        color[where] = _LID_MARGIN * (0.45 + 0.4 * light)
      elif part.name == "mouth_interior":
        depth = smoothstep(8.0, -12.0, part.points[:, 2])[:, None]
        color[where] = _MOUTH_WALL * (1 - depth) + _THROAT * depth
      elif part.name == "teeth":
        color[where] = _teeth(part.points)
    return color

  def _eye(self, radius, person):
    edge = color_masks.iris_edge()
    inner = np.clip((2.6 - np.abs(radius - 2.6)) / 2.6, 0, 1)
    tone = (1 + 0.25 * inner) * (1 - 0.5 * smoothstep(4.7, 5.8, radius))
    iris = person.iris * tone[:, None]
    corner = np.clip((radius - 6) / 6, 0, 1)[:, None]
    sclera = _SCLERA * (1 - corner) + _CANTHUS * corner
    outside = smoothstep(edge - 0.45, edge + 0.25, radius)[:, None]
    pupil = smoothstep(1.5, 2.0, radius)[:, None]
    color = iris * (1 - outside) + sclera * outside
    return color * pupil + _PUPIL * (1 - pupil)


def _teeth(points):
  """Crowns with gaps every 8 mm, gums beyond them."""
  from_edge = np.abs(points[:, 1] + 72.9)
  gum = smoothstep(7.5, 9.5, from_edge)[:, None]
  gap = np.cos(2 * np.pi * points[:, 0] / 8.0)
  crown = _TEETH * (1 - 0.12 * np.clip(-gap, 0, 1))[:, None]
  # Toward the cheeks the row lies in the dark.
  crown = crown * (1 - 0.75 * smoothstep(13, 23, np.abs(points[:, 0])))[:, None]
  return crown * (1 - gum) + _GUM * gum


def _mottling_fields(points, count, seed=11):
  """[V, count / 2] smooth random fields of about unit size, 10-25 mm wide."""
  random = np.random.default_rng(seed)
  half = count // 2
  wave = random.normal(size=(half, 3)) / random.uniform(5, 14, (half, 1))
  phase = random.uniform(0, 2 * np.pi, half)
  return np.sqrt(2 / half) * np.cos(points @ wave.T + phase)
