"""Convolution in the form that is fast on the platform at hand.

Every form computes the same convolution; only speed differs. XLA:CPU needs help
in four places (measured with float32 on two AVX-512 cores):

* Gradients inside `lax.scan` or a loop are 2-40 times slower, because only
  convolutions with plain dimension numbers are given the fast kernel there.
  `canonical_conv` writes both gradients as plain convolutions.
* A 1x1 convolution runs on one thread; as a matrix product it is 3-5 times
  faster in training.
* A map of a few pixels (one photograph, late layers) is 1.5 times faster as
  patches times matrix, and so are windows that do not overlap.
* Depthwise convolutions: see `depthwise`.

Elsewhere `lax.conv_general_dilated` is used as it is. The platform is the one
that a program is lowered for, which may be another than the one at hand.
"""

from __future__ import annotations

from collections.abc import Callable
import functools
import math

import jax
from jax import lax
import jax.numpy as jnp

from facerec_jax.encoders import depthwise
from facerec_jax.encoders import windows

# Up to this many output pixels in the whole batch, and from this many input
# channels on, patches times matrix wins on CPU.
PATCHES_MAX_PIXELS = 600
PATCHES_MIN_CHANNELS = 64


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def convolve(images, kernel, strides=(1, 1), padding="SAME"):
  """Convolves in the fastest form.

  Args:
    images: [B, H, W, I].
    kernel: [h, w, I, O], or [h, w, 1, I] for a depthwise convolution.
    strides: vertical, horizontal.
    padding: see `windows.pairs`.

  Returns:
    [B, rows, columns, O].
  """
  # Here and below, both forms are traced and one is lowered. Saving only the
  # arguments for the gradient keeps what the other form would save out of it.
  return lax.platform_dependent(
    images,
    kernel,
    **_by_platform(_apply, images.shape, kernel.shape, strides, padding),
  )


def _convolve_forward(images, kernel, strides, padding):
  return convolve(images, kernel, strides, padding), (images, kernel)


def _convolve_backward(strides, padding, saved, cotangent):
  shapes = [array.shape for array in saved]
  return lax.platform_dependent(
    *saved, cotangent, **_by_platform(_gradients, *shapes, strides, padding)
  )


convolve.defvjp(_convolve_forward, _convolve_backward)


def _by_platform(function, images_shape, kernel_shape, strides, padding):
  def bound(platform):
    form = fast_form(
      images_shape, kernel_shape, strides, padding, platform=platform
    )
    return functools.partial(function, form, strides, padding)

  return {"cpu": bound("cpu"), "default": bound("gpu")}


def _apply(form, strides, padding, images, kernel):
  return form(images, kernel, strides, padding)


def _gradients(form, strides, padding, images, kernel, cotangent):
  def apply(images, kernel):
    return form(images, kernel, strides, padding)

  return jax.vjp(apply, images, kernel)[1](cotangent)


def fast_form(
  images_shape: tuple[int, ...],
  kernel_shape: tuple[int, ...],
  strides: tuple[int, int] = (1, 1),
  padding: windows.Padding = "SAME",
  *,
  platform: str,
) -> Callable[..., jax.Array]:
  """Chooses among the forms; all give the same values.

  Args:
    images_shape: (B, H, W, I).
    kernel_shape: (h, w, I, O), or (h, w, 1, I) for a depthwise convolution.
    strides: vertical, horizontal.
    padding: see `windows.pairs`.
    platform: "cpu", "gpu" or "tpu".

  Returns:
    A function of (images, kernel, strides, padding).

  Raises:
    ValueError: the images are smaller than the kernel.
  """
  size, window = images_shape[1:3], kernel_shape[:2]
  rows, columns = windows.counts(size, window, strides, padding)
  # Exported programs leave the batch open: mostly it is larger than few.
  batch = images_shape[0] if isinstance(images_shape[0], int) else math.inf
  pixels = batch * rows * columns
  channels = images_shape[-1]
  if kernel_shape[2] == 1 < channels:
    return depthwise.shifted if platform == "cpu" else depthwise.grouped
  if platform != "cpu":
    return plain_conv
  unpadded = not any(map(any, windows.pairs(padding, size, window, strides)))
  if window == (1, 1) and unpadded:
    return pointwise_conv
  few = pixels <= PATCHES_MAX_PIXELS and channels >= PATCHES_MIN_CHANNELS
  # Windows without overlap: patches hold no pixel twice.
  if few or window == tuple(strides):
    return patches_conv
  return canonical_conv


def plain_conv(images, kernel, strides=(1, 1), padding="SAME"):
  """XLA's own convolution; arguments as those of `convolve`."""
  edges = windows.pairs(padding, images.shape[1:3], kernel.shape[:2], strides)
  return lax.conv_general_dilated(
    images, kernel, strides, edges, dimension_numbers=windows.DIMENSIONS
  )


def pointwise_conv(images, kernel, strides=(1, 1), padding="SAME"):
  """A convolution with a [1, 1, I, O] kernel as a matrix product."""
  del padding  # A single pixel needs none.
  images = images[:, :: strides[0], :: strides[1]]
  flat = images.reshape(-1, images.shape[-1])
  return jnp.dot(flat, kernel[0, 0]).reshape(*images.shape[:-1], -1)


def patches_conv(images, kernel, strides=(1, 1), padding="SAME"):
  """A convolution as [pixels, h w I] patches times [h w I, O] matrix."""
  views = windows.views(images, kernel.shape[:2], strides, padding)
  patches = jnp.concatenate(views, axis=-1)
  flat = patches.reshape(-1, patches.shape[-1])
  product = jnp.dot(flat, kernel.reshape(-1, kernel.shape[-1]))
  return product.reshape(*patches.shape[:-1], -1)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def canonical_conv(images, kernel, strides=(1, 1), padding="SAME"):
  """`plain_conv` whose gradients are plain convolutions as well."""
  return plain_conv(images, kernel, strides, padding)


def _canonical_forward(images, kernel, strides, padding):
  return plain_conv(images, kernel, strides, padding), (images, kernel)


def _canonical_backward(strides, padding, saved, cotangent):
  images, kernel = saved
  image_size, window = images.shape[1:3], kernel.shape[:2]
  edges = windows.pairs(padding, image_size, window, strides)
  image_padding, kernel_padding = [], []
  for axis, (before, _) in enumerate(edges):
    size, width = image_size[axis], window[axis]
    span = (cotangent.shape[1 + axis] - 1) * strides[axis] + 1
    first = width - 1 - before
    image_padding.append((first, size + width - 1 - span - first))
    kernel_padding.append((before, width - 1 + span - size - before))
  image_gradient = lax.conv_general_dilated(
    cotangent,
    kernel[::-1, ::-1].transpose(0, 1, 3, 2),
    (1, 1),
    image_padding,
    lhs_dilation=strides,
    dimension_numbers=windows.DIMENSIONS,
  )
  # The weights' gradient is a convolution of the images by the cotangent in
  # which batch and channels have changed places.
  kernel_gradient = lax.conv_general_dilated(
    images.transpose(3, 1, 2, 0),
    cotangent.transpose(1, 2, 0, 3),
    (1, 1),
    kernel_padding,
    rhs_dilation=strides,
    dimension_numbers=windows.DIMENSIONS,
  )
  return image_gradient, kernel_gradient.transpose(1, 2, 0, 3)


canonical_conv.defvjp(_canonical_forward, _canonical_backward)
