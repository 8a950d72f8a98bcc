"""Convolution in the form that is fast on the platform at hand.

Every form computes the same `SAME` convolution; only speed differs. XLA:CPU
needs help in three places (measured with float32 on two AVX-512 cores):

* Gradients inside `lax.scan` or a loop are 2-40 times slower, because only
  convolutions with plain dimension numbers are given the fast kernel there.
  `canonical_conv` writes both gradients as plain convolutions.
* A 1x1 convolution runs on one thread; as a matrix product it is 3-5 times
  faster in training.
* A map of a few pixels (one photograph, late layers) is 1.5 times faster as
  patches times matrix.

Elsewhere `lax.conv_general_dilated` is used as it is.
"""

from __future__ import annotations

from collections.abc import Callable
import functools
from typing import Any

from flax import linen as nn
import jax
from jax import lax
import jax.numpy as jnp

DIMENSIONS = ("NHWC", "HWIO", "NHWC")
# Up to this many output pixels in the whole batch, and from this many input
# channels on, patches times matrix wins on CPU.
PATCHES_MAX_PIXELS = 600
PATCHES_MIN_CHANNELS = 64


def plain_conv(images, kernel, strides: tuple[int, int] = (1, 1)):
  """XLA's own convolution.

  Args:
    images: [B, H, W, I].
    kernel: [h, w, I, O].
    strides: vertical, horizontal.

  Returns:
    [B, ceil(H / vertical), ceil(W / horizontal), O].
  """
  return lax.conv_general_dilated(
    images, kernel, strides, "SAME", dimension_numbers=DIMENSIONS
  )


def pointwise_conv(images, kernel, strides: tuple[int, int] = (1, 1)):
  """A convolution with a [1, 1, I, O] kernel as a matrix product."""
  images = images[:, :: strides[0], :: strides[1]]
  flat = images.reshape(-1, images.shape[-1])
  return jnp.dot(flat, kernel[0, 0]).reshape(*images.shape[:-1], -1)


def patches_conv(images, kernel, strides: tuple[int, int] = (1, 1)):
  """A convolution as [pixels, h w I] patches times [h w I, O] matrix."""
  height, width, _, outputs = kernel.shape
  rows = _padding(images.shape[1], height, strides[0])
  columns = _padding(images.shape[2], width, strides[1])
  padded = jnp.pad(images, ((0, 0), rows[:2], columns[:2], (0, 0)))
  patches = jnp.concatenate(
    [
      padded[:, i : i + rows[2] : strides[0], j : j + columns[2] : strides[1]]
      for i in range(height)
      for j in range(width)
    ],
    axis=-1,
  )
  flat = patches.reshape(-1, patches.shape[-1])
  product = jnp.dot(flat, kernel.reshape(-1, outputs))
  return product.reshape(*patches.shape[:-1], outputs)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def canonical_conv(images, kernel, strides: tuple[int, int] = (1, 1)):
  """`plain_conv` whose gradients are plain convolutions as well."""
  return plain_conv(images, kernel, strides)


def _canonical_forward(images, kernel, strides):
  return plain_conv(images, kernel, strides), (images, kernel)


def _canonical_backward(strides, saved, cotangent):
  images, kernel = saved
  sizes = list(zip(images.shape[1:3], kernel.shape[:2], strides, strict=True))
  image_padding, kernel_padding = [], []
  for size, width, stride in sizes:
    before, _, span = _padding(size, width, stride)
    first = width - 1 - before
    image_padding.append((first, size + width - 1 - span - first))
    kernel_padding.append((before, width - 1 + span - size - before))
  image_gradient = lax.conv_general_dilated(
    cotangent,
    kernel[::-1, ::-1].transpose(0, 1, 3, 2),
    (1, 1),
    image_padding,
    lhs_dilation=strides,
    dimension_numbers=DIMENSIONS,
  )
  # The weights' gradient is a convolution of the images by the cotangent in
  # which batch and channels have changed places.
  kernel_gradient = lax.conv_general_dilated(
    images.transpose(3, 1, 2, 0),
    cotangent.transpose(1, 2, 0, 3),
    (1, 1),
    kernel_padding,
    rhs_dilation=strides,
    dimension_numbers=DIMENSIONS,
  )
  return image_gradient, kernel_gradient.transpose(1, 2, 0, 3)


canonical_conv.defvjp(_canonical_forward, _canonical_backward)


def _padding(size, width, stride):
  """SAME padding before and after, and the pixels that the output spans."""
  count = -(-size // stride)
  span = (count - 1) * stride + 1
  total = max(span - 1 + width - size, 0)
  return total // 2, total - total // 2, span


def fast_form(
  images_shape: tuple[int, ...],
  kernel_shape: tuple[int, ...],
  strides: tuple[int, int],
  *,
  platform: str,
) -> Callable[..., jax.Array]:
  """Chooses among this module's forms; all give the same values.

  Args:
    images_shape: (B, H, W, I).
    kernel_shape: (h, w, I, O).
    strides: vertical, horizontal.
    platform: "cpu", "gpu" or "tpu".

  Returns:
    A function of (images, kernel, strides).
  """
  if platform != "cpu":
    return plain_conv
  if kernel_shape[:2] == (1, 1):
    return pointwise_conv
  batch, height, width, channels = images_shape
  pixels = batch * -(-height // strides[0]) * -(-width // strides[1])
  if pixels <= PATCHES_MAX_PIXELS and channels >= PATCHES_MIN_CHANNELS:
    return patches_conv
  return canonical_conv


class Conv(nn.Module):
  """A `SAME` convolution layer; parameters as those of `nn.Conv`.

  Attributes:
    features: output channels.
    kernel_size: height, width.
    strides: vertical, horizontal.
    use_bias: whether an additive bias follows.
    dtype: of the computation; parameters are float32.
    kernel_init: initializer of the kernel; He's normal one (fan out) suits
      ReLU networks with batch normalization.
    platform: what to be fast on; None for the one that JAX runs on.
  """

  features: int
  kernel_size: tuple[int, int] = (3, 3)
  strides: tuple[int, int] = (1, 1)
  use_bias: bool = False
  dtype: Any = jnp.float32
  kernel_init: Callable[..., jax.Array] = nn.initializers.variance_scaling(
    2.0, "fan_out", "normal"
  )
  platform: str | None = None

  @nn.compact
  def __call__(self, images):
    """Maps [B, H, W, I] to [B, ceil(H / stride), ceil(W / stride), O]."""
    shape = (*self.kernel_size, images.shape[-1], self.features)
    kernel = self.param("kernel", self.kernel_init, shape, jnp.float32)
    form = fast_form(
      images.shape,
      shape,
      self.strides,
      platform=self.platform or jax.default_backend(),
    )
    result = form(
      images.astype(self.dtype), kernel.astype(self.dtype), self.strides
    )
    if self.use_bias:
      bias = self.param(
        "bias", nn.initializers.zeros, (self.features,), jnp.float32
      )
      result = result + bias.astype(self.dtype)
    return result
