"""What all encoders share: input, options, pooling, head."""

from __future__ import annotations

from collections.abc import Callable
import functools
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp

from facerec_jax.encoders import layers

# Mean and standard deviation of ImageNet's channels, red first: what
# torchvision's networks were trained with, and the mean in 8-bit values that
# the Caffe networks, which Keras took over, subtract.
_TORCHVISION_MEAN = (0.485, 0.456, 0.406)
_TORCHVISION_STD = (0.229, 0.224, 0.225)
_CAFFE_MEAN = (123.68, 116.779, 103.939)


def symmetric_input(images):
  """[0, 1] -> [-1, 1]."""
  return 2.0 * images - 1.0


def torchvision_input(images):
  """[0, 1] -> standardised by channel."""
  return (images - jnp.array(_TORCHVISION_MEAN)) / jnp.array(_TORCHVISION_STD)


def caffe_input(images):
  """RGB in [0, 1] -> BGR in 8-bit values less their means."""
  return (255.0 * images - jnp.array(_CAFFE_MEAN))[..., ::-1]


class Encoder(nn.Module):
  """Images -> flat codes; subclasses have `features`.

  Attributes:
    num_outputs: D, or 0 for the pooled features instead of codes.
    norm: "batch", or "group", whose statistics are of single images: what is
      learned from synthetic faces then meets photographs unchanged.
    momentum: share of the running statistics that a step keeps; runs of a few
      hundred steps need 0.9.
    compatible_with: "keras" or "torchvision": agree with that library's network
      in all details, input scaling too, so that its weights fit; "": our own.
    remat: compute the inside of every block again for the gradient instead of
      keeping it: less memory, more time.
    head_stddev: of the head's initial weights; small, so that an untrained
      encoder predicts the mean face.
    axis_name: of the device axis over which batch statistics are averaged.
    dtype: of the computation; parameters, statistics and output are float32.
  """

  num_outputs: int
  norm: str = "batch"
  momentum: float = 0.9
  compatible_with: str = ""
  remat: bool = False
  head_stddev: float = 1e-3
  axis_name: str | None = None
  dtype: Any = jnp.float32

  def features(self, images, train: bool) -> jax.Array:
    """Maps scaled images [B, H, W, 3] to features [B, h, w, C]."""
    raise NotImplementedError

  @property
  def libraries(self) -> tuple[str, ...]:
    """Those that have a network of this kind."""
    return ()

  @property
  def library(self) -> str:
    """The one that this network agrees with in all details, or ""."""
    return self.compatible_with

  def input_scaling(self) -> Callable:
    """The map from [0, 1] to the range that `features` takes."""
    return symmetric_input

  def check(self, images) -> None:
    """Raises ValueError for images that do not fit."""
    if images.ndim != 4 or images.shape[-1] != 3:
      raise ValueError(
        f"encoder: got images of shape {images.shape}, wanted [B, H, W, 3]"
      )

  @nn.compact
  def __call__(self, images, train: bool):
    """Encodes images.

    Args:
      images: [B, H, W, 3] sRGB in [0, 1].
      train: normalize by the batch and update `batch_stats`, instead of
        normalizing by `batch_stats`.

    Returns:
      [B, D] float32.

    Raises:
      ValueError: images of another rank or size, or an option's value that
        this encoder does not know.
    """
    self.check(images)
    scaled = self.input_scaling()(images).astype(self.dtype)
    pooled = self.features(scaled, train).mean((1, 2), dtype=jnp.float32)
    if not self.num_outputs:
      return pooled
    # In float32 whatever the rest runs in: a code needs more than bfloat16's
    # two to three digits.
    head = nn.Dense(
      self.num_outputs,
      kernel_init=nn.initializers.normal(self.head_stddev),
      name="head",
    )
    return head(pooled)

  def conv(self, **options) -> Callable[..., nn.Module]:
    """The constructor of convolutions, of this encoder's type."""
    return functools.partial(layers.Conv, dtype=self.dtype, **options)

  def normalization(self, train: bool, **options) -> Callable[..., nn.Module]:
    """The constructor of normalizations."""
    return layers.norm(
      self.norm,
      train=train,
      axis_name=self.axis_name,
      momentum=self.momentum,
      dtype=self.dtype,
      **options,
    )

  def block(self, block: type[nn.Module]) -> type[nn.Module]:
    """A kind of block, rematerialised where asked for."""
    return nn.remat(block) if self.remat else block
