"""Counts, intervals and ranks against published and independent values."""

import math

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest
from scipy import stats

from facerec_jax.recognition import agreement


@pytest.mark.parametrize(
  "right, count, low, high",
  [
    # Newcombe 1998, Statistics in Medicine 17, table I, method 3.
    (81, 263, 0.2553, 0.3662),
    (15, 148, 0.0624, 0.1605),
    (0, 20, 0.0, 0.1611),
    (1, 29, 0.0061, 0.1718),
  ],
)
def test_wilson_interval_of_published_examples(right, count, low, high):
  got = agreement.wilson_interval(right, count)
  assert got == pytest.approx((low, high), abs=5e-5)


def test_wilson_interval_is_the_score_test_inverted():
  """At its ends the true share is z standard errors from the observed one."""
  z = stats.norm.ppf(0.975)
  for right, count in ((3, 10), (7, 7), (90, 100)):
    for end in agreement.wilson_interval(right, count):
      if 0 < end < 1:
        error = math.sqrt(end * (1 - end) / count)
        assert abs(right / count - end) == pytest.approx(z * error, rel=1e-6)


def test_wilson_interval_of_nothing_and_of_nonsense():
  assert agreement.wilson_interval(0, 0) == (0.0, 1.0)
  with pytest.raises(ValueError, match="5 of 4 is no proportion"):
    agreement.wilson_interval(5, 4)


_VALUES = st.lists(
  st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=3, max_size=30
)


@given(_VALUES)
def test_rank_correlation_is_spearmans(pairs):
  first, second = np.array(pairs).T
  got = agreement.rank_correlation(first, second)
  if len(set(first)) == 1 or len(set(second)) == 1:
    assert math.isnan(got)
  else:
    want = stats.spearmanr(first, second).statistic
    assert got == pytest.approx(want, abs=1e-9)


@given(_VALUES, st.randoms())
def test_counts_do_not_depend_on_the_order(pairs, random):
  counts = agreement.confusion_matrix(*np.array(pairs).T, 10)
  random.shuffle(pairs)
  again = agreement.confusion_matrix(*np.array(pairs).T, 10)
  np.testing.assert_array_equal(counts, again)
  assert counts.sum() == len(pairs)
  assert counts[pairs[0]] >= 1
