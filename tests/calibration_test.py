"""Temperature scaling: it finds what was spoiled, and cannot do harm."""

import jax
import numpy as np
import pytest
from scipy import optimize

from facerec_jax.recognition import calibration


@pytest.fixture(scope="module")
def drawn():
  """Logits whose softmax is the distribution that labels are drawn from."""
  rng = np.random.default_rng(0)
  logits = rng.normal(size=(20_000, 7)) * 2.0
  noise = rng.gumbel(size=logits.shape)
  return logits, (logits + noise).argmax(axis=1)


@pytest.mark.parametrize("spoiled", [0.25, 1.0, 4.0])
def test_the_temperature_is_what_logits_were_multiplied_by(drawn, spoiled):
  logits, labels = drawn
  fitted = calibration.fit_temperature(spoiled * logits, labels)
  assert fitted == pytest.approx(spoiled, rel=0.03)


def test_it_minimises_the_likelihood_and_improves_the_held_out_half(drawn):
  logits, labels = 3.0 * drawn[0], drawn[1]

  def loss(temperature, part):
    return float(
      calibration.negative_log_likelihood(
        logits[part] / temperature, labels[part]
      )
    )

  first, second = slice(0, None, 2), slice(1, None, 2)
  fitted = calibration.fit_temperature(logits[first], labels[first])
  best = optimize.minimize_scalar(
    loss, args=(first,), bounds=(0.5, 10), method="bounded"
  )
  assert fitted == pytest.approx(best.x, rel=1e-2)
  assert loss(fitted, second) < loss(1.0, second) - 0.1
  errors = [
    calibration.expected_calibration_error(
      jax.nn.softmax(logits[second] / t), labels[second]
    )
    for t in (1.0, fitted)
  ]
  assert errors[1] < 0.02 < 0.1 < errors[0]


def test_separable_answers_get_a_finite_temperature():
  logits = np.eye(7)[[0, 1, 2]]
  fitted = calibration.fit_temperature(logits, np.arange(3))
  assert 0 < fitted < 0.05


def test_calibration_error_of_hand_counted_bins():
  probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6], [0.3, 0.7]])
  labels = np.array([0, 1, 1, 1])
  # .9 twice, right once: .4; .6 and .7, both right: .4 and .3.
  error = calibration.expected_calibration_error(probabilities, labels, 10)
  assert error == pytest.approx((0.8 + 0.4 + 0.3) / 4)


def test_no_examples_are_refused():
  with pytest.raises(ValueError, match="no held-out examples"):
    calibration.fit_temperature(np.zeros((0, 7)), np.zeros(0, int))
