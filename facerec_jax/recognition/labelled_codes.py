"""Expression codes with labels: the bank that the expression network learns.

Row i of a set depends on the key and i alone; a training batch is a function of
(seed, step, global index), as all data here.
"""

from __future__ import annotations

from typing import NamedTuple

from flax import struct
import jax
import jax.numpy as jnp

from facerec_jax.synthesis import emotion_basis
from facerec_jax.synthesis import emotions
from facerec_jax.synthesis import expression_prior

NUM_CLASSES = len(emotions.CLASSES)
NEUTRAL = emotions.CLASSES.index("neutral")
# A face that moves less is neutral: between FACS' grades A (a trace, .10) and
# B (.25) of the variant's units.
NEUTRAL_BELOW = 0.175
# Weak faces start from rest and end where the emotions' own range begins.
_WEAK_LIMITS = (0.0, emotions.STRENGTH_LIMITS[0])
# Codes drawn at once.
_CHUNK = 1024


@struct.dataclass
class LabelledCodes:
  """Expression codes and what they show.

  Attributes:
    codes: [M, Ke].
    emotion: [M] int32, which class was acted.
    intensity: [M] how far, see `expression_prior.ActedExpression`.
    noise: [M] multiplies the noise that is added when a row is drawn.
  """

  codes: jax.Array
  emotion: jax.Array
  intensity: jax.Array
  noise: jax.Array

  @property
  def label(self) -> jax.Array:
    """[M] class to name: the acted one, or neutral where it hardly shows."""
    return jnp.where(self.intensity < NEUTRAL_BELOW, NEUTRAL, self.emotion)


@struct.dataclass
class Bank:
  """What batches are drawn from.

  Attributes:
    rows: labelled codes.
    noise_root: [Ke, Ke]; noise is a standard normal row times this.
  """

  rows: LabelledCodes
  noise_root: jax.Array


class Example(NamedTuple):
  """A drawn code, with or without batch axes; fields as of `LabelledCodes`."""

  code: jax.Array
  emotion: jax.Array
  label: jax.Array
  intensity: jax.Array


def acted(
  key, basis: emotion_basis.EmotionBasis, *, count: int, weak_share=0.0
) -> LabelledCodes:
  """Draws exact codes of acted emotions, all classes equally often.

  Args:
    key: randomness.
    basis: the model's action units.
    count: M.
    weak_share: of faces whose strength is below the emotions' own range.

  Returns:
    Labelled codes without noise.
  """
  # Chunks of one size need one program, however many codes there are.
  chunks = [
    _acted_rows(key, basis, first + jnp.arange(_CHUNK), weak_share)
    for first in range(0, count, _CHUNK)
  ]
  return jax.tree.map(lambda array: array[:count], join(chunks))


@jax.jit
def _acted_rows(key, basis, indices, weak_share):
  def row(index):
    acted_key, weak_key = jax.random.split(jax.random.fold_in(key, index))
    is_weak = jax.random.uniform(weak_key) < weak_share
    low, high = (
      jnp.where(is_weak, weak, usual)
      for weak, usual in zip(
        _WEAK_LIMITS, emotions.STRENGTH_LIMITS, strict=True
      )
    )
    label = index % NUM_CLASSES
    shown = expression_prior.sample_emotion(
      acted_key, basis.names, label, strength_limits=(low, high)
    )
    codes = basis.coefficients(shown.weights)
    return LabelledCodes(codes, label, shown.intensity, jnp.zeros(()))

  return jax.vmap(row)(indices)


def join(parts: list[LabelledCodes]) -> LabelledCodes:
  """Puts sets behind one another."""
  return jax.tree.map(lambda *arrays: jnp.concatenate(arrays), *parts)


def draw(bank: Bank, key) -> Example:
  """Draws one example."""
  row_key, noise_key = jax.random.split(key)
  index = jax.random.randint(row_key, (), 0, bank.rows.codes.shape[0])
  return _example(bank, index, noise_key)


def draw_batch(bank: Bank, seed_key, step, indices) -> Example:
  """The examples of a step, batch axis [B].

  Args:
    bank: to draw from.
    seed_key: root of all randomness.
    step: [] integer.
    indices: [B] integers, global over all devices.
  """
  step_key = jax.random.fold_in(seed_key, step)
  keys = jax.vmap(lambda index: jax.random.fold_in(step_key, index))(indices)
  return jax.vmap(draw, in_axes=(None, 0))(bank, keys)


@jax.jit
def every_row(bank: Bank, key) -> Example:
  """Every row once, with its noise drawn once; batch axis [M]."""
  indices = jnp.arange(bank.rows.codes.shape[0])
  return jax.vmap(
    lambda index: _example(bank, index, jax.random.fold_in(key, index))
  )(indices)


def _example(bank, index, key):
  rows = bank.rows
  row = jax.tree.map(lambda array: array[index], rows)
  noise = jax.random.normal(key, row.codes.shape) @ bank.noise_root
  return Example(
    row.codes + row.noise * noise, row.emotion, row.label, row.intensity
  )
