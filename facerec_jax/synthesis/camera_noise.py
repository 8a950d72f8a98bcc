"""What a camera adds: defocus, gain, colour cast, sensor noise, greyscale.

Blocks of JPEG are left out: a face crop is resampled after decoding, so that
no 8 x 8 grid of it is aligned with the encoder's pixels; blur and noise remain.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from facerec_jax.render import color
from facerec_jax.synthesis import distributions

# Image size to which blur widths refer, px.
REFERENCE_SIZE = 224
# The kernel reaches this many standard deviations.
_KERNEL_REACH = 2.5
_GAUSSIAN_LIMIT = 2.5
# Variance of one byte of an even 32-bit number.
_BYTE_VARIANCE = (256**2 - 1) / 12


def expose(
  key,
  linear,
  *,
  blur: float,
  gain_spread: float,
  cast_spread: float,
  noise: float,
  grey_share: float,
) -> jax.Array:
  """Turns a rendered scene into a photograph.

  Blur, gain, cast and the loss of colour act on light; noise acts on encoded
  values, where that of real sensors is roughly even.

  Args:
    key: randomness.
    linear: [S, S, 3] linear RGB, not clipped.
    blur: largest standard deviation of the blur, px in an image of 224 px.
    gain_spread: standard deviation of the logarithm of the exposure.
    cast_spread: the same of each channel, after it.
    noise: largest standard deviation of the noise, sRGB in [0, 1].
    grey_share: share of images without colour.

  Returns:
    [S, S, 3] sRGB in [0, 1].
  """
  scalar_key, noise_key = jax.random.split(key)
  uniform = jax.random.uniform(scalar_key, (7,))
  size = linear.shape[0]
  # Blur comes first: what follows it reads a finished image, where XLA would
  # compute the scene once per use.
  if blur:
    largest = blur * size / REFERENCE_SIZE
    linear = gaussian_blur(linear, uniform[0] * largest, largest=largest)
  gains = distributions.normal(uniform[1:5], limit=_GAUSSIAN_LIMIT)
  linear = change_exposure(
    linear, gains, gain_spread=gain_spread, cast_spread=cast_spread
  )
  if grey_share:
    grey = color.luminance(linear)[..., None]
    linear = jnp.where(uniform[5] < grey_share, grey, linear)
  image = color.linear_to_srgb(linear)
  if noise:
    deviates = nearly_normal(noise_key, image.shape)
    image = jnp.clip(image + noise * uniform[6] * deviates, 0.0, 1.0)
  return image


def change_exposure(linear, deviates, *, gain_spread, cast_spread) -> jax.Array:
  """More or less light, and a cast of colour.

  Args:
    linear: [..., 3] linear RGB.
    deviates: [4] in standard deviations: of the exposure, and of each channel.
    gain_spread: standard deviation of the logarithm of the exposure.
    cast_spread: the same of each channel, after it.

  Returns:
    [..., 3].
  """
  gain, casts = deviates[0], deviates[1:]
  return linear * jnp.exp(gain_spread * gain + cast_spread * casts)


def gaussian_blur(image, sigma, *, largest: float) -> jax.Array:
  """Blurs with a kernel of traced width; borders are repeated.

  Args:
    image: [S, S, C].
    sigma: [] standard deviation, px.
    largest: bound of sigma, which sets the size of the kernel.

  Returns:
    [S, S, C].

  Raises:
    ValueError: the image is not square.
  """
  if image.shape[0] != image.shape[1]:
    raise ValueError(f"blur: got shape {image.shape}, wanted a square image")
  reach = max(1, math.ceil(_KERNEL_REACH * largest))
  offsets = jnp.arange(-reach, reach + 1)
  # A width of zero leaves the image alone; the limit keeps it from 0 / 0.
  kernel = jnp.exp(-0.5 * jnp.square(offsets / jnp.maximum(sigma, 1e-3)))
  kernel = kernel / kernel.sum()

  def along_rows(image, _):
    padded = jnp.pad(image, [(reach, reach), (0, 0), (0, 0)], mode="edge")
    rows = image.shape[0]
    total = sum(
      weight * jax.lax.slice_in_dim(padded, start, start + rows)
      for start, weight in enumerate(kernel)
    )
    return total.swapaxes(0, 1), None

  # A scan, not two calls: without its boundary XLA would fuse the whole scene
  # into each slice and compute it once per tap.
  return jax.lax.scan(along_rows, image, length=2)[0]


def nearly_normal(key, shape) -> jax.Array:
  """Numbers of mean 0 and variance 1: the sum of four bytes of random bits.

  A quarter of the work of exact normal numbers, which would take as long as
  rendering the face. They end at +-3.45; kurtosis 2.7 instead of 3.
  """
  bits = jax.random.bits(key, shape, jnp.uint32)
  total = sum((bits >> shift) & 0xFF for shift in (0, 8, 16, 24))
  centered = total.astype(jnp.float32) - 4 * 127.5
  return centered * (1.0 / math.sqrt(4 * _BYTE_VARIANCE))
