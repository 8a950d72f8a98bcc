"""InceptionV3 (Szegedy et al. 2016).

Counted as Keras counts, with batch statistics, it has 21,802,784 parameters
without head.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
from typing import Any

from flax import linen as nn
import jax.numpy as jnp

from facerec_jax.encoders import encoder
from facerec_jax.encoders import pooling

EPSILON = 1e-3
# Below, a map would vanish.
MIN_PIXELS = 75

# A branch is a row of (channels, height, width of the kernel); where the last
# item is a tuple of convolutions, they stand side by side. A block is its
# branches, and the channels after its average pooling or 0 for a block that
# halves the map: the last convolution of each branch then has stride 2 and no
# padding, and a maximum pooling is the last branch.
_BLOCKS = (
  *(
    (
      (
        ((64, 1, 1),),
        ((48, 1, 1), (64, 5, 5)),
        ((64, 1, 1), (96, 3, 3), (96, 3, 3)),
      ),
      pooled,
    )
    for pooled in (32, 64, 64)
  ),
  ((((384, 3, 3),), ((64, 1, 1), (96, 3, 3), (96, 3, 3))), 0),
  *(
    (
      (
        ((192, 1, 1),),
        ((inner, 1, 1), (inner, 1, 7), (192, 7, 1)),
        (
          (inner, 1, 1),
          (inner, 7, 1),
          (inner, 1, 7),
          (inner, 7, 1),
          (192, 1, 7),
        ),
      ),
      192,
    )
    for inner in (128, 160, 160, 192)
  ),
  (
    (
      ((192, 1, 1), (320, 3, 3)),
      ((192, 1, 1), (192, 1, 7), (192, 7, 1), (192, 3, 3)),
    ),
    0,
  ),
  *(
    (
      (
        ((320, 1, 1),),
        ((384, 1, 1), ((384, 1, 3), (384, 3, 1))),
        ((448, 1, 1), (384, 3, 3), ((384, 1, 3), (384, 3, 1))),
      ),
      192,
    )
    for _ in range(2)
  ),
)


def layer_names() -> Iterator[str]:
  """Paths of all convolutions with their normalization, in Keras' order."""
  for index in range(1, 6):
    yield f"stem{index}"
  for index, (branches, pooled) in enumerate(_BLOCKS):
    for branch, steps in enumerate(branches, start=1):
      for number, step in enumerate(steps, start=1):
        name = f"mixed{index}/branch{branch}_{number}"
        yield from _side_names(name, step)
    if pooled:
      yield f"mixed{index}/pool"


def _side_names(name, step):
  """A convolution's name, or those of two that stand side by side."""
  return (name + "a", name + "b") if isinstance(step[0], tuple) else (name,)


class NormConv(nn.Module):
  """A convolution, normalized, with ReLU.

  Attributes:
    width: output channels.
    conv: constructor of convolutions.
    norm: constructor of normalizations.
    options: of the convolution.
  """

  width: int
  conv: Callable[..., nn.Module]
  norm: Callable[..., nn.Module]
  options: Any

  @nn.compact
  def __call__(self, x):
    """Maps [B, H, W, C] to [B, rows, columns, width]."""
    x = self.conv(self.width, name="conv", **self.options)(x)
    return nn.relu(self.norm(name="norm")(x))


class InceptionBlock(nn.Module):
  """Branches side by side, joined along the channels.

  Attributes:
    branches: see `_BLOCKS`.
    pooled: see `_BLOCKS`.
    layer: (channels, kernel size, name, further options) -> NormConv.
    count_padding: see `pooling.average_pool`.
  """

  branches: tuple
  pooled: int
  layer: Callable[..., nn.Module]
  count_padding: bool

  @nn.compact
  def __call__(self, x):
    """Maps [B, H, W, C] to [B, rows, columns, sum of the branches]."""
    results = []
    for number, steps in enumerate(self.branches, start=1):
      results.append(self._branch(x, steps, f"branch{number}"))
    if self.pooled:
      pooled = pooling.average_pool(x, count_padding=self.count_padding)
      results.append(self.layer(self.pooled, (1, 1), name="pool")(pooled))
    else:
      results.append(pooling.max_pool(x, (3, 3), (2, 2), "VALID"))
    return jnp.concatenate(results, axis=-1)

  def _branch(self, x, steps, name):
    for index, step in enumerate(steps, start=1):
      sides = _side_names(f"{name}_{index}", step)
      if len(sides) > 1:
        return jnp.concatenate(
          [
            self.layer(width, size, name=side)(x)
            for (width, *size), side in zip(step, sides, strict=True)
          ],
          axis=-1,
        )
      options = {}
      if not self.pooled and index == len(steps):
        options = dict(strides=(2, 2), padding="VALID")
      width, *size = step
      x = self.layer(width, size, name=sides[0], **options)(x)
    return x


class InceptionV3(encoder.Encoder):
  """An encoder: images -> flat codes.

  Its details are those of Keras, whose normalizations have no scale; those of
  torchvision have one, and its average pooling counts the padding.

  Attributes:
    width: multiplies all channels; below 1 for smaller networks.
  """

  width: float = 1.0

  @property
  def libraries(self) -> tuple[str, ...]:
    """See `encoder.Encoder`."""
    return ("keras", "torchvision")

  @property
  def library(self) -> str:
    """See `encoder.Encoder`."""
    return self.compatible_with or "keras"

  def check(self, images) -> None:
    """See `encoder.Encoder`."""
    super().check(images)
    if min(images.shape[1:3]) < MIN_PIXELS:
      raise ValueError(
        f"inception: got images of {images.shape[1]} x {images.shape[2]} "
        f"pixels, wanted at least {MIN_PIXELS} x {MIN_PIXELS}"
      )

  def features(self, images, train: bool):
    """See `encoder.Encoder`."""
    torchvision = self.compatible_with == "torchvision"
    conv = self.conv()
    norm = self.normalization(train, epsilon=EPSILON, use_scale=torchvision)

    def layer(width, size, *, name, **options):
      return NormConv(
        max(1, round(self.width * width)),
        conv,
        norm,
        dict(options, kernel_size=tuple(size)),
        name=name,
      )

    x = self._stem(images, layer)
    block = self.block(InceptionBlock)
    for index, (branches, pooled) in enumerate(_BLOCKS):
      x = block(branches, pooled, layer, torchvision, name=f"mixed{index}")(x)
    return x

  def _stem(self, x, layer):
    valid = dict(padding="VALID")
    x = layer(32, (3, 3), name="stem1", strides=(2, 2), **valid)(x)
    x = layer(32, (3, 3), name="stem2", **valid)(x)
    x = layer(64, (3, 3), name="stem3")(x)
    x = pooling.max_pool(x, (3, 3), (2, 2), "VALID")
    x = layer(80, (1, 1), name="stem4", **valid)(x)
    x = layer(192, (3, 3), name="stem5", **valid)(x)
    return pooling.max_pool(x, (3, 3), (2, 2), "VALID")
