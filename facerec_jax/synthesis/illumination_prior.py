"""Random light for portraits, exposed as a camera would.

Sources: an ambient sky that is brighter above, a key light above and in front,
a weaker light on the other side. Colours are black bodies under a white balance
that leaves a small cast.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from facerec_jax.render import color
from facerec_jax.render import illumination
from facerec_jax.synthesis import distributions

# Ambient share of the frontal irradiance, tuned so that contrast over a face is
# near that of photographs. Less than the minimum would let the ringing of
# order-2 lights turn shading negative on the far side.
_AMBIENT_BETA = (3.0, 3.5)
_AMBIENT_LIMITS = (0.1, 0.98)
# L_1-1 of the ambient light in units of its L_0: mean, standard deviation.
_SKY_GRADIENT = (0.15, 0.1)
# Degrees: mean and standard deviation, azimuth limit; angular radius of lights.
_ELEVATION = (25.0, 20.0)
_AZIMUTH_SPREAD, _AZIMUTH_LIMIT = 50.0, 110.0
_SOFTNESS = (10.0, 50.0)
_SECOND_LIGHT = 0.4
# Order-2 shading of a white surface that faces a point light of irradiance pi.
_FACING = 1.0625
# Sources of one scene differ in colour temperature by this much (logarithm).
_TEMPERATURE, _TEMPERATURE_SPREAD = 5000.0, 0.25
_TEMPERATURE_LIMITS = (2800.0, 9000.0)
_COLOR_CAST = 0.06

# Luminance of medium skin (linear) and how bright it is on photographs: 134 of
# 255 in sRGB.
_SKIN_LUMINANCE = 0.24
_EXPOSED_LUMINANCE = 0.24


def sample_light(key) -> jax.Array:
  """Draws a light of unit strength: white surfaces facing it shade about 1.

  Returns:
    [9, 3] radiance coefficients.
  """
  first, uniform, normal = jnp.split(jax.random.uniform(key, (15,)), (1, 5))
  share = distributions.beta(first[0], *_AMBIENT_BETA)
  share = jnp.clip(share, *_AMBIENT_LIMITS)
  normal = distributions.normal(normal, limit=2.5)
  strengths = jnp.stack(
    [share, 1 - share, _SECOND_LIGHT * uniform[0] * (1 - share)]
  )
  sources = strengths[:, None] * _source_colors(
    strengths, normal[:3], normal[3:6]
  )
  ambient = illumination.ambient_light(sources[0])
  mean, spread = _SKY_GRADIENT
  ambient = ambient.at[1].set((mean + spread * normal[6]) * ambient[0])

  azimuth = _AZIMUTH_SPREAD * normal[7]
  azimuth = jnp.clip(azimuth, -_AZIMUTH_LIMIT, _AZIMUTH_LIMIT)
  # The second light stands on the side where the key light does not.
  other = -jnp.sign(azimuth) * _AZIMUTH_LIMIT * uniform[1]
  mean, spread = _ELEVATION
  elevation = mean + spread * normal[8:]
  low, high = _SOFTNESS
  radius = low + (high - low) * uniform[2:]
  key_light = _soft_light(sources[1], azimuth, elevation[0], radius[0])
  second = _soft_light(sources[2], other, elevation[1], radius[1])
  return ambient + key_light + second


def _source_colors(strengths, warmth, cast):
  """Black bodies, balanced to white except for a cast, [3, 3]."""
  temperatures = _TEMPERATURE * jnp.exp(_TEMPERATURE_SPREAD * warmth)
  colors = blackbody(jnp.clip(temperatures, *_TEMPERATURE_LIMITS))
  white = strengths @ colors / strengths.sum()
  return colors / white * jnp.exp(_COLOR_CAST * cast)


def _soft_light(shade, azimuth, elevation, radius):
  """A disc of light, [9, 3]; a surface that faces it shades `shade` [3]."""
  return illumination.directional_light(
    direction(jnp.deg2rad(azimuth), jnp.deg2rad(elevation)),
    shade * math.pi / _FACING,
    jnp.deg2rad(radius),
  )


def direction(azimuth, elevation) -> jax.Array:
  """Unit vector [3] towards a light.

  Args:
    azimuth: [] radians, 0 from the camera, positive from the image right.
    elevation: [] radians, positive from above.
  """
  level = jnp.cos(elevation)
  return jnp.stack(
    [level * jnp.sin(azimuth), jnp.sin(elevation), level * jnp.cos(azimuth)]
  )


def expose(
  key, light, skin, normals, weights, *, spread: float, adaptation: float
) -> jax.Array:
  """Scales a light so that skin is as bright as on photographs.

  The camera meters the mean luminance of the skin that it sees. Medium skin
  comes out at 134 / 255 sRGB; of other tones the exposure makes up only a part,
  so that dark skin stays darker than light skin.

  Args:
    key: randomness.
    light: [9, 3] before exposure.
    skin: [n, 3] albedo of some skin, linear RGB, times its occlusion.
    normals: [n, 3] of that skin, camera frame.
    weights: [n] not negative, 0 for what is no skin.
    spread: standard deviation of the exposure (logarithm).
    adaptation: share of the (log) difference in tone that exposure makes up:
      0 is a fixed exposure, 1 makes all skin equally bright.

  Returns:
    [9, 3].
  """
  weights = weights * jnp.maximum(normals[:, 2], 0.0)
  weights = weights / (weights.sum() + 1e-6)
  shaded = color.luminance(skin * illumination.shading(normals, light))
  seen = jnp.maximum(weights @ shaded, 1e-4)
  tone = jnp.maximum(weights @ color.luminance(skin), 1e-4) / _SKIN_LUMINANCE
  error = spread * distributions.normal(jax.random.uniform(key), limit=2.5)
  wanted = _EXPOSED_LUMINANCE * tone ** (1 - adaptation) * jnp.exp(error)
  return light * wanted / seen


def blackbody(temperature) -> jax.Array:
  """Colour of a black body, linear RGB of luminance 1.

  Chromaticity by the cubic splines of Kim et al. (US patent 7,024,034), 2222 K
  to 25000 K.

  Args:
    temperature: [...] kelvin.

  Returns:
    [..., 3].
  """
  t = 1e3 / temperature
  warm = temperature < 4000.0
  x = jnp.where(
    warm,
    ((-0.2661239 * t - 0.2343589) * t + 0.8776956) * t + 0.179910,
    ((-3.0258469 * t + 2.1070379) * t + 0.2226347) * t + 0.240390,
  )
  y = jnp.where(
    warm,
    ((-0.9549476 * x - 1.37418593) * x + 2.09137015) * x - 0.16748867,
    ((3.0817580 * x - 5.87338670) * x + 3.75112997) * x - 0.37001483,
  )
  big_x, big_z = x / y, (1 - x - y) / y
  red = 3.2404542 * big_x - 1.5371385 - 0.4985314 * big_z
  green = -0.9692660 * big_x + 1.8760108 + 0.0415560 * big_z
  blue = 0.0556434 * big_x - 0.2040259 + 1.0572252 * big_z
  return jnp.stack([red, green, blue], axis=-1)
