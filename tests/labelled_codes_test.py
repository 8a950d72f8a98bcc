"""Labelled codes: rows of (key, index) alone, labels that fit the movement."""

import fake_model
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facerec_jax.model_files import expression_fitting
from facerec_jax.recognition import labelled_codes
from facerec_jax.synthesis import emotions

NAMES = fake_model.action_unit_names()
NEUTRAL = emotions.CLASSES.index("neutral")


@pytest.fixture(scope="module")
def basis():
  model = fake_model.make(num_rings=3, expression_names=NAMES)
  return expression_fitting.emotion_units(model)


@pytest.fixture(scope="module")
def rows(basis):
  return labelled_codes.acted(
    jax.random.key(0), basis, count=2100, weak_share=0.4
  )


def test_classes_are_balanced_and_rows_depend_on_their_index(basis, rows):
  np.testing.assert_array_equal(np.bincount(rows.emotion), [300] * 7)
  few = labelled_codes.acted(jax.random.key(0), basis, count=5, weak_share=0.4)
  jax.tree.map(
    lambda one, many: np.testing.assert_array_equal(one, many[:5]), few, rows
  )


def test_only_faces_that_hardly_move_change_their_name(basis, rows):
  label, emotion, intensity = map(
    np.asarray, (rows.label, rows.emotion, rows.intensity)
  )
  renamed = label != emotion
  assert (label[renamed] == NEUTRAL).all()
  assert intensity[renamed].max() < labelled_codes.NEUTRAL_BELOW
  # Of the 40 % below strength .5 about .175 / .5.
  share = renamed[emotion != NEUTRAL].mean()
  assert share == pytest.approx(0.4 * 0.35, abs=0.05)
  usual = labelled_codes.acted(jax.random.key(1), basis, count=2100)
  assert np.mean(usual.label != usual.emotion) < 0.01


def test_batches_are_functions_of_step_and_global_index(rows):
  noisy = rows.replace(noise=jnp.ones(len(rows.noise)))
  bank = labelled_codes.Bank(noisy, 0.1 * jnp.eye(len(NAMES)))
  key = jax.random.key(3)

  def draw(step, indices):
    return labelled_codes.draw_batch(bank, key, step, jnp.asarray(indices))

  whole, half = draw(7, range(8)), draw(7, range(4, 8))
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a[4:], b, atol=1e-6), whole, half
  )
  assert not np.allclose(whole.code, draw(8, range(8)).code)


def test_every_row_comes_once_with_noise_of_the_given_covariance(rows):
  root = 0.1 * np.random.default_rng(0).normal(size=(len(NAMES),) * 2)
  scale = jnp.arange(len(rows.noise)) % 2
  bank = labelled_codes.Bank(
    rows.replace(noise=scale * 1.0), jnp.asarray(root, jnp.float32)
  )
  got = labelled_codes.every_row(bank, jax.random.key(0))
  noise = np.asarray(got.code - rows.codes)
  np.testing.assert_array_equal(got.emotion, rows.emotion)
  assert np.abs(noise[::2]).max() < 1e-6
  want = root.T @ root
  error = np.cov(noise[1::2].T) - want
  assert np.linalg.norm(error) < 0.25 * np.linalg.norm(want)
