"""Residual networks (He et al. 2016), version 1.5: stride in the 3x3.

Counted as Keras counts, with convolution biases and batch statistics,
ResNet-50 without head has 23,587,712 parameters and ResNet-101 42,658,176.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flax import linen as nn

from facerec_jax.encoders import encoder
from facerec_jax.encoders import patches
from facerec_jax.encoders import pooling


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

  Attributes: as those of `BasicBlock`; the output has 4 `width` channels, and
    stride_first: the first convolution has the strides, as in version 1,
      instead of the second.
  """

  width: int
  strides: tuple[int, int]
  conv: Callable[..., nn.Module]
  norm: Callable[..., nn.Module]
  last_scale: Callable[..., Any]
  stride_first: bool = False

  @nn.compact
  def __call__(self, x):
    """Maps [B, H, W, C] to [B, H / stride, W / stride, 4 width]."""
    strides = (self.strides, (1, 1))
    first, second = strides if self.stride_first else strides[::-1]
    y = self.conv(self.width, kernel_size=(1, 1), strides=first)(x)
    y = nn.relu(self.norm()(y))
    y = self.conv(self.width, strides=second)(y)
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


class ResNet(encoder.Encoder):
  """An encoder: images -> flat codes.

  Attributes:
    block_sizes: residual blocks of each stage; each stage doubles the channels
      and all but the first halve the resolution.
    bottleneck: kind of blocks.
    width: channels of the first stage.
    patch_stem: start with one 4x4 patch embedding instead of a 7x7 convolution
      and a pooling; on CPU that saves most of the stem's training time.
    conv_bias: whether convolutions have biases, as in Keras (`compatible_with`
      goes before). Normalization cancels them: they matter for weight exchange.
    epsilon: added to variances.
    zero_init_residual: start every block as the identity (Goyal et al. 2017).
  """

  block_sizes: tuple[int, ...] = (2, 2, 2, 2)
  bottleneck: bool = False
  width: int = 64
  patch_stem: bool = False
  conv_bias: bool = False
  epsilon: float = 1e-5
  zero_init_residual: bool = True

  @property
  def libraries(self) -> tuple[str, ...]:
    """See `encoder.Encoder`."""
    if self.patch_stem:
      return ()
    return ("keras", "torchvision") if self.bottleneck else ("torchvision",)

  @property
  def has_bias(self) -> bool:
    """Whether the convolutions have biases."""
    if self.compatible_with:
      return self.compatible_with == "keras"
    return self.conv_bias

  def check(self, images) -> None:
    """See `encoder.Encoder`."""
    super().check(images)
    if self.patch_stem:
      patches.check(images)

  def input_scaling(self) -> Callable:
    """See `encoder.Encoder`."""
    return {
      "": encoder.symmetric_input,
      "keras": encoder.caffe_input,
      "torchvision": encoder.torchvision_input,
    }[self.compatible_with]

  def features(self, images, train: bool):
    """See `encoder.Encoder`."""
    padding = "CENTERED" if self.compatible_with else "SAME"
    conv = self.conv(use_bias=self.has_bias, padding=padding)
    norm = self.normalization(
      train,
      epsilon=1.001e-5 if self.compatible_with == "keras" else self.epsilon,
    )
    if self.patch_stem:
      stem = conv(self.width, kernel_size=(1, 1), name="stem")
      x = nn.relu(norm(name="stem_norm")(stem(patches.space_to_depth(images))))
    else:
      stem = conv(self.width, kernel_size=(7, 7), strides=(2, 2), name="stem")
      x = nn.relu(norm(name="stem_norm")(stem(images)))
      x = pooling.max_pool(x, (3, 3), (2, 2), padding)
    return self._stages(x, conv, norm)

  def _stages(self, x, conv, norm):
    options = dict(conv=conv, norm=norm, last_scale=nn.initializers.ones)
    if self.zero_init_residual:
      options["last_scale"] = nn.initializers.zeros
    if self.bottleneck:
      options["stride_first"] = self.compatible_with == "keras"
    block = self.block(BottleneckBlock if self.bottleneck else BasicBlock)
    for stage, count in enumerate(self.block_sizes):
      for index in range(count):
        stride = 2 if stage and not index else 1
        x = block(
          self.width * 2**stage,
          (stride, stride),
          name=f"stage{stage + 1}_block{index + 1}",
          **options,
        )(x)
    return x
