"""The one-euro filter against a transcription of the paper's algorithm."""

import math

from hypothesis import given
from hypothesis import settings
from hypothesis import strategies
import numpy as np
import pytest

from facerec_jax.photos import one_euro


def algorithm_1(times, values, min_cutoff, beta, derivative_cutoff):
  """Casiez, Roussel & Vogel 2012, algorithms 1 and 2, one signal."""

  def alpha(rate, cutoff):
    tau = 1.0 / (2 * math.pi * cutoff)
    te = 1.0 / rate
    return 1.0 / (1.0 + tau / te)

  filtered, speed, result = None, 0.0, []
  for index, x in enumerate(values):
    if filtered is None:
      filtered = x
    else:
      rate = 1.0 / (times[index] - times[index - 1])
      dx = (x - filtered) * rate
      a = alpha(rate, derivative_cutoff)
      speed = a * dx + (1 - a) * speed
      a = alpha(rate, min_cutoff + beta * abs(speed))
      filtered = a * x + (1 - a) * filtered
    result.append(filtered)
  return result


floats = strategies.floats(-10, 10)
cutoffs = strategies.floats(0.05, 20)


@settings(max_examples=50, deadline=None)
@given(
  strategies.lists(
    strategies.tuples(floats, floats, strategies.floats(1e-3, 1)),
    min_size=1,
    max_size=20,
  ),
  cutoffs,
  strategies.floats(0, 3),
  cutoffs,
)
def test_equals_the_paper(samples, min_cutoff, beta, derivative_cutoff):
  samples = np.array(samples)
  times = np.cumsum(samples[:, 2])
  options = {"min_cutoff": min_cutoff, "beta": beta}
  options["derivative_cutoff"] = derivative_cutoff
  smooth = one_euro.OneEuroFilter(**options)
  got = np.array(
    [smooth(t, x[:2]) for t, x in zip(times, samples, strict=True)]
  )
  for column in range(2):
    wanted = algorithm_1(times, samples[:, column], *options.values())
    np.testing.assert_allclose(got[:, column], wanted, rtol=1e-9, atol=1e-9)


def test_reset_forgets():
  smooth = one_euro.OneEuroFilter()
  smooth(0.0, np.zeros(1))
  assert smooth(0.1, np.ones(1))[0] < 1
  smooth.reset()
  assert smooth(0.2, np.ones(1))[0] == 1
  # A clock that stands still starts anew.
  assert smooth(0.2, np.full(1, 3.0))[0] == 3


def test_noise_shrinks_and_quick_motion_is_followed():
  rng = np.random.default_rng(0)
  times = np.arange(200) / 25
  noise = rng.normal(size=(200, 1))
  calm = one_euro.OneEuroFilter(min_cutoff=1.0)
  still = np.array([calm(t, x) for t, x in zip(times, noise, strict=True)])
  assert still[50:].std() < 0.4 * noise[50:].std()
  ramp = 10 * times[:, None]

  def lag(beta):
    smooth = one_euro.OneEuroFilter(min_cutoff=1.0, beta=beta)
    out = [smooth(t, x) for t, x in zip(times, ramp, strict=True)]
    return float((ramp - out)[-1, 0])

  assert lag(0.5) < 0.3 * lag(0.0)


@pytest.mark.parametrize(
  "options", ({"min_cutoff": 0}, {"beta": -1}, {"derivative_cutoff": -2})
)
def test_options_are_checked(options):
  with pytest.raises(ValueError, match="wanted the first two above 0"):
    one_euro.OneEuroFilter(**options)
