from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
import numpy as np
import pytest
from scipy import stats

from facerec_jax.synthesis import distributions

_LEVELS = np.linspace(0.0, 1.0, 1001, dtype=np.float32)[:-1]


@pytest.mark.parametrize("limit", [1.0, 2.0, 2.7])
def test_normal_has_the_quantiles_of_the_truncated_normal(limit):
  got = distributions.normal(_LEVELS, limit=limit)
  expected = stats.truncnorm.ppf(_LEVELS, -limit, limit)
  np.testing.assert_allclose(got, expected, atol=2e-4)
  assert np.abs(got).max() <= limit


def test_lognormal_has_the_quantiles_of_the_truncated_lognormal():
  got = distributions.lognormal(
    _LEVELS, median=22.0, spread=0.4, low=8.0, high=60.0
  )
  edges = np.log([8 / 22, 60 / 22]) / 0.4
  expected = 22 * np.exp(0.4 * stats.truncnorm.ppf(_LEVELS, *edges))
  np.testing.assert_allclose(got, expected, rtol=2e-4)


def test_lognormal_without_spread_is_the_median():
  got = distributions.lognormal(
    _LEVELS, median=22.0, spread=0.0, low=8.0, high=60.0
  )
  np.testing.assert_array_equal(got, np.full(1000, 22.0, np.float32))


@pytest.mark.parametrize(("a", "b"), [(1.3, 2.5), (3.0, 3.5), (1.0, 1.0)])
def test_beta_has_its_quantiles(a, b):
  got = distributions.beta(_LEVELS, a, b)
  expected = stats.beta.ppf(_LEVELS, a, b)
  # The table is linear between 512 quantiles: the last ones are coarse.
  np.testing.assert_allclose(got[5:-5], expected[5:-5], atol=1e-3)
  np.testing.assert_allclose(got, expected, atol=0.03)
  assert distributions.beta(np.float32(1 - 2**-24), a, b) <= 1.0


def test_poisson_has_its_quantiles_up_to_the_largest():
  got = [int(distributions.poisson(u, 2.0, largest=7)) for u in _LEVELS[1::50]]
  expected = np.minimum(stats.poisson.ppf(_LEVELS[1::50], 2.0), 7)
  np.testing.assert_array_equal(got, expected)


@settings(max_examples=60, deadline=None)
@given(
  shares=st.lists(
    st.one_of(st.just(0.0), st.floats(0.01, 3.0)), min_size=1, max_size=12
  ).filter(lambda shares: sum(shares) > 0),
  uniform=st.one_of(
    st.floats(0, 1, exclude_max=True, width=32), st.just(1 - 2**-24)
  ),
)
def test_choice_never_takes_an_impossible_index(shares, uniform):
  shares = np.array(shares, np.float32)
  index = int(distributions.choice(np.float32(uniform), shares))
  assert 0 <= index < len(shares)
  assert shares[index] > 0
  before = shares[:index].sum() / shares.sum()
  after = shares[: index + 1].sum() / shares.sum()
  assert before - 1e-5 <= uniform <= after + 1e-5
