"""The lens of one photograph: what its code does not say, but its pixels show.

A fit that supposes one perspective explains another by the wrong shape, and
one that supposes a sharp picture explains a blurred one by the wrong skin and
the wrong lips. So both are fitted with the code, held by how they vary.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from facerec_jax.render import geometry
from facerec_jax.synthesis import camera_noise

# Standard deviation of the logarithm of the field of view, as synthetic faces
# have it.
_SPREAD = 0.4
# Largest standard deviation of the blur, px in an image of 224 px: that of a
# face of some 50 px that was enlarged.
_LARGEST_BLUR = 3.2
# Fields of view from 8 to 60 degrees.
_LIMIT = 2.5


class Lens(NamedTuple):
  """A lens, in deviates of standard normal distributions; both are scalars.

  Attributes:
    perspective: how wide the field of view is, see `field_of_view`.
    softness: how blurred the picture is, see `blur_width`.
  """

  perspective: jax.Array
  softness: jax.Array


def usual() -> Lens:
  """The likeliest lens: the reference camera's perspective."""
  return Lens(jnp.zeros(()), jnp.zeros(()))


def field_of_view(lens: Lens) -> jax.Array:
  """[] radians; lognormal around the reference camera's."""
  return geometry.REFERENCE_FIELD_OF_VIEW * jnp.exp(_SPREAD * lens.perspective)


def blur_width(lens: Lens, image_size: int) -> jax.Array:
  """[] standard deviation, px; all widths up to the largest are alike."""
  return largest_blur(image_size) * jax.scipy.special.ndtr(lens.softness)


def largest_blur(image_size: int) -> float:
  """Bound of `blur_width`, px."""
  return _LARGEST_BLUR * image_size / camera_noise.REFERENCE_SIZE


def soften(lens: Lens, image) -> jax.Array:
  """Blurs an image [S, S, C] as the lens does."""
  size = image.shape[0]
  return camera_noise.gaussian_blur(
    image, blur_width(lens, size), largest=largest_blur(size)
  )


def energy(lens: Lens) -> jax.Array:
  """[] negative log density, nats, 0 for the usual lens."""
  return 0.5 * (jnp.square(lens.perspective) + jnp.square(lens.softness))


def clip(lens: Lens) -> Lens:
  """The nearest plausible lens."""
  return jax.tree.map(lambda z: jnp.clip(z, -_LIMIT, _LIMIT), lens)
