"""Data parallelism: the only file that knows `pmap`."""

from __future__ import annotations

from collections.abc import Callable
import functools

from flax import jax_utils
import jax
import jax.numpy as jnp

# Name of the device axis: batch statistics, gradients and metrics are averaged
# over it.
AXIS = "device"


@functools.lru_cache
def parallelize(function: Callable, *, donate: bool = False) -> Callable:
  """Runs a function on every local device; one program per function object.

  Inside, `AXIS` names the device axis. All arguments have a leading device
  axis (see `replicate`).

  Args:
    function: of one device's arrays.
    donate: whether the first argument's memory is reused for the result.

  Returns:
    The parallel function.
  """
  return jax.pmap(
    function, axis_name=AXIS, donate_argnums=(0,) if donate else ()
  )


def replicate(tree):
  """Copies a pytree onto every local device."""
  # Through a parallel function: its results are laid out as its arguments are
  # wanted. Other layouts, though equal, would compile every program again.
  return parallelize(_identity)(jax_utils.replicate(tree))


def _identity(tree):
  return tree


def unreplicate(tree):
  """Takes the first device's copy."""
  return jax_utils.unreplicate(tree)


def global_indices(local_batch: int) -> jax.Array:
  """Indices of this device's examples in the global batch, [local_batch]."""
  first = jax.lax.axis_index(AXIS) * local_batch
  return first + jnp.arange(local_batch)


def mean(tree):
  """Averages over devices."""
  return jax.lax.pmean(tree, AXIS)


def local_batch_size(batch_size: int) -> int:
  """Examples per device.

  Raises:
    ValueError: the global batch does not divide among the devices.
  """
  devices = jax.device_count()
  if batch_size % devices:
    raise ValueError(
      f"batch_size: {batch_size} does not divide among {devices} devices; "
      f"use a multiple of {devices}"
    )
  return batch_size // devices
