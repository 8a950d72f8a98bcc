"""Pooling: views against XLA's own windows, gradients and ties included."""

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np
import pytest

from facerec_jax.encoders import pooling


def draw(height, width, *, levels=None):
  random = np.random.default_rng(0)
  images = random.standard_normal((2, height, width, 3))
  if levels:
    images = np.round(images * levels)
  return jnp.float32(images)


def with_gradient(pool, images):
  def loss(images):
    out = pool(images)
    weights = jnp.cos(jnp.arange(out.size)).reshape(out.shape)
    return jnp.sum(weights * out), out

  (_, out), gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))(images)
  return out, gradient


@pytest.mark.parametrize("padding", ("SAME", "VALID", ((1, 1), (1, 1))))
@pytest.mark.parametrize("height, width", ((8, 7), (5, 6)))
# Many equal values, as after a ReLU.
@pytest.mark.parametrize("levels", (None, 1))
def test_maximum_and_its_gradient_are_those_of_xla(
  padding, height, width, levels
):
  images = draw(height, width, levels=levels)
  window, strides = (3, 3), (2, 2)
  options = dict(window=window, strides=strides, padding=padding)
  wanted = with_gradient(
    lambda images: pooling.max_by_xla(images, **options), images
  )
  got = with_gradient(
    lambda images: pooling.max_pool(images, window, strides, padding), images
  )
  for ours, theirs in zip(got, wanted, strict=True):
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_centered_is_padding_by_one():
  images = draw(8, 7)
  np.testing.assert_array_equal(
    pooling.max_pool(images, (3, 3), (2, 2), "CENTERED"),
    pooling.max_pool(images, (3, 3), (2, 2), ((1, 1), (1, 1))),
  )


def test_average_counts_the_pixels_inside():
  images = draw(5, 4)
  total = lax.reduce_window(
    images, 0.0, lax.add, (1, 3, 3, 1), (1, 1, 1, 1), "SAME"
  )
  sizes = np.full((5, 4, 1), 9.0)
  sizes[[0, -1]] = 6
  sizes[:, [0, -1]] = 6
  sizes[[0, 0, -1, -1], [0, -1, 0, -1]] = 4
  np.testing.assert_allclose(
    pooling.average_pool(images), total / sizes, atol=1e-6
  )
  np.testing.assert_allclose(
    pooling.average_pool(images, count_padding=True), total / 9, atol=1e-6
  )


def test_bfloat16_stays():
  images = draw(4, 4).astype(jnp.bfloat16)
  out, gradient = with_gradient(pooling.max_pool, images)
  assert out.dtype == gradient.dtype == jnp.bfloat16
  assert pooling.average_pool(images).dtype == jnp.bfloat16


def test_views_are_for_cpus_alone():
  for platform, wanted in (("cpu", False), ("cuda", True)):
    traced = jax.jit(pooling.max_pool).trace(draw(6, 6))
    text = traced.lower(lowering_platforms=(platform,)).as_text()
    assert ("reduce_window" in text) == wanted
