"""Acted emotions in the expression coefficients of any face model."""

from __future__ import annotations

from flax import struct
import jax
import jax.numpy as jnp
import numpy as np

from facerec_jax.synthesis import emotions
from facerec_jax.synthesis import posed_emotion


@struct.dataclass
class EmotionBasis:
  """Named action units as expression coefficients of a model.

  Attributes:
    columns: [U, Ke] coefficients of every unit at weight 1.
    low: [Ke] smallest coefficients.
    high: [Ke] largest coefficients.
    names: U names such as "AU12_L", static.
  """

  columns: jax.Array
  low: jax.Array
  high: jax.Array
  names: tuple[str, ...] = struct.field(pytree_node=False)

  def coefficients(self, weights) -> jax.Array:
    """Weights of units [..., U] in [0, 1] as coefficients [..., Ke]."""
    return jnp.clip(weights @ self.columns, self.low, self.high)


def prototypes(basis: EmotionBasis) -> jax.Array:
  """The most frequent variant of every emotion at full strength.

  Args:
    basis: of a model.

  Returns:
    [7, Ke] coefficients in the order of `emotions.CLASSES`.
  """
  weights = [posed_emotion.emotion(basis.names, n) for n in emotions.CLASSES]
  return basis.coefficients(np.stack(weights))
