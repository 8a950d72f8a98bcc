"""Counting how often labels agree, and how sure a count is."""

from __future__ import annotations

import math

import numpy as np

# Two-sided 95 % of a normal distribution.
_Z = 1.959963984540054


def confusion_matrix(true, named, num_classes: int) -> np.ndarray:
  """Counts, rows the true classes, columns the named ones.

  Args:
    true: [N] integers.
    named: [N] integers.
    num_classes: K.

  Returns:
    [K, K] integers.
  """
  counts = np.zeros((num_classes, num_classes), int)
  np.add.at(counts, (np.asarray(true, int), np.asarray(named, int)), 1)
  return counts


def wilson_interval(
  successes: int, trials: int, z: float = _Z
) -> tuple[float, float]:
  """Confidence interval of a proportion (Wilson 1927).

  Args:
    successes: how often it happened.
    trials: how often it could have; none gives (0, 1).
    z: normal quantile, by default for 95 %.

  Returns:
    (low, high) in [0, 1].

  Raises:
    ValueError: counts that cannot be.
  """
  if not 0 <= successes <= trials:
    raise ValueError(f"{successes} of {trials} is no proportion")
  if not trials:
    return 0.0, 1.0
  share = successes / trials
  weight = z * z / trials
  middle = (share + weight / 2) / (1 + weight)
  half = z / (1 + weight)
  half *= math.sqrt((share * (1 - share) + weight / 4) / trials)
  return max(middle - half, 0.0), min(middle + half, 1.0)


def rank_correlation(first, second) -> float:
  """Spearman's rho, equal values sharing their mean rank; nan if all equal."""
  ranks = np.stack([_ranks(first), _ranks(second)])
  centered = ranks - ranks.mean(axis=1, keepdims=True)
  spread = np.sqrt((centered**2).sum(axis=1)).prod()
  return float(centered.prod(axis=0).sum() / spread) if spread else math.nan


def _ranks(values):
  _, place, counts = np.unique(
    np.asarray(values), return_inverse=True, return_counts=True
  )
  last = np.cumsum(counts)
  return (last - (counts - 1) / 2)[place]
