"""Which group of faces a code belongs to: pose, skin tone, sex, age, look."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from facerec_jax.face import code_vector
from facerec_jax.face import morphable_model

YAW_LIMITS = (15.0, 30.0, 60.0)
# Chardon, Cretois & Hourseau 1991, degrees, dark to light.
ITA_LIMITS = (-30.0, 10.0, 28.0, 41.0, 55.0)
ITA_CLASSES = (
  *("dark", "brown", "tan", "intermediate", "light", "very light"),
)
# Identity modes that people are grouped by, and where bands begin, standard
# deviations.
BANDED_MODES = {"sex": (-0.5, 0.5), "age": (-1.0, 1.0)}
# Mean displacement of the face's vertices by the expression, mm.
EXPRESSION_LIMITS = (0.5, 1.5)
EXPRESSION_CLASSES = ("neutral", "slight", "strong")
# The white specular that a spectrophotometer sees, added to the albedo.
_SPECULAR = 0.03
_TO_XYZ = np.array(
  [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
)


class Band(NamedTuple):
  """A group of faces.

  Attributes:
    rank: its place among the groups of its kind.
    label: its name.
  """

  rank: int
  label: str


def band(value: float, limits: Sequence[float], labels: Sequence[str]) -> Band:
  """The band of a value: labels[k] from limits[k - 1] up to limits[k]."""
  rank = int(np.searchsorted(limits, value, side="right"))
  return Band(rank, labels[rank])


def of_yaw(yaw_degrees: float) -> Band:
  """The band of a yaw, either side."""
  edges = (0.0, *YAW_LIMITS, 90.0)
  labels = [
    f"{edges[k]:.0f}-{edges[k + 1]:.0f}°" for k in range(len(edges) - 1)
  ]
  return band(abs(yaw_degrees), YAW_LIMITS, labels)


def typology_angle(color: np.ndarray) -> np.ndarray:
  """Individual typology angle [...] of linear RGB albedo [..., 3], degrees.

  atan2(L* - 50, b*) under D65 (Chardon, Cretois & Hourseau 1991).
  """
  xyz = (color + _SPECULAR) @ _TO_XYZ.T / _TO_XYZ.sum(axis=1)
  root = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
  lightness = 116 * root[..., 1] - 16
  yellow = 200 * (root[..., 1] - root[..., 2])
  return np.degrees(np.arctan2(lightness - 50, yellow))


class Grouper:
  """Sorts the codes of a model into groups.

  Args:
    model: the morphable model of the codes.
    layout: of the flat codes.
  """

  def __init__(
    self,
    model: morphable_model.MorphableModel,
    layout: code_vector.CodeLayout,
  ):
    self._names = model.identity_names
    self._layout = layout
    weights = np.asarray(morphable_model.face_weights(model), float)
    face = np.flatnonzero(weights)
    basis = np.asarray(model.expression, np.float32)[face]
    self._expression = basis[:, :, : layout.expression]
    skin = face
    if "skin" in model.region_names:
      marked = morphable_model.region_vertices(model, "skin")
      skin = np.flatnonzero(marked & (weights > 0))
    self._tone_mean = np.asarray(model.albedo_mean, float)[skin].mean(axis=0)
    tones = np.asarray(model.albedo, float)[skin].mean(axis=0)
    self._tones = tones[:, : layout.albedo]

  def groups(self, flat: np.ndarray) -> dict[str, Band]:
    """Kind of group -> group of one flat code [D]."""
    code = self._layout.unflatten(np.asarray(flat, np.float32))
    yaw = float(np.degrees(code.rotation[1]))
    found = {
      "yaw": of_yaw(yaw),
      "skin tone": self._tone(np.asarray(code.albedo)),
      "expression": self._strength(np.asarray(code.expression)),
    }
    for name, limits in BANDED_MODES.items():
      if name in self._names[: self._layout.identity]:
        value = float(code.identity[self._names.index(name)])
        found[name] = band(value, limits, _band_labels(limits))
    return found

  def _tone(self, coefficients):
    color = np.clip(self._tone_mean + self._tones @ coefficients, 0, 1)
    angle = float(typology_angle(color))
    return band(angle, ITA_LIMITS, ITA_CLASSES)

  def _strength(self, coefficients):
    moved = np.linalg.norm(self._expression @ coefficients, axis=1)
    mean = float(moved.mean()) if len(moved) else 0.0
    return band(mean, EXPRESSION_LIMITS, EXPRESSION_CLASSES)


def _band_labels(limits):
  low, high = limits
  return (f"< {low:g}", f"{low:g} to {high:g}", f"> {high:g}")
