"""The code bank: the one source of codes for every training.

A prior, a bootstrapping round and a set of labelled expressions differ only in
the rows of their bank; replacing one bank by another of equal size recompiles
nothing.
"""

from __future__ import annotations

from flax import struct
import jax
import jax.numpy as jnp

# Smallest standard deviation that `statistics` reports, relative to the larger
# of 1 and the mean: a column that never changes must not divide by zero, nor
# turn rounding errors of float32 into signal.
_SMALLEST_SPREAD = 1e-4


@struct.dataclass
class CodeBank:
  """Flat codes to draw from: a random row plus scaled noise.

  Attributes:
    centers: [M, D] flat codes.
    scales: [D] standard deviation of the noise around a row; 0 gives the rows
      themselves.
  """

  centers: jax.Array
  scales: jax.Array


def create(centers, scales=None) -> CodeBank:
  """Builds a checked bank.

  Args:
    centers: [M, D], M >= 1.
    scales: [D] not negative, or None for zeros.

  Returns:
    The bank, float32.

  Raises:
    ValueError: a shape does not fit.
  """
  centers = jnp.asarray(centers, jnp.float32)
  if centers.ndim != 2 or centers.shape[0] < 1:
    raise ValueError(
      f"code bank: centers have shape {centers.shape}, wanted (rows >= 1, code)"
    )
  size = centers.shape[1:]
  scales = jnp.zeros(size) if scales is None else jnp.asarray(scales)
  if scales.shape != size:
    raise ValueError(
      f"code bank: scales have shape {scales.shape}, wanted {size}"
    )
  return CodeBank(centers=centers, scales=scales.astype(jnp.float32))


def sample(bank: CodeBank, key) -> jax.Array:
  """Draws one flat code, [D]."""
  row_key, noise_key = jax.random.split(key)
  row = jax.random.randint(row_key, (), 0, bank.centers.shape[0])
  noise = jax.random.normal(noise_key, bank.scales.shape)
  return bank.centers[row] + bank.scales * noise


def statistics(bank: CodeBank) -> tuple[jax.Array, jax.Array]:
  """Mean and standard deviation of what `sample` draws, noise included.

  Returns:
    (mean [D], standard deviation [D], above zero).
  """
  mean = bank.centers.mean(axis=0)
  variance = jnp.square(bank.centers - mean).mean(axis=0)
  spread = jnp.sqrt(variance + jnp.square(bank.scales))
  floor = _SMALLEST_SPREAD * jnp.maximum(1.0, jnp.abs(mean))
  return mean, jnp.maximum(spread, floor)


def mix(prior: CodeBank, codes, *, scales, prior_share: float) -> CodeBank:
  """A bank of the prior's size that holds other codes, too.

  Args:
    prior: M rows.
    codes: [N, D]; each makes up the same number of rows, give or take one.
    scales: [D] standard deviation of the noise around all rows. In the prior's
      own rows it widens what it meets by little: 0.2 standard deviations add 2
      percent.
    prior_share: of the rows that stay the prior's, 0 to 1.

  Returns:
    The bank, [M, D].

  Raises:
    ValueError: a shape does not fit, or there is no code for the other rows.
  """
  codes = jnp.asarray(codes, jnp.float32)
  size = prior.centers.shape[0]
  count = size - round(prior_share * size)
  if count and not len(codes):
    raise ValueError("code bank: no codes to mix with the prior")
  rows = jnp.arange(count) % max(len(codes), 1)
  return create(
    jnp.concatenate([codes[rows], prior.centers[: size - count]]), scales
  )


def perturb(key, codes, *, scales, copies: int) -> jax.Array:
  """Noisy copies of codes, [copies * N, D], to be used as rows of a bank.

  Args:
    key: randomness.
    codes: [N, D].
    scales: [D] standard deviation of the noise.
    copies: of each code.
  """
  rows = jnp.tile(jnp.asarray(codes, jnp.float32), (copies, 1))
  return rows + scales * jax.random.normal(key, rows.shape)
