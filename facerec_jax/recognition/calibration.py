"""Probabilities that mean what they say: temperature scaling.

Guo et al. 2017, On Calibration of Modern Neural Networks, sections 3 and 4.2.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

# Of the inverse temperature; a perfectly separated set has no finite optimum.
_LIMITS = (0.02, 50.0)
_BISECTIONS = 60


def negative_log_likelihood(logits, labels) -> jax.Array:
  """Mean over examples, nats; logits [N, K], labels [N]."""
  log_probabilities = jax.nn.log_softmax(jnp.asarray(logits))
  return -jnp.take_along_axis(
    log_probabilities, jnp.asarray(labels)[:, None], axis=1
  ).mean()


def fit_temperature(logits, labels) -> float:
  """The temperature that makes held-out labels most likely.

  The likelihood is concave in the inverse temperature: its slope changes sign
  once, which bisection finds.

  Args:
    logits: [N, K].
    labels: [N] integers.

  Returns:
    T; softmax(logits / T) are the calibrated probabilities.

  Raises:
    ValueError: there are no examples.
  """
  if not len(logits):
    raise ValueError("no held-out examples to calibrate with")
  slope = jax.jit(
    jax.grad(lambda inverse: negative_log_likelihood(inverse * logits, labels))
  )
  low, high = np.log(_LIMITS)
  for _ in range(_BISECTIONS):
    middle = 0.5 * (low + high)
    if slope(jnp.exp(middle)) > 0:
      high = middle
    else:
      low = middle
  return float(np.exp(-0.5 * (low + high)))


def expected_calibration_error(probabilities, labels, bins: int = 15) -> float:
  """Mean distance of confidence from accuracy, in equal bins (section 3).

  Args:
    probabilities: [N, K].
    labels: [N].
    bins: of the confidence.
  """
  probabilities, labels = np.asarray(probabilities), np.asarray(labels)
  confidence = probabilities.max(axis=1)
  is_right = probabilities.argmax(axis=1) == labels
  places = np.minimum((confidence * bins).astype(int), bins - 1)
  gaps = np.bincount(places, is_right - confidence, minlength=bins)
  return float(np.abs(gaps).sum() / len(labels))
