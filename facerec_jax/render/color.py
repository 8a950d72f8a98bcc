"""Linear RGB and sRGB (IEC 61966-2-1)."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

# Relative luminance of the Rec. 709 primaries.
_LUMINANCE = (0.2126, 0.7152, 0.0722)
# One program where photographs are handled, and no trace of it in larger ones.
_compiled = functools.partial(jax.jit, inline=True)


@_compiled
def linear_to_srgb(linear) -> jax.Array:
  """Encodes linear RGB; values outside [0, 1] are clipped."""
  return encode(jnp.clip(linear, 0.0, 1.0))


@_compiled
def encode(linear) -> jax.Array:
  """The curve of sRGB without its limits, for values that are to be compared.

  A clipped value has no slope by which it could come back.
  """
  # The power's slope at 0 is infinite: keep it away from the unused branch.
  # exp and log vectorise on CPUs, where a power of that exponent does not.
  log = jnp.log(jnp.maximum(linear, 0.0031308))
  curve = 1.055 * jnp.exp(log / 2.4) - 0.055
  return jnp.where(linear <= 0.0031308, 12.92 * linear, curve)


@_compiled
def srgb_to_linear(srgb) -> jax.Array:
  """Decodes sRGB in [0, 1]."""
  curve = ((jnp.maximum(srgb, 0.04045) + 0.055) / 1.055) ** 2.4
  return jnp.where(srgb <= 0.04045, srgb / 12.92, curve)


@_compiled
def luminance(linear) -> jax.Array:
  """Relative luminance of linear RGB, [..., 3] -> [...]."""
  return linear @ jnp.asarray(_LUMINANCE, jnp.result_type(linear))
