"""Grey faces in even light: to look at shapes alone."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np

from facerec_jax.face import morphable_model
from facerec_jax.render import illumination


def clay(
  model: morphable_model.MorphableModel, albedo: float = 0.55
) -> morphable_model.MorphableModel:
  """The model in one grey, whatever the code says of its skin."""
  return model.replace(
    albedo_mean=jnp.full_like(model.albedo_mean, albedo),
    albedo=jnp.zeros_like(model.albedo),
  )


@jax.jit
def light() -> jax.Array:
  """A lamp from the upper left and some ambient light, [9, 3]."""
  direction = np.array([-0.45, 0.55, 1.0])
  direction /= np.linalg.norm(direction)
  key = illumination.directional_light(direction, np.full(3, 0.75 * math.pi))
  return key + illumination.ambient_light(np.full(3, 0.35))
