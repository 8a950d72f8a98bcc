"""How far refinement trusts what an encoder read."""

import types

import jax.numpy as jnp
import numpy as np
import pytest

from facerec_jax import refining
from facerec_jax.face import code_vector

LAYOUT = code_vector.CodeLayout(3, 2, 1)


def _encoder(covariance):
  return types.SimpleNamespace(
    model=None,
    layout=LAYOUT,
    prior=types.SimpleNamespace(std=jnp.ones(LAYOUT.size)),
    error_covariance=covariance,
  )


def test_no_steps_are_no_refiner():
  assert refining.create(_encoder(None), 0) is None


def test_without_known_errors_the_prior_counts():
  assert refining.create(_encoder(None), 7).whitening is None


def test_readings_say_no_less_of_people_than_the_prior():
  root = np.random.default_rng(0).normal(size=(5, 5)) + np.eye(5)
  covariance = root @ root.T
  refiner = refining.create(_encoder(jnp.asarray(covariance)), 7)
  assert refiner.schedule.steps == 7
  got = np.linalg.inv(refiner.whitening.T @ refiner.whitening)
  # Whatever it errs: along no direction people are farther apart than they are.
  assert np.linalg.eigvalsh(got[:3, :3]).max() < 1
  # Of expressions it is all that is known.
  photos = refining.PHOTO_ERROR**2 * covariance
  sure = refining.create(_encoder(jnp.asarray(1e-4 * covariance)), 7).whitening
  np.testing.assert_allclose(
    np.linalg.inv(sure.T @ sure), 1e-4 * photos, rtol=0.05, atol=1e-5
  )
  flat = np.zeros(5)
  flat[3:] = 10.0
  assert np.square(refiner.whitening @ flat).sum() == pytest.approx(
    flat @ np.linalg.solve(photos, flat), rel=1e-3
  )


def test_negative_steps_are_refused():
  with pytest.raises(ValueError, match="steps is -1"):
    refining.create(_encoder(None), -1)
