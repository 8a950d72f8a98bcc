"""Units of a blendshape basis: which columns move together.

A unit is all columns of one base name: "AU12_L" and "AU12_R" are the unit
"AU12". Names are static, so these tables are NumPy arrays made once.
"""

from __future__ import annotations

import functools
import re
from typing import NamedTuple

import numpy as np

from facerec_jax.synthesis import emotions

_SIDED = re.compile(r"(.+)_([LR])$")
# The two sides of these are opposite movements, not one pair.
_OPPOSED = frozenset({"AD30"})


class Units(NamedTuple):
  """How units move the columns of a blendshape basis (NumPy arrays).

  Attributes:
    names: U base names.
    columns: [U, Ke] 1 where a column belongs to a unit.
    side: [Ke] +1 the subject's left, -1 right, 0 both.
  """

  names: tuple[str, ...]
  columns: np.ndarray
  side: np.ndarray

  def find(self, unit: int | str) -> int | None:
    """Index of an action unit or of a name, None if the model has none."""
    name = f"AU{unit:02d}" if isinstance(unit, int) else unit
    return self.names.index(name) if name in self.names else None

  @property
  def propensity(self) -> np.ndarray:
    """[U] how often random faces show a unit, 1 is usual; 0 for gaze."""
    often = np.array([emotions.RARE_UNITS.get(n, 1.0) for n in self.names])
    for first, second, *_ in emotions.GAZES:
      for unit in (first, second):
        if (index := self.find(unit)) is not None:
          often[index] = 0.0
    return often.astype(np.float32)

  @property
  def are_action_units(self) -> bool:
    """Whether the model is animated by FACS action units."""
    return any(name.startswith("AU") for name in self.names)


class EmotionTable(NamedTuple):
  """`emotions.EMOTIONS` over the units of a model (NumPy arrays).

  Attributes:
    label: [N] class of each variant.
    share: [N] of the images of its class.
    weight: [N, U] mean weight of each unit.
    active: [N, U] probability that a unit takes part.
  """

  label: np.ndarray
  share: np.ndarray
  weight: np.ndarray
  active: np.ndarray


@functools.lru_cache(maxsize=16)
def find_units(names: tuple[str, ...], count: int) -> Units:
  """Groups expression columns into units.

  Args:
    names: of the columns; empty makes each column a unit.
    count: Ke.

  Returns:
    The units, in order of their first columns.
  """
  bases, side = [], np.zeros(count, np.float32)
  for column, name in enumerate(names or map(str, range(count))):
    match = _SIDED.match(name)
    if match and match[1] not in _OPPOSED:
      side[column] = 1.0 if match[2] == "L" else -1.0
      name = match[1]
    bases.append(name)
  unique = tuple(dict.fromkeys(bases))
  columns = np.zeros((len(unique), count), np.float32)
  for column, base in enumerate(bases):
    columns[unique.index(base), column] = 1.0
  return Units(unique, columns, side)


@functools.lru_cache(maxsize=16)
def emotion_table(names: tuple[str, ...]) -> EmotionTable:
  """Spreads the emotions over units; units that a model lacks are left out."""
  rows = [
    (label, variant)
    for label, name in enumerate(emotions.CLASSES)
    for variant in emotions.EMOTIONS[name]
  ]
  weight = np.zeros((len(rows), len(names)), np.float32)
  active = np.zeros_like(weight)
  units = Units(names, weight, weight)
  for row, (_, variant) in enumerate(rows):
    parts = [(unit, mean, 1.0) for unit, mean in variant.units]
    parts += [
      (unit, emotions.OPTIONAL_WEIGHT, share)
      for unit, share in variant.optional
    ]
    for unit, mean, probability in parts:
      index = units.find(unit)
      if index is not None:
        weight[row, index] = mean
        active[row, index] = probability
  label = np.array([label for label, _ in rows], np.int32)
  share = np.array([variant.share for _, variant in rows], np.float32)
  return EmotionTable(label, share, weight, active)
