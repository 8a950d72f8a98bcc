"""What a face cannot do at once: FACS' units that do not simply add."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from facerec_jax.synthesis import emotions
from facerec_jax.synthesis import expression_units

# Millimetres at full weight, from the landmark displacements of the units.
_LOWER_LID = {6: 2.0, 7: 2.1}
_MOST_LOWER_LID = 3.0
_LIP_GAP = {25: 4.0, 26: 13.0, 27: 44.0}
_CORNER_OUT = {12: 7.5, 20: 5.5}
_MOST_CORNER_OUT = 9.0
# Share of the fissure that units close at full weight, beside 43.
_CLOSING = {6: 0.27, 7: 0.37, 9: 0.2}


def resolve_conflicts(units: expression_units.Units, weights) -> jax.Array:
  """Removes what a face cannot do at once (FACS' non-additive pairs).

  * Of exclusive units (26 and 27, opposite gazes) the stronger stays.
  * Raised inner brows win over lowered ones: 1 takes up to 40 % off 4.
  * The lower lid rises by 3 mm at most over 6 and 7.
  * Closing lids (43) void lid raising (5) and gaze, and go only as far as 6, 7
    and 9 have not closed them.
  * The mouth corners go out by 9 mm at most over 12 and 20; 12 replaces 13.
  * Parted lips (25, 26, 27) undo what needs closed ones (23, 24, 28, AD34);
    sucked lips (28) are neither pressed nor funnelled (18, 22, 23, 24).

  Args:
    units: of the model.
    weights: [U].

  Returns:
    [U].
  """
  weights = _exclude(units, weights)
  weights = _lids(_Weights(units, weights))
  return _mouth(_Weights(units, weights))


class _Weights:
  """Reads and scales weights by action unit; units not there are at rest."""

  def __init__(self, units, weights):
    self._units = units
    self.values = weights

  def __getitem__(self, unit):
    index = self._units.find(unit)
    return jnp.zeros(()) if index is None else self.values[index]

  def scale(self, factor, *numbers):
    for unit in numbers:
      index = self._units.find(unit)
      if index is not None:
        self.values = self.values.at[index].multiply(factor)

  def cap(self, unit, limit):
    """Limits a weight."""
    limit = jnp.maximum(limit, 0.0)
    self.scale(jnp.minimum(1.0, limit / jnp.maximum(self[unit], 1e-6)), unit)


def _exclude(units, weights):
  names = [(f"AU{a}", f"AU{b}") for a, b in emotions.EXCLUSIVE]
  for first, second in (*names, ("AD30_L", "AD30_R")):
    if first in units.names and second in units.names:
      a, b = units.names.index(first), units.names.index(second)
      first_wins = weights[a] >= weights[b]
      weights = weights.at[a].multiply(first_wins).at[b].multiply(~first_wins)
  return weights


def _lids(weight):
  weight.scale(1 - 0.4 * weight[1], 4)
  lid = _MOST_LOWER_LID - _LOWER_LID[6] * weight[6]
  weight.cap(7, lid / _LOWER_LID[7])
  weight.scale(1 - weight[43], 5, 61, 62, 63, 64)
  closed = sum(share * weight[unit] for unit, share in _CLOSING.items())
  weight.scale(1 - jnp.minimum(closed, 1.0), 43)
  return weight.values


def _mouth(weight):
  out = _MOST_CORNER_OUT - _CORNER_OUT[12] * weight[12]
  weight.cap(20, out / _CORNER_OUT[20])
  weight.scale(1 - weight[12], 13)
  weight.scale(1 - weight[28], 18, 22, 23, 24)
  gap = sum(size * weight[unit] for unit, size in _LIP_GAP.items())
  weight.scale(jnp.maximum(0.0, 1 - gap / 6.0), 23, 24, 28, "AD34")
  return weight.values
