"""How probable a code is: the statistics of the codes of a bank.

A prior of training is a sampler, not a density. What fitting needs of it is
measured on its draws: normal distributions of modes, pose and place,
exponential ones of blendshape weights (most rest at 0), and for the light the
covariance of its 27 numbers, without which coloured light would pass for skin.
"""

from __future__ import annotations

from flax import struct
import jax
import jax.numpy as jnp
import numpy as np

from facerec_jax.face import code_vector
from facerec_jax.face import morphable_model
from facerec_jax.synthesis import code_bank

# Variance that is added to each direction of the light, share of the mean one:
# directions that the sampler never takes must not cost everything.
_LIGHT_FLOOR = 1e-3
# Heads may turn and stand a little farther out than in the bank, share of its
# range on either side.
_POSE_MARGIN = 0.25


@struct.dataclass
class CodePrior:
  """Statistics of flat codes [D].

  Attributes:
    mean: [D].
    std: [D], above zero.
    low: [D] smallest plausible values.
    high: [D] largest plausible values.
    rate: [D] of the exponential distribution of blendshape weights, 1 / unit;
      0 for all other numbers.
    light: [n, n] whitening matrix of the illumination, n = 27 or 0.
  """

  mean: jax.Array
  std: jax.Array
  low: jax.Array
  high: jax.Array
  rate: jax.Array
  light: jax.Array


def measure(
  model: morphable_model.MorphableModel,
  layout: code_vector.CodeLayout,
  bank: code_bank.CodeBank,
) -> CodePrior:
  """Measures the rows of a bank; noise around them is not counted.

  Args:
    model: whose expressions the codes have.
    layout: of the codes.
    bank: draws of the prior, a few thousand.

  Returns:
    The prior.
  """
  mean, std = code_bank.statistics(bank)
  low, high = bank.centers.min(axis=0), bank.centers.max(axis=0)
  for name in ("rotation", "translation"):
    part = layout.slices[name]
    margin = _POSE_MARGIN * (high - low)[part]
    low, high = low.at[part].add(-margin), high.at[part].add(margin)
  rate = jnp.zeros(layout.size)
  if model.expression_kind == "blendshape":
    part = layout.slices["expression"]
    low, high = low.at[part].set(0.0), high.at[part].set(1.0)
    # Of the same mean square as the draws: E[w^2] = 2 / rate^2.
    square = jnp.square(mean[part]) + jnp.square(std[part])
    rate = rate.at[part].set(jnp.sqrt(2.0 / square))
  light = bank.centers[:, layout.slices["illumination"]]
  return CodePrior(mean, std, low, high, rate, _whitening(light))


def _whitening(rows):
  """W with |W (x - mean)| the Mahalanobis distance, [n, n]."""
  size = rows.shape[1]
  if not size:
    return jnp.zeros((0, 0))
  rows = np.asarray(rows, np.float64)
  covariance = np.cov(rows, rowvar=False, ddof=0)
  floor = _LIGHT_FLOOR * max(np.trace(covariance) / size, 1e-8)
  factor = np.linalg.cholesky(covariance + floor * np.eye(size))
  return jnp.float32(np.linalg.inv(factor))


def energy(
  prior: CodePrior, flat, *, layout: code_vector.CodeLayout
) -> dict[str, jax.Array]:
  """Negative log densities of a code, without constants.

  Args:
    prior: of the codes.
    flat: [D] code.
    layout: of the code.

  Returns:
    {group: [] nats} of the groups that the layout has.
  """
  difference = flat - prior.mean
  normal = 0.5 * jnp.square(difference / prior.std)
  # At 0 the slope is that of larger weights: there they rest.
  size = jnp.where(flat >= 0, flat, -flat)
  each = jnp.where(prior.rate > 0, prior.rate * size, normal)
  sums = {
    name: each[part].sum()
    for name, part in layout.slices.items()
    if part.stop > part.start
  }
  if layout.illumination:
    light = difference[layout.slices["illumination"]]
    white = jnp.dot(prior.light, light, precision=jax.lax.Precision.HIGHEST)
    sums["illumination"] = 0.5 * jnp.square(white).sum()
  return sums


def clip(prior: CodePrior, flat) -> jax.Array:
  """The nearest code within the plausible ranges, [..., D]."""
  return jnp.clip(flat, prior.low, prior.high)
