"""The one-euro filter (Casiez, Roussel & Vogel 2012).

A low-pass filter whose cut-off frequency rises with the speed of the signal:
steady when little moves, quick when much does.
"""

from __future__ import annotations

import math

import numpy as np


class OneEuroFilter:
  """Filters a vector, element by element."""

  def __init__(
    self,
    *,
    min_cutoff: float = 1.0,
    beta: float = 0.0,
    derivative_cutoff: float = 1.0,
  ):
    """Starts without a past.

    Args:
      min_cutoff: cut-off of a signal at rest, Hz; less is smoother.
      beta: Hz by which the cut-off rises per unit a second of the signal.
      derivative_cutoff: cut-off of the speed, Hz.

    Raises:
      ValueError: a cut-off that is not positive, or a negative beta.
    """
    if not (min_cutoff > 0 and derivative_cutoff > 0 and beta >= 0):
      raise ValueError(
        f"one-euro filter: got min_cutoff {min_cutoff}, derivative_cutoff "
        f"{derivative_cutoff}, beta {beta}; wanted the first two above 0 and "
        "beta not below"
      )
    self._min_cutoff = min_cutoff
    self._beta = beta
    self._derivative_cutoff = derivative_cutoff
    self.reset()

  def reset(self) -> None:
    """Forgets the past."""
    self._time = self._value = self._speed = None

  def __call__(self, time: float, value: np.ndarray) -> np.ndarray:
    """Filters the next value.

    Args:
      time: seconds; a value of the same time or an earlier one is taken to be
        the first.
      value: [n].

    Returns:
      [n] float64.
    """
    value = np.asarray(value, np.float64)
    if self._time is None or time <= self._time:
      self._time, self._value = time, value
      self._speed = np.zeros_like(value)
      return value
    step = time - self._time
    # From the last filtered value, as in the paper's algorithm 1.
    speed = (value - self._value) / step
    share = _share(self._derivative_cutoff, step)
    self._speed = self._speed + share * (speed - self._speed)
    cutoff = self._min_cutoff + self._beta * np.abs(self._speed)
    self._value = self._value + _share(cutoff, step) * (value - self._value)
    self._time = time
    return self._value


def _share(cutoff, step):
  """Weight of the newest value in an exponential mean."""
  turn = 2 * math.pi * cutoff * step
  return turn / (turn + 1)
