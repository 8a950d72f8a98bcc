"""Depthwise convolution: the sum of shifted products against XLA's own."""

from hypothesis import example
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
import jax
from jax import lax
import jax.numpy as jnp
import numpy as np
import pytest

from facerec_jax.encoders import convolutions
from facerec_jax.encoders import depthwise


def draw(height, width, channels, window, *, batch=2):
  random = np.random.default_rng(0)
  images = random.standard_normal((batch, height, width, channels))
  kernel = random.standard_normal((*window, 1, channels))
  return jnp.float32(images), jnp.float32(kernel)


def gradients(form, images, kernel, *options):
  def loss(images, kernel):
    out = form(images, kernel, *options)
    return jnp.sum(jnp.sin(jnp.arange(out.size)) * out.ravel() ** 2)

  return jax.jit(jax.value_and_grad(loss, (0, 1)))(images, kernel)


def padded_first(images, kernel, strides, padding):
  """`depthwise.grouped` of an image that is padded already.

  Where padding reaches beyond the window, XLA:CPU's gradient of a grouped
  convolution reads memory that is not its own (seen in jax 0.10).
  """
  if not isinstance(padding, str):
    images = jnp.pad(images, ((0, 0), *padding, (0, 0)))
    padding = "VALID"
  return depthwise.grouped(images, kernel, strides, padding)


def test_every_channel_is_convolved_alone():
  images, kernel = draw(6, 5, 3, (3, 3))
  for form in (depthwise.shifted, depthwise.grouped):
    got = form(images, kernel)
    for channel in range(3):
      alone = convolutions.plain_conv(
        images[..., channel, None], kernel[..., channel, None]
      )
      np.testing.assert_allclose(got[..., channel], alone[..., 0], atol=1e-5)


@pytest.mark.parametrize("size", (3, 5, 7))
@pytest.mark.parametrize("stride", (1, 2))
def test_forms_and_gradients_are_equal(size, stride):
  images, kernel = draw(9, 6, 3, (size, size))
  options = ((stride, stride), "SAME")
  wanted = gradients(depthwise.grouped, images, kernel, *options)
  for form in (depthwise.shifted, convolutions.convolve):
    got = gradients(form, images, kernel, *options)
    for ours, theirs in zip(
      jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True
    ):
      scale = float(jnp.abs(theirs).max())
      np.testing.assert_allclose(ours, theirs, atol=5e-5 * scale)


@settings(max_examples=10, deadline=None)
@example(size=(4, 4), window=(3, 3), strides=(1, 1), padding=((3, 1), (2, 2)))
@given(
  size=st.tuples(st.integers(4, 7), st.integers(4, 7)),
  window=st.tuples(st.integers(1, 4), st.integers(1, 4)),
  strides=st.tuples(st.integers(1, 3), st.integers(1, 3)),
  padding=st.one_of(
    st.sampled_from(("SAME", "VALID", "CENTERED")),
    st.tuples(*[st.tuples(st.integers(0, 5), st.integers(0, 5))] * 2),
  ),
)
def test_any_shape(size, window, strides, padding):
  images, kernel = draw(*size, 2, window)
  wanted = gradients(padded_first, images, kernel, strides, padding)
  got = gradients(depthwise.shifted, images, kernel, strides, padding)
  for ours, theirs in zip(
    jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True
  ):
    np.testing.assert_allclose(ours, theirs, atol=2e-3, rtol=1e-4)


def test_gradients_in_a_loop():
  images, kernel = draw(6, 6, 4, (3, 3), batch=3)

  def total_by(form):
    def step(total, image):
      gradient = jax.grad(
        lambda kernel: jnp.sum(jnp.sin(form(image[None], kernel)))
      )(kernel)
      return total + gradient, None

    return jax.jit(lambda: lax.scan(step, 0 * kernel, images)[0])()

  np.testing.assert_allclose(
    total_by(convolutions.convolve), total_by(depthwise.grouped), atol=1e-5
  )


def test_bfloat16_is_summed_in_float32():
  images, kernel = draw(64, 64, 2, (7, 7), batch=4)
  low = images.astype(jnp.bfloat16), kernel.astype(jnp.bfloat16)

  def loss(images, kernel):
    return jnp.sum(depthwise.shifted(images, kernel).astype(jnp.float32) ** 2)

  exact = [array.astype(jnp.float32) for array in low]
  wanted = jax.jit(jax.grad(loss, (0, 1)))(*exact)
  got = jax.jit(jax.grad(loss, (0, 1)))(*low)
  for ours, theirs in zip(got, wanted, strict=True):
    assert ours.dtype == jnp.bfloat16
    # 16,384 summands in bfloat16 would be off by far more.
    np.testing.assert_allclose(
      np.float32(ours), theirs, atol=0.01 * float(jnp.abs(theirs).max())
    )


def test_cpu_has_no_grouped_convolution_and_cuda_has():
  images, kernel = draw(8, 8, 4, (3, 3))

  def gradient(images, kernel):
    return gradients(convolutions.convolve, images, kernel)

  for platform, wanted in (("cpu", False), ("cuda", True)):
    traced = jax.jit(gradient).trace(images, kernel)
    text = traced.lower(lowering_platforms=(platform,)).as_text()
    assert ("feature_group_count = 4" in text) == wanted
