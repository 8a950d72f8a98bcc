"""Depthwise convolution: every channel by a kernel of its own.

XLA:CPU runs it as a grouped convolution, 17-65 times slower than the sum of
shifted products here. (Measured with float32 on two AVX-512 cores.)
"""

from __future__ import annotations

import functools

import jax
from jax import lax
import jax.numpy as jnp

from facerec_jax.encoders import windows


def grouped(images, kernel, strides=(1, 1), padding="SAME"):
  """XLA's own grouped convolution.

  Args:
    images: [B, H, W, C].
    kernel: [h, w, 1, C].
    strides: vertical, horizontal.
    padding: see `windows.pairs`.

  Returns:
    [B, rows, columns, C].
  """
  edges = windows.pairs(padding, images.shape[1:3], kernel.shape[:2], strides)
  return lax.conv_general_dilated(
    images,
    kernel,
    strides,
    edges,
    dimension_numbers=windows.DIMENSIONS,
    feature_group_count=images.shape[-1],
  )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def shifted(images, kernel, strides=(1, 1), padding="SAME"):
  """`grouped` as a sum of shifted products, in float32 or better."""
  exact = jnp.promote_types(images.dtype, jnp.float32)
  views = windows.views(
    images.astype(exact), kernel.shape[:2], strides, padding
  )
  weights = kernel.astype(exact).reshape(len(views), -1)
  total = sum(
    view * weight for view, weight in zip(views, weights, strict=True)
  )
  return total.astype(images.dtype)


def _shifted_forward(images, kernel, strides, padding):
  return shifted(images, kernel, strides, padding), (images, kernel)


def _shifted_backward(strides, padding, saved, cotangent):
  images, kernel = saved
  window = kernel.shape[:2]
  edges = windows.pairs(padding, images.shape[1:3], window, strides)
  image_gradient = shifted(
    *_transposed(images, kernel, cotangent, strides, edges), (1, 1), "VALID"
  )
  exact = jnp.promote_types(images.dtype, jnp.float32)

  # Image by image, since sums over a batch of shifted views do not vectorise.
  def add(total, pair):
    image, gradient = (array.astype(exact)[None] for array in pair)
    views = windows.views(image, window, strides, edges)
    return total + jnp.stack(
      [(view * gradient).sum((0, 1, 2)) for view in views]
    ), None

  zero = jnp.zeros((window[0] * window[1], images.shape[-1]), exact)
  total, _ = lax.scan(add, zero, (images, cotangent))
  return image_gradient, total.reshape(kernel.shape).astype(kernel.dtype)


def _transposed(images, kernel, cotangent, strides, edges):
  """Cotangent and kernel whose plain convolution is the images' gradient."""
  margins = []
  for axis, (before, _) in enumerate(edges):
    first = kernel.shape[axis] - 1 - before
    span = (cotangent.shape[1 + axis] - 1) * strides[axis] + 1
    last = images.shape[1 + axis] + kernel.shape[axis] - 1 - span - first
    margins.append((first, last, strides[axis] - 1))
  spread = lax.pad(
    cotangent, cotangent.dtype.type(0), ((0, 0, 0), *margins, (0, 0, 0))
  )
  return spread, kernel[::-1, ::-1]


shifted.defvjp(_shifted_forward, _shifted_backward)
