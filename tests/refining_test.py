"""How far refinement trusts what an encoder read."""

import types

import jax.numpy as jnp
import numpy as np
import pytest

from facerec_jax import refining
from facerec_jax.face import code_vector

LAYOUT = code_vector.CodeLayout(3, 2, 1)


def _encoder(error):
  return types.SimpleNamespace(
    model=None,
    layout=LAYOUT,
    prior=types.SimpleNamespace(std=jnp.ones(LAYOUT.size)),
    code_error=error,
  )


def test_no_steps_are_no_refiner():
  assert refining.create(_encoder(None), 0) is None


def test_without_known_errors_the_prior_counts():
  assert refining.create(_encoder(None), 7).error is None


def test_readings_say_no_less_of_people_than_the_prior():
  error = jnp.linspace(0.1, 1.0, LAYOUT.size)
  refiner = refining.create(_encoder(error.at[2].set(0.9)), 7)
  assert refiner.schedule.steps == 7
  wanted = refining.PHOTO_ERROR * np.asarray(error)
  assert wanted[1] < 1
  wanted[2] = 1.0
  np.testing.assert_allclose(refiner.error, wanted, rtol=1e-6)


def test_negative_steps_are_refused():
  with pytest.raises(ValueError, match="steps is -1"):
    refining.create(_encoder(None), -1)
