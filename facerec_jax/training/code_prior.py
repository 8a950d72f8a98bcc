"""How probable a code is: the statistics of the codes of a bank.

A prior of training is a sampler, not a density. What fitting needs of it is
measured on its draws. Modes, pose and place are taken as normal. Blendshapes
move in units (`synthesis.expression_units`): most rest, the others are about as
often strong as weak, and their two sides move nearly alike. The light keeps the
covariance of its 27 numbers, without which coloured light would pass for skin.

What an encoder read of a face narrows the prior of its shape (`Reading`), which
knows that mistakes come together: both sides of a face are read alike, and a
brow that is low by nature passes for one that frowns. Skin and light stay as
wide as they are: there photographs differ most from what encoders were trained
on.

An encoder answers the mean of the codes that fit an image, and errs as they
spread: N(answer, C) is likelihood times prior. Where it is trusted less, as on
photographs, the likelihood counts by a power w below 1, the prior fully, which
is N(answer, C)^w prior^(1 - w). Of expressions the rest of the prior is left
out: as a density it draws faces that act, with many units at once, to rest
(fitted expressions were a third worse).
"""

from __future__ import annotations

from typing import NamedTuple

from flax import struct
import jax
import jax.numpy as jnp
import numpy as np

from facerec_jax.face import code_vector
from facerec_jax.face import morphable_model
from facerec_jax.synthesis import code_bank
from facerec_jax.synthesis import expression_units

# Variance that is added to each direction of the light, share of the mean one:
# directions that the sampler never takes must not cost everything.
_LIGHT_FLOOR = 1e-3
# Heads may turn and stand a little farther out than in the bank, share of its
# range on either side.
_POSE_MARGIN = 0.25
# Mean weight of a unit that rests: traces, and what a model gets wrong.
_TRACE = 0.05
# A unit never seen in the bank is still possible.
_RAREST, _WEAKEST = 2e-3, 0.1
# The two sides of a unit differ by a share of its weight, and of this weight
# where it is weaker.
_SIDED_WEIGHT = 0.5
_LEAST_ASYMMETRY = 0.02
# Groups whose prior a reading narrows; neighbours in flat codes.
_READ_GROUPS = ("identity", "expression")


class Reading(NamedTuple):
  """What an encoder answered for one face, and how it errs.

  Attributes:
    flat: [D] its answer.
    whitening: [n, n] W of the numbers of `read_part`: |W (code - answer)| is
      the Mahalanobis distance among the encoder's mistakes.
    trust: [] w in [0, 1] by which its evidence counts: mistakes k times as
      large as those of W leave 1 / k^2 of it.
  """

  flat: jax.Array
  whitening: jax.Array
  trust: float | jax.Array = 1.0


@struct.dataclass
class UnitPrior:
  """Statistics of the units of blendshapes; U is 0 for Gaussian models.

  Attributes:
    columns: [U, Ke] 1 where a column belongs to a unit.
    share: [U] of faces on which a unit moves.
    strength: [U] its mean weight there.
    asymmetry: [] how far the sides differ, share of the weight.
  """

  columns: jax.Array
  share: jax.Array
  strength: jax.Array
  asymmetry: jax.Array


@struct.dataclass
class CodePrior:
  """Statistics of flat codes [D].

  Attributes:
    mean: [D].
    std: [D], above zero.
    low: [D] smallest plausible values.
    high: [D] largest plausible values.
    units: of the expressions.
    light: [n, n] whitening matrix of the illumination, n = 27 or 0.
  """

  mean: jax.Array
  std: jax.Array
  low: jax.Array
  high: jax.Array
  units: UnitPrior
  light: jax.Array


def read_part(layout: code_vector.CodeLayout) -> slice:
  """The numbers of a flat code whose prior a reading narrows, n of them."""
  first, last = (layout.slices[name] for name in _READ_GROUPS)
  return slice(first.start, last.stop)


