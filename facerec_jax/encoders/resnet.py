"""Residual networks (He et al. 2016), version 1.5: stride in the 3x3.

Counted as Keras counts, with convolution biases and batch statistics,
ResNet-50 without head has 23,587,712 parameters and ResNet-101 42,658,176.
"""

from __future__ import annotations

from collections.abc import Callable
import functools
from typing import Any

from flax import linen as nn
import jax.numpy as jnp

from facerec_jax.encoders import convolutions

PATCH = 4


class BasicBlock(nn.Module):
  """Two 3x3 convolutions beside the identity (ResNet-18, 34).

  Attributes:
    width: channels.
    strides: of the first convolution.
    conv: constructor of convolutions.
    norm: constructor of normalizations.
    last_scale: initializer of the scale of the last normalization.
  """

  width: int
  strides: tuple[int, int]
  conv: Callable[..., nn.Module]
  norm: Callable[..., nn.Module]
  last_scale: Callable[..., Any]

  @nn.compact
  def __call__(self, x):
    """Maps [B, H, W, C] to [B, H / stride, W / stride, width]."""
    y = self.conv(self.width, strides=self.strides)(x)
    y = nn.relu(self.norm()(y))
    y = self.conv(self.width)(y)
    y = self.norm(scale_init=self.last_scale)(y)
    return _add_shortcut(self, x, y)


class BottleneckBlock(nn.Module):
  """1x1, 3x3 and 1x1 convolutions beside the identity (ResNet-50 and up).

  Attributes: as those of `BasicBlock`; the output has 4 `width` channels.
  """

  width: int
  strides: tuple[int, int]
  conv: Callable[..., nn.Module]
  norm: Callable[..., nn.Module]
  last_scale: Callable[..., Any]

  @nn.compact
  def __call__(self, x):
    """Maps [B, H, W, C] to [B, H / stride, W / stride, 4 width]."""
    y = nn.relu(self.norm()(self.conv(self.width, kernel_size=(1, 1))(x)))
    y = self.conv(self.width, strides=self.strides)(y)
    y = nn.relu(self.norm()(y))
    y = self.conv(4 * self.width, kernel_size=(1, 1))(y)
    y = self.norm(scale_init=self.last_scale)(y)
    return _add_shortcut(self, x, y)


def _add_shortcut(block, x, y):
  if x.shape != y.shape:
    project = block.conv(
      y.shape[-1],
      kernel_size=(1, 1),
      strides=block.strides,
      name="shortcut_conv",
    )
    x = block.norm(name="shortcut_norm")(project(x))
  return nn.relu(x + y)


class ResNet(nn.Module):
  """An encoder: images -> flat codes.

  Attributes:
    num_outputs: D, or 0 for the pooled features instead of codes.
    block_sizes: residual blocks of each stage; each stage doubles the channels
      and all but the first halve the resolution.
    block: BasicBlock or BottleneckBlock.
    width: channels of the first stage.
    patch_stem: start with one 4x4 patch embedding instead of a 7x7 convolution
      and a pooling; on CPU that saves most of the stem's training time.
    conv_bias: whether convolutions have biases, as in Keras. Batch
      normalization cancels them; they matter for weight exchange only.
    axis_name: of the device axis over which batch statistics are averaged.
    momentum: share of the running statistics that a step keeps; runs of a few
      hundred steps need 0.9.
    epsilon: added to variances.
    zero_init_residual: start every block as the identity (Goyal et al. 2017).
    head_stddev: of the head's initial weights; small, so that an untrained
      encoder predicts the mean face.
    dtype: of the computation; parameters, statistics and output are float32.
  """

  num_outputs: int
  block_sizes: tuple[int, ...]
  block: type[nn.Module] = BasicBlock
  width: int = 64
  patch_stem: bool = False
  conv_bias: bool = False
  axis_name: str | None = None
  momentum: float = 0.9
  epsilon: float = 1e-5
  zero_init_residual: bool = True
  head_stddev: float = 1e-3
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, images, train: bool):
    """Encodes images.

    Args:
      images: [B, H, W, 3] sRGB in [0, 1]; mapped to [-1, 1] here.
      train: normalize by the batch and update `batch_stats`, instead of
        normalizing by `batch_stats`.

    Returns:
      [B, D] float32.

    Raises:
      ValueError: images of another rank, or not a multiple of the patch size.
    """
    self._check(images)
    conv = functools.partial(
      convolutions.Conv, use_bias=self.conv_bias, dtype=self.dtype
    )
    norm = functools.partial(
      nn.BatchNorm,
      use_running_average=not train,
      axis_name=self.axis_name,
      momentum=self.momentum,
      epsilon=self.epsilon,
      dtype=self.dtype,
    )
    x = self._stem(2.0 * images.astype(self.dtype) - 1.0, conv, norm)
    x = self._body(x, conv, norm)
    features = x.mean(axis=(1, 2), dtype=jnp.float32)
    if not self.num_outputs:
      return features
    # In float32 whatever the rest runs in: a code needs more than bfloat16's
    # two to three digits.
    head = nn.Dense(
      self.num_outputs,
      kernel_init=nn.initializers.normal(self.head_stddev),
      name="head",
    )
    return head(features)

  def _check(self, images):
    if images.ndim != 4 or images.shape[-1] != 3:
      raise ValueError(
        f"encoder: got images of shape {images.shape}, wanted [B, H, W, 3]"
      )
    height, width = images.shape[1:3]
    if self.patch_stem and (height % PATCH or width % PATCH):
      raise ValueError(
        f"encoder: got images of {height} x {width} pixels, wanted multiples "
        f"of {PATCH}; change the image size or use resnet18"
      )

  def _stem(self, x, conv, norm):
    if not self.patch_stem:
      x = conv(self.width, kernel_size=(7, 7), strides=(2, 2), name="stem")(x)
      x = nn.relu(norm(name="stem_norm")(x))
      return nn.max_pool(x, (3, 3), strides=(2, 2), padding="SAME")
    x = conv(self.width, kernel_size=(1, 1), name="stem")(space_to_depth(x))
    return nn.relu(norm(name="stem_norm")(x))

  def _body(self, x, conv, norm):
    last_scale = nn.initializers.ones
    if self.zero_init_residual:
      last_scale = nn.initializers.zeros
    for stage, count in enumerate(self.block_sizes):
      for index in range(count):
        stride = 2 if stage and not index else 1
        x = self.block(
          self.width * 2**stage,
          (stride, stride),
          conv=conv,
          norm=norm,
          last_scale=last_scale,
          name=f"stage{stage + 1}_block{index + 1}",
        )(x)
    return x


def space_to_depth(images):
  """Cuts [B, H, W, C] into patches, [B, H / 4, W / 4, 16 C]."""
  batch, height, width, channels = images.shape
  rows, columns = height // PATCH, width // PATCH
  cut = images.reshape(batch, rows, PATCH, columns, PATCH, channels)
  return cut.transpose(0, 1, 3, 2, 4, 5).reshape(batch, rows, columns, -1)
