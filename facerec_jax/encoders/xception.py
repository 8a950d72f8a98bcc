"""Xception (Chollet 2017): depthwise separable convolutions with shortcuts.

Counted as Keras counts, with batch statistics, it has 20,861,480 parameters
without head.
"""

from __future__ import annotations

from collections.abc import Callable

from flax import linen as nn

from facerec_jax.encoders import encoder
from facerec_jax.encoders import layers
from facerec_jax.encoders import pooling

EPSILON = 1e-3


class SeparableConv(nn.Module):
  """A depthwise 3x3 and a 1x1 convolution, normalized.

  Attributes:
    width: output channels.
    conv: constructor of convolutions.
    norm: constructor of normalizations.
  """

  width: int
  conv: Callable[..., nn.Module]
  norm: Callable[..., nn.Module]

  @nn.compact
  def __call__(self, x):
    """Maps [B, H, W, C] to [B, H, W, width]."""
    pointwise = self.conv(self.width, kernel_size=(1, 1), name="pointwise")
    x = layers.DepthwiseConv(dtype=pointwise.dtype, name="depthwise")(x)
    return self.norm(name="norm")(pointwise(x))


class ReducingBlock(nn.Module):
  """Two separable convolutions and a pooling beside a strided shortcut.

  Attributes:
    widths: output channels of the two convolutions.
    conv: constructor of convolutions.
    norm: constructor of normalizations.
    first_relu: whether the first convolution has a ReLU before it.
  """

  widths: tuple[int, int]
  conv: Callable[..., nn.Module]
  norm: Callable[..., nn.Module]
  first_relu: bool = True

  @nn.compact
  def __call__(self, x):
    """Maps [B, H, W, C] to [B, H / 2, W / 2, widths[1]]."""
    shortcut = self.conv(
      self.widths[1],
      kernel_size=(1, 1),
      strides=(2, 2),
      name="shortcut_conv",
    )(x)
    shortcut = self.norm(name="shortcut_norm")(shortcut)
    for index, width in enumerate(self.widths):
      x = nn.relu(x) if index or self.first_relu else x
      name = f"separable{index + 1}"
      x = SeparableConv(width, self.conv, self.norm, name=name)(x)
    return pooling.max_pool(x) + shortcut


class MiddleBlock(nn.Module):
  """Three separable convolutions beside the identity.

  Attributes:
    conv: constructor of convolutions.
    norm: constructor of normalizations.
  """

  conv: Callable[..., nn.Module]
  norm: Callable[..., nn.Module]

  @nn.compact
  def __call__(self, x):
    """Maps [B, H, W, C] to the same shape."""
    y = x
    for index in range(3):
      y = SeparableConv(
        x.shape[-1], self.conv, self.norm, name=f"separable{index + 1}"
      )(nn.relu(y))
    return x + y


class Xception(encoder.Encoder):
  """An encoder: images -> flat codes. Its details are those of Keras.

  Attributes:
    width: multiplies all channels; below 1 for smaller networks.
    middle_blocks: residual blocks without pooling.
  """

  width: float = 1.0
  middle_blocks: int = 8

  @property
  def libraries(self) -> tuple[str, ...]:
    """See `encoder.Encoder`."""
    return ("keras",)

  @property
  def library(self) -> str:
    """See `encoder.Encoder`."""
    return self.compatible_with or "keras"

  def features(self, images, train: bool):
    """See `encoder.Encoder`."""
    conv, norm = self.conv(), self.normalization(train, epsilon=EPSILON)
    options = dict(conv=conv, norm=norm)

    def scaled(*widths):
      return tuple(max(1, round(self.width * width)) for width in widths)

    x = images
    for index, (width, stride) in enumerate(
      zip(scaled(32, 64), (2, 1), strict=True), start=1
    ):
      x = conv(
        width,
        strides=(stride, stride),
        padding="VALID",
        name=f"stem{index}",
      )(x)
      x = nn.relu(norm(name=f"stem{index}_norm")(x))
    reduce, middle = self.block(ReducingBlock), self.block(MiddleBlock)
    for index, width in enumerate(scaled(128, 256, 728), start=2):
      x = reduce(
        (width, width),
        first_relu=index > 2,
        name=f"block{index}",
        **options,
      )(x)
    for index in range(5, 5 + self.middle_blocks):
      x = middle(name=f"block{index}", **options)(x)
    x = reduce(scaled(728, 1024), name="block13", **options)(x)
    for index, width in enumerate(scaled(1536, 2048), start=1):
      name = f"block14_separable{index}"
      x = nn.relu(SeparableConv(width, name=name, **options)(x))
    return x
