"""Distant light as order-2 spherical harmonics (Ramamoorthi & Hanrahan 2001).

Stored are radiance coefficients L_k; a Lambertian surface of albedo 1 shows
shading(n) = sum_k (A_l / pi) L_k Y_k(n), with A_l the clamped-cosine factors.
"""

from __future__ import annotations

import functools
import math

import jax
import jax.numpy as jnp

from facerec_jax.face import code_vector

# A_l / pi for l = 0, 1, 2, repeated over the 2 l + 1 coefficients of a band.
_COSINE_LOBE = (1.0, *(2 / 3,) * 3, *(1 / 4,) * 5)

_Y0 = 0.5 / math.sqrt(math.pi)
_Y1 = math.sqrt(3 / (4 * math.pi))
_Y2 = math.sqrt(15 / (4 * math.pi))
_Y20 = math.sqrt(5 / (16 * math.pi))


def sh_basis(directions) -> jax.Array:
  """Real spherical harmonics Y_00, Y_1-1, Y_10, Y_11, Y_2-2 ... Y_22.

  Args:
    directions: [..., 3] unit vectors.

  Returns:
    [..., 9].
  """
  return jnp.stack(_harmonics(*_planes(directions)), axis=-1)


@functools.partial(jax.jit, inline=True)
def shading(normals, illumination) -> jax.Array:
  """Radiance that a white Lambertian surface reflects.

  Args:
    normals: [..., 3] unit vectors, camera frame.
    illumination: [9, 3] radiance coefficients.

  Returns:
    [..., 3], linear RGB, not below 0 (order 2 rings slightly negative).
  """
  return jnp.stack(shading_planes(_planes(normals), illumination), axis=-1)


def shading_planes(normals, illumination) -> list[jax.Array]:
  """`shading` of x, y, z planes [...], giving red, green, blue planes.

  Sums of planes fuse into one loop over pixels; a matrix product with
  [..., 9] harmonics would store them first.
  """
  light = jnp.asarray(_COSINE_LOBE, illumination.dtype)[:, None] * illumination
  harmonics = _harmonics(*normals)
  return [
    jnp.maximum(sum(light[k, c] * y for k, y in enumerate(harmonics)), 0.0)
    for c in range(3)
  ]


def _planes(vectors):
  return [vectors[..., axis] for axis in range(3)]


def _harmonics(x, y, z):
  return (
    jnp.full_like(x, _Y0),
    _Y1 * y,
    _Y1 * z,
    _Y1 * x,
    _Y2 * x * y,
    _Y2 * y * z,
    _Y20 * (3 * z * z - 1),
    _Y2 * x * z,
    0.5 * _Y2 * (x * x - y * y),
  )


def ambient_light(radiance) -> jax.Array:
  """Light of equal radiance [3] from everywhere, [9, 3]."""
  radiance = jnp.asarray(radiance, jnp.float32)
  return jnp.zeros((9, 3)).at[0].set(code_vector.FURNACE * radiance)


def directional_light(direction, irradiance, angular_radius=0.0) -> jax.Array:
  """A distant disc of light.

  Args:
    direction: [3] unit vector towards the light.
    irradiance: [3] at normal incidence, linear RGB.
    angular_radius: [] of the disc, radians, below pi; 0 is a point.

  Returns:
    [9, 3].
  """
  bands = _disc_bands(jnp.asarray(angular_radius, jnp.float32))
  window = jnp.repeat(bands, jnp.array([1, 3, 5]), total_repeat_length=9)
  coefficients = window * sh_basis(jnp.asarray(direction, jnp.float32))
  return coefficients[:, None] * jnp.asarray(irradiance, jnp.float32)


def _disc_bands(radius):
  """Band factors of a uniform disc: the zonal integrals of P_0, P_1, P_2.

  (P_{l-1}(c) - P_{l+1}(c)) / ((2 l + 1) (1 - c)) with c = cos(radius), divided
  out by hand so that radius 0 gives exactly 1.
  """
  c = jnp.cos(radius)
  return jnp.stack([jnp.ones_like(c), (1 + c) / 2, c * (1 + c) / 2])
