"""Random expressions: Gaussian modes, blendshapes and acted emotions.

Blendshape columns are moved through *units*: the columns of one base name
("AU12_L" and "AU12_R" are the unit "AU12"). The names are static, so tables are
NumPy arrays made once; the draw itself is traced.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from facerec_jax.face import morphable_model
from facerec_jax.synthesis import distributions
from facerec_jax.synthesis import emotions
from facerec_jax.synthesis import expression_units
from facerec_jax.synthesis import unit_conflicts

# Coefficients of Gaussian models are cut here, in standard deviations.
_GAUSSIAN_LIMIT = 2.7
# Left and right side differ by this factor (standard deviation of its
# logarithm, roughly); people differ in how far their faces move.
_ASYMMETRY = 0.08
_MOBILITY_SPREAD = 0.18
# The random prior: 1 + Poisson(2) active units of weight Beta(1.3, 2.5).
_EXTRA_ACTIVE_UNITS, _MOST_EXTRA_UNITS = 2.0, 7
_WEIGHT_BETA = (1.3, 2.5)


class Draws(NamedTuple):
  """Uniform numbers in [0, 1) for one face.

  A face is of one kind (neutral, acted, random), so that the kinds may share
  them.

  Attributes:
    kind: [] which of the three.
    label: [] which emotion.
    pick: [] which variant or unit, or how many units.
    strength: [] of the whole expression.
    trace: [] whether a neutral face shows a trace.
    mobility: [] of the person.
    ties: [number of ties] whether related units move together.
    order: [U] which units take part.
    weight: [U] how far they move.
    tilt: [U] how far the sides differ.
    gaze: [2] sideways and upward.
  """

  kind: jax.Array
  label: jax.Array
  pick: jax.Array
  strength: jax.Array
  trace: jax.Array
  mobility: jax.Array
  ties: jax.Array
  order: jax.Array
  weight: jax.Array
  tilt: jax.Array
  gaze: jax.Array


def sample_expression(
  key,
  model: morphable_model.MorphableModel,
  *,
  neutral_share: float = 0.3,
  emotion_share: float = 0.35,
  scale: float = 1.0,
) -> jax.Array:
  """Draws the expression of one face.

  Gaussian models: N(0, 1) cut at 2.7, times `scale`. Blendshape models whose
  columns are named after action units: a mixture of neutral faces, acted
  emotions (the six others, equally often) and random combinations of units;
  other blendshape models: the random combinations for both of the latter.

  Args:
    key: randomness.
    model: the morphable model.
    neutral_share: of (nearly) neutral faces, blendshapes only.
    emotion_share: of acted emotions, blendshapes only.
    scale: multiplies the coefficients.

  Returns:
    [Ke] standard deviations, or weights in [0, 1].
  """
  count = model.expression.shape[-1]
  if model.expression_kind == "gaussian":
    uniform = jax.random.uniform(key, (count,))
    return scale * distributions.normal(uniform, limit=_GAUSSIAN_LIMIT)
  units = expression_units.find_units(model.expression_names, count)
  draws = _draw(key, len(units.names))
  weights = _random_weights(draws, units)
  if units.are_action_units:
    acted, _ = _emotion_weights(draws, units, _other_label(draws))
    is_acted = draws.kind < neutral_share + emotion_share
    weights = jnp.where(is_acted, acted, weights)
  is_neutral = draws.kind < neutral_share
  weights = jnp.where(is_neutral, _neutral_weights(draws, units), weights)
  return _to_columns(draws, units, weights, scale=scale)


class ActedExpression(NamedTuple):
  """An emotion as one face shows it.

  Attributes:
    weights: [Ke] of the columns, in [0, 1].
    intensity: [] how far the units of the shown variant move, as a share of
      their mean weights (least squares over these units, the person's mobility
      included); 0 for neutral faces.
  """

  weights: jax.Array
  intensity: jax.Array


def sample_emotion(
  key,
  names: tuple[str, ...],
  label,
  *,
  strength_limits: tuple[float, float] = emotions.STRENGTH_LIMITS,
) -> ActedExpression:
  """Draws one face that shows an emotion.

  Args:
    key: randomness.
    names: of blendshape columns, action units among them.
    label: [] integer, index into `emotions.CLASSES`.
    strength_limits: of the factor that multiplies all units.

  Returns:
    The expression.

  Raises:
    ValueError: no column is an action unit.
  """
  units = expression_units.find_units(names, len(names))
  if not units.are_action_units:
    raise ValueError(
      "emotions need a model with action units (AU12_L, ...): its "
      f"{len(names)} expressions are {names[:3]}"
    )
  draws = _draw(key, len(units.names))
  acted, mean = _emotion_weights(draws, units, label, strength_limits)
  moved = _mobility(draws) * (acted @ mean) / jnp.maximum(mean @ mean, 1e-6)
  is_neutral = label == emotions.CLASSES.index("neutral")
  weights = jnp.where(is_neutral, _neutral_weights(draws, units), acted)
  return ActedExpression(
    _to_columns(draws, units, weights), jnp.where(is_neutral, 0.0, moved)
  )


def _draw(key, num_units):
  scalars, ties = 6, len(emotions.TIES)
  uniform = jax.random.uniform(key, (scalars + ties + 3 * num_units,))
  rest = jnp.split(uniform[scalars + ties :], 3)
  gaze = jax.random.uniform(jax.random.fold_in(key, 1), (2,))
  return Draws(
    *uniform[:scalars], uniform[scalars : scalars + ties], *rest, gaze
  )


def _other_label(draws):
  """A class other than neutral."""
  others = len(emotions.CLASSES) - 1
  label = (others * draws.label).astype(jnp.int32)
  return label + (label >= emotions.CLASSES.index("neutral"))


def _emotion_weights(
  draws, units, label, strength_limits=emotions.STRENGTH_LIMITS
):
  """A variant as this face shows it, and the mean weights of its units."""
  table = expression_units.emotion_table(units.names)
  row = distributions.choice(
    draws.pick, jnp.where(table.label == label, table.share, 0.0)
  )
  spread = emotions.WEIGHT_SPREAD * distributions.normal(
    draws.weight, limit=2.5
  )
  weight = jnp.clip(
    jnp.asarray(table.weight)[row] + spread, *emotions.WEIGHT_LIMITS
  )
  low, high = strength_limits
  strength = low + (high - low) * draws.strength
  active = jnp.asarray(table.active)[row]
  mean = jnp.asarray(table.weight)[row] * (active == 1)
  return strength * weight * (draws.order < active), mean


def _neutral_weights(draws, units):
  """No movement, or a trace of one unit."""
  candidates = [units.find(unit) for unit in emotions.NEUTRAL_TRACE_UNITS]
  candidates = np.array([c for c in candidates if c is not None], np.int32)
  rest = jnp.zeros(len(units.names))
  if not candidates.size:
    return rest
  index = (len(candidates) * draws.pick).astype(jnp.int32)
  weight = emotions.NEUTRAL_TRACE_WEIGHT * draws.strength
  shown = draws.trace < emotions.NEUTRAL_TRACE_SHARE
  return rest.at[jnp.asarray(candidates)[index]].set(shown * weight)


def _random_weights(draws, units):
  """A few active units of moderate weight, related ones together."""
  active = 1 + distributions.poisson(
    draws.pick, _EXTRA_ACTIVE_UNITS, largest=_MOST_EXTRA_UNITS
  )
  # Rare units stand at the back of the queue, gaze does not stand in it.
  order = draws.order / np.maximum(units.propensity, 1e-9)
  rank = (order[:, None] > order).sum(axis=1)
  weights = distributions.beta(draws.weight, *_WEIGHT_BETA)
  weights = weights * (rank < active) * (units.propensity > 0)
  for chance, (first, second, correlation) in zip(
    draws.ties, emotions.TIES, strict=True
  ):
    a, b = units.find(first), units.find(second)
    if a is not None and b is not None:
      # Copying with probability rho gives correlation rho and keeps the
      # distribution of each.
      tied = jnp.where(chance < correlation, weights[a], weights[b])
      weights = weights.at[b].set(tied)
  return weights


def _wandering_eyes(draws, units, weights):
  """Sets gaze where the model's eyes turn."""
  for uniform, (first, second, spread, full) in zip(
    draws.gaze, emotions.GAZES, strict=True
  ):
    a, b = units.find(first), units.find(second)
    if a is not None and b is not None:
      turn = spread / full * distributions.normal(uniform, limit=2.5)
      weights = weights.at[jnp.array([a, b])].set(jnp.stack([turn, -turn]))
  return weights


def _mobility(draws):
  """How far the person's face moves, 1 on average."""
  return 1 + _MOBILITY_SPREAD * distributions.normal(draws.mobility, limit=2.0)


def _to_columns(draws, units, weights, *, scale=1.0):
  """Applies mobility, rules and asymmetry; spreads units to columns."""
  weights = _wandering_eyes(draws, units, _mobility(draws) * weights)
  weights = jnp.clip(scale * weights, 0.0, 1.0)
  weights = unit_conflicts.resolve_conflicts(units, weights)
  tilt = _ASYMMETRY * distributions.normal(draws.tilt, limit=2.5)
  columns = weights @ units.columns * (1 + tilt @ units.columns * units.side)
  return jnp.clip(columns, 0.0, 1.0)
