"""Means, intervals and curves of known errors."""

import numpy as np
import pytest

from facerec_jax.evaluation import statistics


def test_interval_is_that_of_the_normal_distribution():
  values = np.random.default_rng(0).normal(5.0, 2.0, 400)
  found = statistics.mean(values)
  assert found.value == pytest.approx(values.mean())
  half = 1.96 * values.std() / np.sqrt(400)
  assert found.low == pytest.approx(values.mean() - half, abs=0.1 * half)
  assert found.high == pytest.approx(values.mean() + half, abs=0.1 * half)
  assert found.count == 400


def test_interval_covers_the_truth_as_often_as_it_says():
  random = np.random.default_rng(1)
  hits = 0
  for _ in range(200):
    found = statistics.mean(random.exponential(3.0, 60))
    hits += found.low <= 3.0 <= found.high
  assert 0.88 < hits / 200 <= 0.99


def test_what_was_not_measured_does_not_count():
  found = statistics.mean([1.0, np.nan, 3.0, np.inf])
  assert found.value == 2.0 and found.count == 2
  assert np.isnan(statistics.mean([]).value)
  one = statistics.mean([4.0])
  assert one.value == 4.0 and np.isnan(one.low) and one.count == 1


def test_pairs_are_resampled_together():
  """Errors that differ wildly between examples but always by a half."""
  base = np.random.default_rng(2).exponential(10.0, 100)
  found = statistics.compare(0.5 * base, base)
  assert found.gain.value == pytest.approx(0.5)
  assert found.gain.low == pytest.approx(0.5)
  assert found.gain.high == pytest.approx(0.5)
  assert found.wins == 1.0
  assert found.encoder.low < found.encoder.value < found.encoder.high


def test_only_complete_pairs_are_compared():
  found = statistics.compare([1.0, np.nan, 4.0], [2.0, 9.0, 2.0])
  assert found.encoder.value == 2.5 and found.mean_face.value == 2.0
  assert found.gain.value == pytest.approx(-0.25) and found.wins == 0.5
  assert statistics.compare([np.nan], [1.0]).encoder.count == 0


def test_share_below_limits_of_known_errors():
  limits = np.array([0.5, 1.0, 2.5, 4.0, 9.0])
  found = statistics.cumulative_share([3.0, 1.0, 2.0, 4.0, np.nan], limits)
  np.testing.assert_allclose(found, [0.0, 0.25, 0.5, 1.0, 1.0])
