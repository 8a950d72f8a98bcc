"""Encoders: images -> flat codes. `ENCODERS` lists them by name."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax.numpy as jnp

from facerec_jax.encoders import convnext
from facerec_jax.encoders import encoder
from facerec_jax.encoders import inception
from facerec_jax.encoders import layers
from facerec_jax.encoders import resnet
from facerec_jax.encoders import xception

_keras = functools.partial(resnet.ResNet, conv_bias=True)
_bottleneck = functools.partial(_keras, bottleneck=True)
_patched = functools.partial(resnet.ResNet, patch_stem=True)

ENCODERS = {
  "resnet18": functools.partial(_keras, block_sizes=(2, 2, 2, 2)),
  "resnet34": functools.partial(_keras, block_sizes=(3, 4, 6, 3)),
  "resnet50": functools.partial(_bottleneck, block_sizes=(3, 4, 6, 3)),
  "resnet101": functools.partial(_bottleneck, block_sizes=(3, 4, 23, 3)),
  "resnet152": functools.partial(_bottleneck, block_sizes=(3, 8, 36, 3)),
  "xception": xception.Xception,
  "inception": inception.InceptionV3,
  # 2.9 million parameters; the fastest to train on CPU.
  "small": functools.partial(_patched, width=32, block_sizes=(2, 2, 2, 2)),
  # 1.9 million parameters.
  "convnext_zepto": convnext.ConvNext,
  # For tests.
  "tiny": functools.partial(_patched, width=8, block_sizes=(1, 1)),
}
# Computation types that keep enough digits and range.
DTYPES = ("float32", "bfloat16", "float64")


def create(
  name: str,
  *,
  num_outputs: int,
  axis_name: str | None = None,
  dtype: Any = jnp.float32,
  **options,
) -> encoder.Encoder:
  """Makes the encoder of a name.

  Its collections are `params` and, with batch normalization, `batch_stats`; it
  maps ([B, H, W, 3] sRGB in [0, 1], train) to [B, num_outputs] float32.

  Args:
    name: one of `ENCODERS`.
    num_outputs: D; 0 gives pooled features instead.
    axis_name: of the device axis for cross-replica batch statistics.
    dtype: of the computation, such as jnp.bfloat16.
    **options: further attributes of `encoder.Encoder`, such as norm and remat,
      and of the encoder's own class, such as `resnet.ResNet`.

  Raises:
    ValueError: no encoder has this name, this one has not such an option, or
      the option has not such a value.
  """
  if name not in ENCODERS:
    raise ValueError(f"encoder {name!r} is none of {', '.join(ENCODERS)}")
  constructor = ENCODERS[name]
  _check_options(name, getattr(constructor, "func", constructor), options)
  # Configs come as JSON, which knows lists; modules are hashed.
  options = {
    key: tuple(value) if isinstance(value, list) else value
    for key, value in options.items()
  }
  if jnp.dtype(dtype).name not in DTYPES:
    raise ValueError(
      f"encoder dtype {jnp.dtype(dtype).name!r} is none of {', '.join(DTYPES)}"
    )
  made = constructor(
    num_outputs=num_outputs, axis_name=axis_name, dtype=dtype, **options
  )
  _check_values(name, made)
  return made


def _check_options(name, kind, options):
  taken = {"parent", "name", "num_outputs", "axis_name", "dtype"}
  known = [f.name for f in dataclasses.fields(kind) if f.name not in taken]
  for option in options:
    if option not in known:
      raise ValueError(
        f"encoder {name!r} has no option {option!r}; it has {', '.join(known)}"
      )


def _check_values(name, made):
  if made.norm not in layers.NORMS:
    raise ValueError(
      f"encoder norm {made.norm!r} is none of {', '.join(layers.NORMS)}"
    )
  if made.compatible_with not in ("", *made.libraries):
    wanted = " or ".join(map(repr, ("", *made.libraries)))
    raise ValueError(
      f"encoder {name!r}: compatible_with is {made.compatible_with!r}, wanted "
      f"{wanted}"
    )
