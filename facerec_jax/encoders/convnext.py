"""A small network after ConvNeXt (Liu et al. 2022) that is fast on CPU.

Patches, depthwise 7x7 convolutions and matrix products are what XLA:CPU is good
at. Unlike the original: ReLU instead of GELU and, by default, batch instead of
layer normalization, both cheaper; blocks start as the identity by zero weights
instead of a small scale.
"""

from __future__ import annotations

from collections.abc import Callable

from flax import linen as nn

from facerec_jax.encoders import encoder
from facerec_jax.encoders import layers
from facerec_jax.encoders import patches

KERNEL = (7, 7)
EXPANSION = 4


class ConvNextBlock(nn.Module):
  """A depthwise convolution and two 1x1 beside the identity.

  Attributes:
    conv: constructor of convolutions.
    norm: constructor of normalizations.
  """

  conv: Callable[..., nn.Module]
  norm: Callable[..., nn.Module]

  @nn.compact
  def __call__(self, x):
    """Maps [B, H, W, C] to the same shape."""
    width = x.shape[-1]
    options = dict(kernel_size=(1, 1), use_bias=True)
    expand = self.conv(EXPANSION * width, name="expand", **options)
    y = layers.DepthwiseConv(KERNEL, dtype=expand.dtype, name="depthwise")(x)
    y = nn.relu(expand(self.norm(name="norm")(y)))
    project = self.conv(
      width, name="project", kernel_init=nn.initializers.zeros, **options
    )
    return x + project(y)


class ConvNext(encoder.Encoder):
  """An encoder: images -> flat codes.

  Attributes:
    widths: channels of each stage.
    block_sizes: blocks of each stage; all but the first start by halving the
      resolution.
    epsilon: added to variances.
  """

  widths: tuple[int, ...] = (32, 64, 128, 256)
  block_sizes: tuple[int, ...] = (2, 2, 4, 2)
  epsilon: float = 1e-5

  def check(self, images) -> None:
    """See `encoder.Encoder`."""
    super().check(images)
    patches.check(images)

  def features(self, images, train: bool):
    """See `encoder.Encoder`."""
    conv, norm = self.conv(), self.normalization(train, epsilon=self.epsilon)
    block = self.block(ConvNextBlock)
    x = conv(self.widths[0], kernel_size=(1, 1), name="stem")(
      patches.space_to_depth(images)
    )
    x = norm(name="stem_norm")(x)
    stages = zip(self.widths, self.block_sizes, strict=True)
    for stage, (width, count) in enumerate(stages, start=1):
      if stage > 1:
        x = norm(name=f"stage{stage}_norm")(x)
        halve = conv(
          width, kernel_size=(2, 2), strides=(2, 2), name=f"stage{stage}_conv"
        )
        x = halve(x)
      for index in range(1, count + 1):
        x = block(conv, norm, name=f"stage{stage}_block{index}")(x)
    return norm(name="norm")(x)
