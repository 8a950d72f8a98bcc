"""Quantile functions: uniform numbers in [0, 1) -> numbers without extremes.

A sampler draws all its uniform numbers in one call and shapes them here. A call
of `jax.random` costs a fraction of a second of compilation on a CPU, and the
rejection loops of its beta and Poisson numbers run in lockstep under `vmap`.
"""

from __future__ import annotations

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

_QUANTILES = 512
_INTEGRATION_STEPS = 1 << 16


def normal(uniform, *, limit: float) -> jax.Array:
  """Standard normal numbers, conditioned on |x| <= limit."""
  edge = math.erf(limit / math.sqrt(2.0))
  tail = jax.lax.erf_inv(edge * (2.0 * uniform - 1.0))
  return jnp.clip(math.sqrt(2.0) * tail, -limit, limit)


def lognormal(
  uniform, *, median: float, spread: float, low: float, high: float
) -> jax.Array:
  """Lognormal numbers, conditioned on low <= x <= high.

  Args:
    uniform: [...] in [0, 1).
    median: before the conditioning.
    spread: standard deviation of the logarithm; 0 gives the median.
    low: smallest value, > 0.
    high: largest value.

  Returns:
    [...].
  """
  if spread == 0:
    return jnp.full_like(uniform, median)
  scale = spread * math.sqrt(2.0)
  first, last = (math.erf(math.log(x / median) / scale) for x in (low, high))
  logarithm = scale * jax.lax.erf_inv(first + (last - first) * uniform)
  return jnp.clip(median * jnp.exp(logarithm), low, high)


def beta(uniform, a: float, b: float) -> jax.Array:
  """Numbers of the distribution Beta(a, b), a and b >= 1."""
  quantiles = jnp.asarray(_beta_quantiles(a, b))
  position = _QUANTILES * uniform
  index = jnp.minimum(position.astype(jnp.int32), _QUANTILES - 1)
  low, high = quantiles[index], quantiles[index + 1]
  return low + (position - index) * (high - low)


@functools.lru_cache(maxsize=16)
def _beta_quantiles(a, b):
  x = np.linspace(0.0, 1.0, _INTEGRATION_STEPS + 1)
  middle = (x[1:] + x[:-1]) / 2
  mass = np.cumsum(middle ** (a - 1) * (1 - middle) ** (b - 1))
  mass = np.concatenate([[0.0], mass / mass[-1]])
  levels = np.linspace(0.0, 1.0, _QUANTILES + 1)
  return np.interp(levels, mass, x).astype(np.float32)


def poisson(uniform, mean: float, *, largest: int) -> jax.Array:
  """One Poisson number, [] int32; what exceeds `largest` becomes it."""
  mass = [math.exp(-mean) * mean**n / math.factorial(n) for n in range(largest)]
  return choice(uniform, jnp.asarray([*mass, 1.0 - sum(mass)]))


def choice(uniform, shares) -> jax.Array:
  """One index, [] int32, with probabilities in proportion to shares [n]."""
  levels = jnp.cumsum(shares)
  # Scaled by the very sum that rounding gives, the index stays below n and
  # never falls on a share of zero.
  return (uniform * levels[-1] >= levels).sum()
