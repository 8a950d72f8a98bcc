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


def test_mistakes_are_whitened_as_they_come_together():
  root = np.random.default_rng(0).normal(size=(5, 5)) + np.eye(5)
  covariance = root @ root.T
  refiner = refining.create(_encoder(jnp.asarray(covariance)), 7)
  assert refiner.schedule.steps == 7
  mistakes = np.random.default_rng(1).multivariate_normal(
    np.zeros(5), covariance, size=20_000
  )
  white = mistakes @ np.asarray(refiner.whitening).T
  np.testing.assert_allclose(np.cov(white.T), np.eye(5), atol=0.05)


def test_films_have_one_lens():
  assert refining.create(_encoder(None), 7).fit_lens
  assert not refining.create(_encoder(None), 7, film=True).fit_lens


def test_negative_steps_are_refused():
  with pytest.raises(ValueError, match="steps is -1"):
    refining.create(_encoder(None), -1)
