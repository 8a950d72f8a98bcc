"""Means with bootstrap intervals, and cumulative curves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

LEVEL = 0.95
_RESAMPLES = 2000
_SEED = 0


class Interval(NamedTuple):
  """A value with its confidence interval.

  Attributes:
    value: computed from all examples.
    low: end of the interval; NaN for fewer than two examples.
    high: other end.
    count: of examples.
  """

  value: float
  low: float
  high: float
  count: int


class Comparison(NamedTuple):
  """Errors of an encoder beside those of the mean face, same examples.

  Attributes:
    encoder: mean error.
    mean_face: mean error of always answering the mean face.
    gain: share of the mean face's error that the encoder takes away.
    wins: share of the examples that the encoder reads better.
  """

  encoder: Interval
  mean_face: Interval
  gain: Interval
  wins: float


def mean(values: Iterable[float]) -> Interval:
  """Mean of the finite values with a 95 % percentile bootstrap (Efron 1979)."""
  values = _finite(values)
  if not len(values):
    return Interval(np.nan, np.nan, np.nan, 0)
  return _interval(
    values.mean(), _resampled_means(values[:, None])[:, 0], values
  )


def compare(encoder: Iterable[float], mean_face: Iterable[float]) -> Comparison:
  """Compares two errors of the same examples; resamples them in pairs.

  Args:
    encoder: [n]; examples where either error is not finite are left out.
    mean_face: [n].
  """
  pairs = np.column_stack([np.asarray(encoder), np.asarray(mean_face)])
  pairs = pairs.astype(float)[np.isfinite(pairs).all(axis=1)]
  if not len(pairs):
    nothing = Interval(np.nan, np.nan, np.nan, 0)
    return Comparison(nothing, nothing, nothing, np.nan)
  means, resampled = pairs.mean(axis=0), _resampled_means(pairs)
  return Comparison(
    *(_interval(means[k], resampled[:, k], pairs) for k in (0, 1)),
    _interval(_gain(*means), _gain(*resampled.T), pairs),
    float((pairs[:, 0] < pairs[:, 1]).mean()),
  )


def cumulative_share(values: Iterable[float], limits: np.ndarray) -> np.ndarray:
  """Share of the finite values that are at most each of the limits, [n]."""
  ordered = np.sort(_finite(values))
  return np.searchsorted(ordered, limits, side="right") / max(len(ordered), 1)


def _finite(values):
  values = np.asarray(list(values), float)
  return values[np.isfinite(values)]


def _gain(encoder, mean_face):
  with np.errstate(divide="ignore", invalid="ignore"):
    return 1.0 - encoder / mean_face


def _resampled_means(columns):
  """[resamples, k] means of resampled rows of [n, k]."""
  random, num = np.random.default_rng(_SEED), len(columns)
  # How often each example is drawn: one row of a multinomial.
  counts = random.multinomial(num, np.full(num, 1.0 / num), _RESAMPLES)
  return counts @ columns / num


def _interval(value, resampled, examples):
  tail = 50.0 * (1.0 - LEVEL)
  ends = (np.nan, np.nan)
  if len(examples) > 1:
    ends = np.nanpercentile(resampled, [tail, 100.0 - tail])
  return Interval(float(value), *map(float, ends), len(examples))
