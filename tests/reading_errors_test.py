"""The fitted errors are those that were made."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facerec_jax.recognition import labelled_codes
from facerec_jax.recognition import reading_errors


@pytest.fixture(scope="module")
def made():
  """(true codes, read codes, gain, covariance of the mistakes)."""
  rng = np.random.default_rng(0)
  true = rng.normal(size=(20_000, 4))
  gain = np.diag([0.8, 0.3, 0.0, 1.0]) + 0.1 * rng.normal(size=(4, 4))
  root = 0.3 * rng.normal(size=(4, 4))
  read = 0.5 + true @ gain + rng.normal(size=true.shape) @ root
  return true, read, gain, root.T @ root


def test_gain_offset_and_covariance_are_found(made):
  true, read, gain, covariance = made
  errors = reading_errors.fit(true, read)
  np.testing.assert_allclose(errors.gain, gain, atol=0.02)
  np.testing.assert_allclose(errors.offset, 0.5, atol=0.02)
  root = np.asarray(errors.noise_root)
  np.testing.assert_allclose(root.T @ root, covariance, atol=0.01)


def test_imitated_codes_look_like_read_ones(made):
  true, read, _, _ = made
  errors = reading_errors.fit(true, read)
  count = len(true)
  rows = labelled_codes.LabelledCodes(
    jnp.asarray(true, jnp.float32),
    jnp.zeros(count, int),
    jnp.ones(count),
    jnp.zeros(count),
  )
  imitated = reading_errors.imitate(errors, rows, 1.0)
  bank = labelled_codes.Bank(imitated, errors.noise_root)
  codes = labelled_codes.every_row(bank, jax.random.key(0)).code
  np.testing.assert_allclose(codes.mean(axis=0), read.mean(axis=0), atol=0.03)
  np.testing.assert_allclose(np.cov(codes.T), np.cov(read.T), atol=0.05)


def test_columns_that_never_move_stay_harmless():
  true = np.random.default_rng(1).normal(size=(50, 3)) * [1.0, 0.0, 1.0]
  errors = reading_errors.fit(true, 0.5 * true)
  assert np.isfinite(np.concatenate([errors.gain, errors.noise_root])).all()
  np.testing.assert_allclose(errors.gain[1], 0.0, atol=1e-6)


def test_too_few_faces_are_refused():
  with pytest.raises(ValueError, match="5 faces are too few .* at least 6"):
    reading_errors.fit(np.zeros((5, 3)), np.zeros((5, 3)))
