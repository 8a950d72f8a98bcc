"""Layers that the encoders are made of."""

from __future__ import annotations

from collections.abc import Callable
import functools
import math
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp

from facerec_jax.encoders import convolutions
from facerec_jax.encoders import windows

NORMS = ("batch", "group")
# Groups of a group normalization (Wu and He 2018); fewer where the channels do
# not divide among so many.
GROUPS = 32


class Conv(nn.Module):
  """A convolution layer; parameters as those of `nn.Conv`.

  Attributes:
    features: output channels.
    kernel_size: height, width.
    strides: vertical, horizontal.
    padding: see `windows.pairs`.
    use_bias: whether an additive bias follows.
    dtype: of the computation; parameters are float32.
    kernel_init: initializer of the kernel; He's normal one (fan out) suits
      ReLU networks with normalization.
  """

  features: int
  kernel_size: tuple[int, int] = (3, 3)
  strides: tuple[int, int] = (1, 1)
  padding: windows.Padding = "SAME"
  use_bias: bool = False
  dtype: Any = jnp.float32
  kernel_init: Callable[..., jax.Array] = nn.initializers.variance_scaling(
    2.0, "fan_out", "normal"
  )

  @nn.compact
  def __call__(self, images):
    """Maps [B, H, W, I] to [B, rows, columns, O]."""
    shape = (*self.kernel_size, images.shape[-1], self.features)
    kernel = self.param("kernel", self.kernel_init, shape, jnp.float32)
    result = convolutions.convolve(
      images.astype(self.dtype),
      kernel.astype(self.dtype),
      self.strides,
      self.padding,
    )
    if self.use_bias:
      bias = self.param(
        "bias", nn.initializers.zeros, (self.features,), jnp.float32
      )
      result = result + bias.astype(self.dtype)
    return result


class DepthwiseConv(nn.Module):
  """A `SAME` convolution of every channel by a kernel of its own.

  Attributes:
    kernel_size: height, width.
    dtype: of the computation; parameters are float32.
  """

  kernel_size: tuple[int, int] = (3, 3)
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, images):
    """Maps [B, H, W, C] to [B, H, W, C]."""
    shape = (*self.kernel_size, 1, images.shape[-1])
    # Fan in, which is the window alone.
    init = nn.initializers.variance_scaling(1.0, "fan_in", "normal")
    kernel = self.param("kernel", init, shape, jnp.float32)
    return convolutions.convolve(
      images.astype(self.dtype), kernel.astype(self.dtype)
    )


class GroupNorm(nn.Module):
  """Group normalization that fits any number of channels.

  Attributes:
    epsilon: added to variances.
    dtype: of the result; statistics are computed in float32.
    use_scale: whether a factor per channel is learned.
    scale_init: its initializer.
  """

  epsilon: float = 1e-5
  dtype: Any = jnp.float32
  use_scale: bool = True
  scale_init: Callable[..., jax.Array] = nn.initializers.ones

  @nn.compact
  def __call__(self, x):
    """Normalizes [B, H, W, C] within each image and group of channels."""
    return nn.GroupNorm(
      num_groups=math.gcd(GROUPS, x.shape[-1]),
      epsilon=self.epsilon,
      dtype=self.dtype,
      use_scale=self.use_scale,
      scale_init=self.scale_init,
      name="norm",
    )(x)


def norm(
  kind: str,
  *,
  train: bool,
  axis_name: str | None,
  momentum: float,
  **options,
) -> Callable[..., nn.Module]:
  """The constructor of a normalization.

  Args:
    kind: one of `NORMS`.
    train: batch: normalize by the batch instead of the moving statistics.
    axis_name: batch: of the device axis over which statistics are averaged.
    momentum: batch: share of the moving statistics that a step keeps.
    **options: of both.

  Raises:
    ValueError: an unknown kind.
  """
  if kind == "batch":
    return functools.partial(
      nn.BatchNorm,
      use_running_average=not train,
      axis_name=axis_name,
      momentum=momentum,
      **options,
    )
  if kind == "group":
    return functools.partial(GroupNorm, **options)
  raise ValueError(f"norm {kind!r} is none of {', '.join(NORMS)}")
