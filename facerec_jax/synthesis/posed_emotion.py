"""An emotion on request: one name, one strength, one vector of weights."""

from __future__ import annotations

import functools

import jax
import numpy as np

from facerec_jax.synthesis import emotions
from facerec_jax.synthesis import expression_units
from facerec_jax.synthesis import unit_conflicts


def emotion(
  names: tuple[str, ...],
  name: str,
  *,
  intensity: float = 1.0,
  variant: int | None = None,
  key=None,
) -> np.ndarray:
  """Expression coefficients of a face that shows an emotion.

  The units of `emotions.EMOTIONS` at their mean weights, both sides alike;
  optional units only where a key draws them.

  Args:
    names: of the model's expression columns, `model.expression_names`.
    name: one of `emotions.CLASSES`.
    intensity: multiplies the weights, 0 to 1.
    variant: which way of showing it, in the order of `emotions.EMOTIONS`;
      None for the most frequent one, or for a draw if there is a key.
    key: draws variant (if None) and optional units.

  Returns:
    [Ke] weights in [0, 1].

  Raises:
    ValueError: no such emotion, variant or intensity; a model without action
      units, or without one that the variant needs.
  """
  chosen = _variant(name, variant, key)
  if not 0.0 <= intensity <= 1.0:
    raise ValueError(f"intensity of {name!r} is {intensity}, want 0 to 1")
  names = tuple(names)
  units = expression_units.find_units(names, len(names))
  if not units.are_action_units:
    raise ValueError(
      "emotions need a model with action units (AU12_L, ...): its "
      f"{len(names)} expressions are {names[:3]}"
    )
  weights = np.zeros(len(units.names), np.float32)
  for unit, weight in chosen.units + _drawn_extras(chosen, key):
    index = units.find(unit)
    if index is None:
      raise ValueError(f"{name!r} needs AU{unit:02d}, which the model lacks")
    weights[index] = intensity * weight
  return np.asarray(_resolve_conflicts(names, weights)) @ units.columns


@functools.partial(jax.jit, static_argnums=0)
def _resolve_conflicts(names, weights):
  units = expression_units.find_units(names, len(names))
  return unit_conflicts.resolve_conflicts(units, weights)


def _variant(name, variant, key):
  if name not in emotions.EMOTIONS:
    raise ValueError(
      f"no emotion {name!r}: choose one of {', '.join(emotions.CLASSES)}"
    )
  variants = emotions.EMOTIONS[name]
  shares = np.array([v.share for v in variants])
  if variant is None and key is None:
    variant = int(shares.argmax())
  elif variant is None:
    variant = int(jax.random.choice(key, len(variants), p=shares))
  if not 0 <= variant < len(variants):
    raise ValueError(
      f"{name!r} has no variant {variant}: it has {len(variants)}, 0 to "
      f"{len(variants) - 1}"
    )
  return variants[variant]


def _drawn_extras(variant, key):
  """Optional units that a key draws, (unit, weight) pairs."""
  if key is None or not variant.optional:
    return ()
  uniform = jax.random.uniform(jax.random.fold_in(key, 1), (9,))
  return tuple(
    (unit, emotions.OPTIONAL_WEIGHT)
    for u, (unit, share) in zip(uniform, variant.optional, strict=False)
    if u < share
  )
