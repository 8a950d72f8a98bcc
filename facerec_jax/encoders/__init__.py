"""Encoders: images -> flat codes. `ENCODERS` lists them by name."""

from __future__ import annotations

import functools
from typing import Any

from flax import linen as nn
import jax.numpy as jnp

from facerec_jax.encoders import resnet

_keras = functools.partial(resnet.ResNet, conv_bias=True)
_bottleneck = functools.partial(_keras, block=resnet.BottleneckBlock)
_patched = functools.partial(resnet.ResNet, patch_stem=True)

ENCODERS = {
  "resnet18": functools.partial(_keras, block_sizes=(2, 2, 2, 2)),
  "resnet34": functools.partial(_keras, block_sizes=(3, 4, 6, 3)),
  "resnet50": functools.partial(_bottleneck, block_sizes=(3, 4, 6, 3)),
  "resnet101": functools.partial(_bottleneck, block_sizes=(3, 4, 23, 3)),
  "resnet152": functools.partial(_bottleneck, block_sizes=(3, 8, 36, 3)),
  # 2.9 million parameters; the fastest to train on CPU.
  "small": functools.partial(_patched, width=32, block_sizes=(2, 2, 2, 2)),
  # For tests.
  "tiny": functools.partial(_patched, width=8, block_sizes=(1, 1)),
}


def create(
  name: str,
  *,
  num_outputs: int,
  axis_name: str | None = None,
  dtype: Any = jnp.float32,
  **options,
) -> nn.Module:
  """Makes the encoder of a name.

  Its collections are `params` and `batch_stats`; it maps ([B, H, W, 3] sRGB in
  [0, 1], train) to [B, num_outputs] float32.

  Args:
    name: one of `ENCODERS`.
    num_outputs: D; 0 gives pooled features instead.
    axis_name: of the device axis for cross-replica batch statistics.
    dtype: of the computation, such as jnp.bfloat16.
    **options: further attributes of `resnet.ResNet`, such as momentum.

  Raises:
    ValueError: no encoder has this name.
  """
  if name not in ENCODERS:
    raise ValueError(f"encoder {name!r} is none of {', '.join(ENCODERS)}")
  return ENCODERS[name](
    num_outputs=num_outputs, axis_name=axis_name, dtype=dtype, **options
  )
