import math

import hypothesis
from hypothesis import strategies as st
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from facerec_jax.render import illumination


def _directions(count, seed=0):
  vectors = np.random.default_rng(seed).standard_normal((count, 3))
  return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_basis_is_orthonormal():
  # Gauss-Legendre x uniform quadrature is exact for products of order 4.
  z, weight = np.polynomial.legendre.leggauss(8)
  angle = 2 * np.pi * np.arange(16) / 16
  ring = np.sqrt(1 - z**2)
  points = np.stack(
    [
      np.outer(ring, np.cos(angle)),
      np.outer(ring, np.sin(angle)),
      np.repeat(z[:, None], 16, axis=1),
    ],
    axis=-1,
  ).reshape(-1, 3)
  basis = np.asarray(illumination.sh_basis(jnp.asarray(points)))
  weights = np.repeat(weight, 16) * 2 * np.pi / 16
  gram = basis.T @ (weights[:, None] * basis)
  np.testing.assert_allclose(gram, np.eye(9), atol=1e-5)


def test_basis_agrees_with_scipy():
  points = _directions(20)
  polar = np.arccos(points[:, 2])
  azimuth = np.arctan2(points[:, 1], points[:, 0])
  got = np.asarray(illumination.sh_basis(jnp.asarray(points)))
  index = 0
  for degree in range(3):
    for order in range(-degree, degree + 1):
      wave = scipy.special.sph_harm_y(degree, abs(order), polar, azimuth)
      real = {-1: wave.imag, 0: wave.real, 1: wave.real}[np.sign(order)]
      # Without the Condon-Shortley phase, real basis.
      wanted = real * (-1) ** order * (math.sqrt(2) if order else 1)
      np.testing.assert_allclose(got[:, index], wanted, atol=1e-5)
      index += 1


def test_furnace_shades_white():
  light = illumination.ambient_light([1.0, 0.5, 0.25])
  got = illumination.shading(jnp.asarray(_directions(9)), light)
  np.testing.assert_allclose(got, [[1.0, 0.5, 0.25]] * 9, atol=1e-6)


def test_directional_light_has_the_closed_form_of_order_two():
  direction = _directions(1, seed=3)[0]
  normals = _directions(50, seed=4)
  light = illumination.directional_light(direction, [2.0, 2.0, 2.0])
  light = light + illumination.ambient_light([1.0, 1.0, 1.0])
  cosine = normals @ direction
  # Expansion of the clamped cosine: 1/4 + c/2 + 5/16 (3 c^2 - 1) / 2, here
  # with the truncation that the facts state.
  wanted = 1 + 2 / np.pi * (0.09375 + 0.5 * cosine + 0.46875 * cosine**2)
  got = illumination.shading(jnp.asarray(normals), light)
  np.testing.assert_allclose(got, wanted[:, None].repeat(3, 1), atol=1e-5)


@hypothesis.given(st.floats(0.01, 3.0))
@hypothesis.settings(max_examples=20, deadline=None)
def test_disc_bands_are_the_zonal_integrals(radius):
  c = math.cos(radius)
  legendre = [lambda x: 1.0, lambda x: x, lambda x: (3 * x * x - 1) / 2]
  light = illumination.directional_light([0.0, 0.0, 1.0], [1.0] * 3, radius)
  point = illumination.directional_light([0.0, 0.0, 1.0], [1.0] * 3)
  nodes, weights = np.polynomial.legendre.leggauss(16)
  x = (1 + c) / 2 + (1 - c) / 2 * nodes
  for degree, index in ((1, 2), (2, 6)):
    mean = sum(weights * [legendre[degree](v) for v in x]) / 2
    np.testing.assert_allclose(
      light[index] / point[index], [mean] * 3, atol=1e-5
    )


def test_shading_is_never_negative():
  light = illumination.directional_light([0.0, 0.0, 1.0], [5.0] * 3)
  got = illumination.shading(jnp.asarray(_directions(200)), light)
  assert float(got.min()) == 0.0


def test_order_two_is_close_to_a_lambertian_sphere():
  direction = np.array([0.0, 0.0, 1.0])
  light = illumination.directional_light(direction, [np.pi] * 3)
  normals = _directions(500, seed=1)
  got = np.asarray(illumination.shading(jnp.asarray(normals), light))[:, 0]
  assert np.abs(got - np.maximum(normals[:, 2], 0)).mean() == pytest.approx(
    0.03, abs=0.02
  )
