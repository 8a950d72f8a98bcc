"""All forms of a convolution are the same convolution, gradients included."""

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

# (height, width, in, out, kernel, strides); padding is SAME.
CASES = (
  (8, 8, 3, 5, (3, 3), (1, 1)),
  (9, 7, 4, 3, (3, 3), (2, 2)),
  (8, 10, 2, 3, (7, 7), (2, 2)),
  (5, 6, 3, 2, (1, 1), (1, 1)),
  (7, 6, 3, 2, (1, 1), (2, 2)),
  (2, 2, 3, 2, (3, 3), (2, 2)),
  (6, 9, 2, 2, (1, 5), (1, 3)),
)
FORMS = (
  convolutions.plain_conv,
  convolutions.canonical_conv,
  convolutions.patches_conv,
)


def brute_force(images, kernel, strides):
  """Definition of a SAME convolution, pixel by pixel in float64."""
  batch, height, width, _ = images.shape
  rows, columns, _, outputs = kernel.shape
  out = np.zeros(
    (batch, -(-height // strides[0]), -(-width // strides[1]), outputs)
  )
  top = max((out.shape[1] - 1) * strides[0] + rows - height, 0) // 2
  left = max((out.shape[2] - 1) * strides[1] + columns - width, 0) // 2
  for b, y, x, i, j in np.ndindex(*out.shape[:3], rows, columns):
    row, column = y * strides[0] + i - top, x * strides[1] + j - left
    if 0 <= row < height and 0 <= column < width:
      out[b, y, x] += images[b, row, column] @ kernel[i, j]
  return out


def draw(height, width, inputs, outputs, size, *, batch=2, seed=0):
  random = np.random.default_rng(seed)
  images = random.standard_normal((batch, height, width, inputs))
  kernel = random.standard_normal((*size, inputs, outputs))
  return jnp.float32(images), jnp.float32(kernel)


def forms_for(size):
  return FORMS + (convolutions.pointwise_conv,) * (size == (1, 1))


@pytest.mark.parametrize("case", CASES)
def test_forms_equal_the_definition(case):
  *shape, strides = case
  images, kernel = draw(*shape)
  wanted = brute_force(np.float64(images), np.float64(kernel), strides)
  for form in forms_for(shape[-1]):
    got = form(images, kernel, strides)
    assert got.shape == wanted.shape
    np.testing.assert_allclose(got, wanted, atol=2e-4, rtol=1e-5)


def gradients(form, images, kernel, strides):
  def loss(images, kernel):
    # A different weight for every output, so that no transposition cancels.
    out = form(images, kernel, strides)
    return jnp.sum(jnp.sin(jnp.arange(out.size)) * out.ravel() ** 2)

  return jax.jit(jax.grad(loss, (0, 1)))(images, kernel)


@pytest.mark.parametrize("case", CASES)
def test_gradients_of_the_forms_are_equal(case):
  *shape, strides = case
  images, kernel = draw(*shape)
  wanted = gradients(convolutions.plain_conv, images, kernel, strides)
  for form in forms_for(shape[-1])[1:]:
    got = gradients(form, images, kernel, strides)
    for ours, theirs in zip(got, wanted, strict=True):
      scale = float(jnp.abs(theirs).max())
      np.testing.assert_allclose(ours, theirs, atol=1e-5 * scale)


@settings(max_examples=12, deadline=None)
@given(
  height=st.integers(1, 6),
  width=st.integers(1, 6),
  size=st.tuples(st.integers(1, 4), st.integers(1, 4)),
  strides=st.tuples(st.integers(1, 3), st.integers(1, 3)),
)
def test_any_shape(height, width, size, strides):
  images, kernel = draw(height, width, 2, 3, size)
  wanted = gradients(convolutions.plain_conv, images, kernel, strides)
  for form in (convolutions.canonical_conv, convolutions.patches_conv):
    got = gradients(form, images, kernel, strides)
    for ours, theirs in zip(got, wanted, strict=True):
      np.testing.assert_allclose(ours, theirs, atol=2e-3, rtol=1e-4)


def test_canonical_gradient_by_finite_differences():
  images, kernel = draw(5, 5, 2, 2, (3, 3))
  direction = draw(5, 5, 2, 2, (3, 3), seed=1)
  wanted = np.vdot(
    brute_force(np.float64(direction[0]), np.float64(kernel), (2, 2))
    + brute_force(np.float64(images), np.float64(direction[1]), (2, 2)),
    brute_force(np.float64(images), np.float64(kernel), (2, 2)),
  )

  def loss(images, kernel):
    out = convolutions.canonical_conv(images, kernel, (2, 2))
    return 0.5 * jnp.sum(out**2)

  gradient = jax.grad(loss, (0, 1))(images, kernel)
  got = sum(
    float(jnp.vdot(g, d)) for g, d in zip(gradient, direction, strict=True)
  )
  assert got == pytest.approx(wanted, rel=1e-4)


def primitives(function, *args):
  """Dimension numbers of every convolution in a traced function."""
  found = []

  def visit(jaxpr):
    for equation in jaxpr.eqns:
      if equation.primitive.name == "conv_general_dilated":
        found.append(equation.params["dimension_numbers"])
      for value in equation.params.values():
        inner = getattr(value, "jaxpr", None)
        if inner is not None:
          visit(getattr(inner, "jaxpr", inner))

  visit(jax.make_jaxpr(function)(*args).jaxpr)
  return found


def test_canonical_gradients_are_plain_convolutions():
  images, kernel = draw(8, 8, 3, 5, (3, 3))

  def orders(form):
    def gradient(images, kernel):
      return gradients(form, images, kernel, (1, 1))

    return {str(numbers) for numbers in primitives(gradient, images, kernel)}

  assert len(orders(convolutions.canonical_conv)) == 1
  assert len(orders(convolutions.plain_conv)) > 1


@pytest.mark.parametrize(
  "platform, images, kernel, form",
  (
    ("gpu", (32, 28, 28, 64), (1, 1, 64, 64), convolutions.plain_conv),
    ("tpu", (32, 28, 28, 64), (3, 3, 64, 64), convolutions.plain_conv),
    ("cpu", (32, 28, 28, 64), (1, 1, 64, 64), convolutions.pointwise_conv),
    ("cpu", (32, 28, 28, 64), (3, 3, 64, 64), convolutions.canonical_conv),
    ("cpu", (1, 7, 7, 256), (3, 3, 256, 256), convolutions.patches_conv),
    ("cpu", (1, 7, 7, 3), (3, 3, 3, 256), convolutions.canonical_conv),
    ("cpu", (32, 28, 28, 64), (3, 3, 1, 64), depthwise.shifted),
    ("gpu", (32, 28, 28, 64), (3, 3, 1, 64), depthwise.grouped),
  ),
)
def test_form_by_platform_and_shape(platform, images, kernel, form):
  chosen = convolutions.fast_form(images, kernel, (1, 1), platform=platform)
  assert chosen is form


def test_windows_without_overlap_are_patches():
  chosen = convolutions.fast_form(
    (32, 28, 28, 16), (2, 2, 16, 32), (2, 2), platform="cpu"
  )
  assert chosen is convolutions.patches_conv


@settings(max_examples=12, deadline=None)
@given(
  size=st.tuples(st.integers(4, 7), st.integers(4, 7)),
  window=st.tuples(st.integers(1, 4), st.integers(1, 4)),
  strides=st.tuples(st.integers(1, 3), st.integers(1, 3)),
  padding=st.one_of(
    st.just("VALID"),
    st.tuples(*[st.tuples(st.integers(0, 5), st.integers(0, 5))] * 2),
  ),
)
def test_any_padding(size, window, strides, padding):
  images, kernel = draw(*size, 2, 3, window)
  wanted = gradients(plain(padding), images, kernel, strides)
  for form in (convolutions.canonical_conv, convolutions.patches_conv):
    got = gradients(padded(form, padding), images, kernel, strides)
    for ours, theirs in zip(got, wanted, strict=True):
      np.testing.assert_allclose(ours, theirs, atol=2e-3, rtol=1e-4)


def padded(form, padding):
  return lambda images, kernel, strides: form(images, kernel, strides, padding)


def plain(padding):
  """XLA's convolution, with nothing of ours around it."""
  return lambda images, kernel, strides: lax.conv_general_dilated(
    images, kernel, strides, padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
  )


def test_centered_padding_is_half_a_window():
  images, kernel = draw(6, 7, 2, 3, (3, 5))
  got = convolutions.plain_conv(images, kernel, (2, 2), "CENTERED")
  wanted = plain(((1, 1), (2, 2)))(images, kernel, (2, 2))
  np.testing.assert_array_equal(got, wanted)


# One case for each form that CPUs use: canonical, pointwise, patches.
@pytest.mark.parametrize(
  "size, channels, window, strides",
  (
    ((9, 8), 3, (3, 3), (2, 2)),
    ((9, 8), 3, (3, 3), (1, 1)),
    ((9, 8), 3, (1, 1), (2, 2)),
    ((5, 5), 64, (3, 1), (1, 1)),
    ((9, 8), 3, (2, 2), (2, 2)),
  ),
)
def test_convolve_equals_xla_also_in_a_loop(size, channels, window, strides):
  images, kernel = draw(*size, channels, 4, window, batch=3)

  def losses_by(form):
    def loss(kernel, image):
      return jnp.sum(jnp.sin(form(image[None], kernel, strides)))

    def step(total, image):
      value, gradient = jax.value_and_grad(loss)(kernel, image)
      return total + gradient, value

    return jax.jit(lambda: lax.scan(step, jnp.zeros_like(kernel), images))()

  got, wanted = losses_by(convolutions.convolve), losses_by(plain("SAME"))
  for ours, theirs in zip(got, wanted, strict=True):
    np.testing.assert_allclose(
      ours, theirs, atol=1e-5 * float(jnp.abs(theirs).max())
    )


def test_convolve_of_bfloat16_stays_near_float32():
  for size, channels, window in (((8, 8), 3, (3, 3)), ((4, 4), 64, (3, 3))):
    images, kernel = draw(*size, channels, 4, window)
    low = [array.astype(jnp.bfloat16) for array in (images, kernel)]
    wanted = gradients(
      plain("SAME"), *(array.astype(jnp.float32) for array in low), (1, 1)
    )
    got = gradients(convolutions.convolve, *low, (1, 1))
    for ours, theirs in zip(got, wanted, strict=True):
      assert ours.dtype == jnp.bfloat16
      np.testing.assert_allclose(
        np.float32(ours), theirs, atol=0.03 * float(jnp.abs(theirs).max())
      )


@pytest.mark.parametrize(
  "platform, is_product", (("cpu", True), ("cuda", False))
)
def test_form_follows_the_platform_lowered_for(platform, is_product):
  images, kernel = draw(8, 8, 3, 5, (1, 1))

  def gradient(images, kernel):
    return gradients(convolutions.convolve, images, kernel, (1, 1))

  lowered = (
    jax.jit(gradient)
    .trace(images, kernel)
    .lower(lowering_platforms=(platform,))
  )
  text = lowered.as_text()
  assert ("stablehlo.convolution" not in text) == is_product
  # Nothing is left to choose when it runs.
  if platform == "cpu":
    assert "conditional(" not in lowered.compile().as_text()


def test_image_smaller_than_the_window_is_named():
  images, kernel = draw(4, 2, 3, 5, (3, 3))
  message = (
    "a map of 4 x 2 pixels is too small for a window of 3 x 3; use larger "
    "images"
  )
  with pytest.raises(ValueError, match=message):
    convolutions.convolve(images, kernel, (1, 1), "VALID")
