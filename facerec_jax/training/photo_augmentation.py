"""Photographs seen again, framed and exposed a little differently.

An encoder learns a few dozen photographs by heart. Moved, turned, scaled and
in another exposure they still show the same face, whose code moves along.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from jax.scipy import ndimage

from facerec_jax.render import color
from facerec_jax.synthesis import camera_noise
from facerec_jax.training import self_supervision

# Draws end at so many standard deviations.
_LIMIT = 2.5


@dataclasses.dataclass(frozen=True)
class Augmentation:
  """Standard deviations of what is changed; hashable.

  Attributes:
    shift: of the face in either direction, share of the image's side.
    scale: of the logarithm of its size.
    angle: of its turn in the image, radians.
    gain: of the logarithm of the exposure.
    cast: of the logarithm of each channel, beside it.
  """

  shift: float = 0.0
  scale: float = 0.0
  angle: float = 0.0
  gain: float = 0.0
  cast: float = 0.0

  def __post_init__(self):
    for field in dataclasses.fields(self):
      value = getattr(self, field.name)
      if value < 0:
        raise ValueError(
          f"augmentation: {field.name} is {value}, wanted 0 or more"
        )


NONE = Augmentation()


def augment(
  key, photo: self_supervision.Photo, settings: Augmentation
) -> self_supervision.Photo:
  """A photograph with its mask and landmarks, changed by chance.

  Args:
    key: randomness.
    photo: without batch axes.
    settings: how much; `NONE` returns the photograph itself.

  Returns:
    The photograph, [S, S, 3] in [0, 1]; pixels from outside repeat the border
    and are not in the mask.
  """
  if settings == NONE:
    return photo
  draws = jax.random.truncated_normal(key, -_LIMIT, _LIMIT, (8,))
  light = camera_noise.change_exposure(
    color.srgb_to_linear(self_supervision.as_float(photo.image)),
    draws[4:],
    gain_spread=settings.gain,
    cast_spread=settings.cast,
  )
  return _move(
    photo._replace(image=color.linear_to_srgb(light)),
    shift=settings.shift * draws[:2],
    scale=jnp.exp(settings.scale * draws[2]),
    angle=settings.angle * draws[3],
  )


def _move(photo, *, shift, scale, angle):
  """Turns and scales about the middle, then shifts by shares of the side."""
  size = photo.image.shape[0]
  cos, sin = jnp.cos(angle), jnp.sin(angle)
  turn = jnp.array([[cos, -sin], [sin, cos]])
  middle, shift = 0.5 * size, size * shift
  steps = jnp.arange(size) + 0.5 - middle
  # Where each pixel centre comes from; (column, row).
  places = jnp.stack(jnp.meshgrid(steps, steps, indexing="xy"))
  places = jnp.einsum("ji,jhw->ihw", turn, places - shift[:, None, None])
  # Indices of ndimage count from pixel centres.
  source = (places / scale + middle - 0.5)[::-1]

  def resample(plane, **border):
    return ndimage.map_coordinates(plane, list(source), order=1, **border)

  image = jax.vmap(
    lambda plane: resample(plane, mode="nearest"), in_axes=-1, out_axes=-1
  )(photo.image)
  mask = resample(photo.mask.astype(jnp.float32), mode="constant", cval=0.0)
  landmarks = (photo.landmarks - middle) @ turn.T * scale + middle + shift
  return photo._replace(image=image, mask=mask > 0.5, landmarks=landmarks)