def measure(
  model: morphable_model.MorphableModel,
  layout: code_vector.CodeLayout,
  bank: code_bank.CodeBank,
) -> CodePrior:
  """Measures the rows of a bank, on the host; noise around them is not counted.

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
  part = layout.slices["expression"]
  if model.expression_kind == "blendshape":
    low, high = low.at[part].set(0.0), high.at[part].set(1.0)
  light = bank.centers[:, layout.slices["illumination"]]
  return CodePrior(
    mean=mean,
    std=std,
    low=low,
    high=high,
    units=_measure_units(model, np.asarray(bank.centers[:, part])),
    light=_whitening(np.asarray(light, np.float64)),
  )


def _measure_units(model, weights):
  """Statistics of the weights [M, Ke] of blendshapes."""
  count = weights.shape[1]
  if model.expression_kind != "blendshape":
    zero = jnp.zeros(0)
    return UnitPrior(jnp.zeros((0, count)), zero, zero, jnp.ones(()))
  names = model.expression_names[:count]
  columns = expression_units.find_units(names, count).columns
  unit = weights @ (columns / columns.sum(axis=1, keepdims=True)).T
  moves = unit > _TRACE
  times = moves.sum(axis=0)
  strength = (unit * moves).sum(axis=0) / np.maximum(times, 1)
  sides = np.square(weights - unit @ columns).sum()
  size = max(np.square(weights).sum(), 1e-6)
  return UnitPrior(
    columns=jnp.asarray(columns),
    share=jnp.clip(times / len(unit), _RAREST, 1 - _RAREST),
    strength=jnp.maximum(strength, _WEAKEST),
    asymmetry=jnp.maximum(np.sqrt(sides / size), _LEAST_ASYMMETRY),
  )


def _whitening(rows):
  """W with |W (x - mean)| the Mahalanobis distance, [n, n]."""
  size = rows.shape[1]
  if not size:
    return jnp.zeros((0, 0))
  covariance = np.cov(rows, rowvar=False, ddof=0)
  floor = _LIGHT_FLOOR * max(np.trace(covariance) / size, 1e-8)
  factor = np.linalg.cholesky(covariance + floor * np.eye(size))
  return jnp.float32(np.linalg.inv(factor))


def energy(
  prior: CodePrior,
  flat,
  *,
  layout: code_vector.CodeLayout,
  reading: Reading | None = None,
) -> dict[str, jax.Array]:
  """Negative log densities of a code, 0 where the group is likeliest.

  Args:
    prior: of the codes.
    flat: [D] code.
    layout: of the code.
    reading: of an encoder, in place of the prior of expression, and of that
      of identity as far as it is trusted.

  Returns:
    {group: [] nats} of the groups that the layout has; with a reading this in
    place of `expression`.
  """
  groups = {n: p for n, p in layout.slices.items() if p.stop > p.start}
  difference = flat - prior.mean
  normal = 0.5 * jnp.square(difference / prior.std)
  sums = {name: normal[part].sum() for name, part in groups.items()}
  if "expression" in groups and prior.units.share.size:
    sums["expression"] = _unit_energy(prior.units, flat[groups["expression"]])
  if "illumination" in groups:
    light = difference[groups["illumination"]]
    white = jnp.dot(prior.light, light, precision=jax.lax.Precision.HIGHEST)
    sums["illumination"] = 0.5 * jnp.square(white).sum()
  if reading is not None:
    mistake = (flat - reading.flat)[read_part(layout)]
    white = jnp.dot(
      reading.whitening, mistake, precision=jax.lax.Precision.HIGHEST
    )
    sums.pop("expression", None)
    if "identity" in groups:
      sums["identity"] = (1.0 - reading.trust) * sums["identity"]
    sums["reading"] = 0.5 * reading.trust * jnp.square(white).sum()
  return sums


def _unit_energy(units, weights):
  """Units rest or move: a mixture of two exponential distributions."""
  # At 0 the slope is that of larger weights: there they rest.
  weights = jnp.where(weights >= 0, weights, -weights)
  mean = units.columns @ weights / units.columns.sum(axis=1)
  rests = jnp.log((1.0 - units.share) / _TRACE)
  moves = jnp.log(units.share / units.strength)
  density = jnp.logaddexp(rests - mean / _TRACE, moves - mean / units.strength)
  each = jnp.logaddexp(rests, moves) - density
  scale = units.asymmetry * jnp.maximum(mean, _SIDED_WEIGHT)
  sides = (weights - mean @ units.columns) / (scale @ units.columns)
  # Faces pull their mouths to one side and wink: no Gaussian.
  return each.sum() + jnp.sum(jnp.sqrt(1.0 + jnp.square(sides)) - 1.0)


def clip(prior: CodePrior, flat) -> jax.Array:
  """The nearest code within the plausible ranges, [..., D]."""
  return jnp.clip(flat, prior.low, prior.high)
