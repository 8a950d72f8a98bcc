"""Trees of arrays, and facts about them, in single .safetensors files.

Reading one executes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flax import traverse_util
import jax
import numpy as np
import safetensors
import safetensors.numpy

SUFFIX = ".safetensors"
# What reading a file may raise, `fill` included.
ERRORS = (safetensors.SafetensorError, KeyError, OSError, ValueError)


def flat(tree: Mapping[str, Any]) -> dict[str, Any]:
  """Leaves of nested dicts by their path, such as "params/Dense_0/bias"."""
  return traverse_util.flatten_dict(tree, sep="/")


def save(path, tensors: Mapping[str, np.ndarray], facts: Mapping[str, str]):
  """Writes named arrays and facts."""
  safetensors.numpy.save_file(dict(tensors), path, metadata=dict(facts))


def load(path, wanted_format: str) -> tuple[dict[str, np.ndarray], dict]:
  """Reads named arrays and facts.

  Args:
    path: of a file that `save` wrote.
    wanted_format: its fact `format`.

  Returns:
    (arrays, facts).

  Raises:
    ValueError: of `ERRORS`; the file is of another format, damaged or missing.
  """
  with safetensors.safe_open(path, framework="numpy") as file:
    facts = file.metadata() or {}
    # The file is no mapping.
    tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
  if facts.get("format") != wanted_format:
    raise ValueError(
      f"format is {facts.get('format')!r}, wanted {wanted_format!r}"
    )
  return tensors, facts


def fill(
  template: Mapping[str, Any], tensors: Mapping[str, np.ndarray], owner: str
) -> dict[str, Any]:
  """Named arrays as the tree that they were taken from.

  Args:
    template: nested dicts of arrays, or of their shapes and types.
    tensors: by path, see `flat`.
    owner: of the arrays, for messages.

  Returns:
    The tree, types as in the template.

  Raises:
    ValueError: a name or a shape is another.
  """
  wanted = flat(template)
  for name in wanted.keys() ^ tensors.keys():
    state = "is missing" if name in wanted else f"is not of this {owner}"
    raise ValueError(f"{name} {state}")
  for name, leaf in wanted.items():
    if tensors[name].shape != leaf.shape:
      raise ValueError(
        f"{name} has shape {tensors[name].shape}, wanted {leaf.shape}"
      )
  # Unlike jnp.asarray this compiles nothing.
  leaves = jax.device_put(
    {k: np.asarray(v, wanted[k].dtype) for k, v in tensors.items()}
  )
  return traverse_util.unflatten_dict(leaves, sep="/")
