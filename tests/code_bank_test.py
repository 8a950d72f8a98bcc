import jax
import numpy as np
import pytest

from facerec_jax.synthesis import code_bank


def _draw(bank, count, seed=0):
  keys = jax.random.split(jax.random.key(seed), count)
  return np.asarray(jax.vmap(lambda key: code_bank.sample(bank, key))(keys))


def test_without_noise_a_sample_is_a_row_and_every_row_comes():
  rows = np.arange(21.0, dtype=np.float32).reshape(7, 3)
  drawn = _draw(code_bank.create(rows), 2000)
  index = np.rint(drawn[:, 0] / 3).astype(int)
  np.testing.assert_array_equal(drawn, rows[index])
  share = np.bincount(index, minlength=7) / 2000
  assert abs(share - 1 / 7).max() < 4 * np.sqrt(1 / 7 / 2000)


def test_noise_has_the_given_scale_in_each_column():
  scales = np.array([0.0, 0.5, 20.0])
  drawn = _draw(code_bank.create(np.ones((3, 3)), scales), 4000)
  np.testing.assert_allclose(drawn.std(axis=0), scales, rtol=0.06)
  assert abs(np.corrcoef(drawn[:, 1], drawn[:, 2])[0, 1]) < 0.06


def test_statistics_are_those_of_samples():
  rng = np.random.default_rng(1)
  rows = rng.normal(size=(50, 4)) * [1, 5, 0.1, 300] + [0, 3, 0, -1000]
  bank = code_bank.create(rows, [0.5, 0.0, 0.2, 0.0])
  mean, spread = code_bank.statistics(bank)
  drawn = _draw(bank, 20000)
  np.testing.assert_allclose(spread, drawn.std(axis=0), rtol=0.03)
  error = np.abs(mean - drawn.mean(axis=0))
  assert (error < 5 * np.asarray(spread) / np.sqrt(20000)).all()


def test_constant_columns_have_a_spread_above_float32_rounding():
  rows = np.full((30000, 2), [-1000.1, 0.0], np.float32)
  mean, spread = code_bank.statistics(code_bank.create(rows))
  assert (spread > 0).all()
  # Standardising the rows must not blow rounding up into signal.
  assert np.abs((rows - mean) / spread).max() < 0.5


def test_another_bank_of_equal_size_compiles_nothing():
  sample = jax.jit(code_bank.sample)
  for seed in range(3):
    rows = np.random.default_rng(seed).normal(size=(8, 2))
    sample(code_bank.create(rows, [seed, 1.0]), jax.random.key(seed))
  assert sample._cache_size() == 1


@pytest.mark.parametrize(
  ("centers", "scales", "message"),
  [
    (
      np.zeros(3),
      None,
      r"^code bank: centers have shape \(3,\), wanted \(rows >= 1, code\)$",
    ),
    (
      np.zeros((0, 3)),
      None,
      r"^code bank: centers have shape \(0, 3\), wanted \(rows >= 1, code\)$",
    ),
    (
      np.zeros((2, 3)),
      np.zeros(2),
      r"^code bank: scales have shape \(2,\), wanted \(3,\)$",
    ),
  ],
)
def test_shapes_are_checked(centers, scales, message):
  with pytest.raises(ValueError, match=message):
    code_bank.create(centers, scales)
