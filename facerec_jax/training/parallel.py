"""Data parallelism: the only file that knows `pmap`, and of processes."""

from __future__ import annotations

from collections.abc import Callable
import functools
from typing import Any

from flax import jax_utils
import jax
from jax.experimental import multihost_utils
import jax.numpy as jnp
import numpy as np

# Name of the device axis: batch statistics, gradients and metrics are averaged
# over it. It spans the devices of all processes.
AXIS = "device"


@functools.lru_cache
def parallelize(function: Callable, *, donate: bool = False) -> Callable:
  """Runs a function on every device; one program per function object.

  Inside, `AXIS` names the device axis. All arguments have a leading axis of
  this process' devices (see `replicate`).

  Args:
    function: of one device's arrays.
    donate: whether the first argument's memory is reused for the result.

  Returns:
    The parallel function.
  """
  return jax.pmap(
    function, axis_name=AXIS, donate_argnums=(0,) if donate else ()
  )


@functools.lru_cache
def bind(function: Callable, **named) -> Callable:
  """A partial function; of equal arguments the same object, hence program.

  Args:
    function: as for `functools.partial`.
    **named: hashable arguments.
  """
  return functools.partial(function, **named)


def replicate(tree):
  """Copies a pytree onto every local device."""
  # Through a parallel function: its results are laid out as its arguments are
  # wanted. Other layouts, though equal, would compile every program again.
  return parallelize(_identity)(jax_utils.replicate(tree))


def _identity(tree):
  return tree


def no_transfers():
  """Context in which no array may pass between host and devices unasked."""
  # Of several processes' keys of randomness pmap itself makes host arrays, at
  # each call.
  return jax.transfer_guard("disallow" if num_processes() == 1 else "allow")


def unreplicate(tree):
  """Takes the first device's copy."""
  return jax_utils.unreplicate(tree)


def to_host(tree):
  """The first local device's copy as NumPy arrays; computes nothing."""
  return jax.tree.map(
    lambda leaf: np.asarray(leaf.addressable_shards[0].data)[0], tree
  )


def num_processes() -> int:
  """Processes that train together."""
  return jax.process_count()


def is_first_process() -> bool:
  """Whether this process is the one that writes."""
  return jax.process_index() == 0


def from_first_process(tree: Any) -> Any:
  """The first process' arrays, on all processes; every one must call this."""
  if num_processes() == 1:
    return tree
  # As bytes: sums, which carry the values, would lose the sign of -0.
  tree = jax.tree.map(np.asarray, tree)
  sent = multihost_utils.broadcast_one_to_all(
    jax.tree.map(lambda leaf: leaf.reshape(-1).view(np.uint8), tree)
  )
  return jax.tree.map(
    lambda leaf, got: np.asarray(got).view(leaf.dtype).reshape(leaf.shape),
    tree,
    sent,
  )


def any_process(flag: bool) -> Callable[[], bool]:
  """Asks all processes without waiting; every one must call this.

  Args:
    flag: this process' answer.

  Returns:
    () -> whether any process' flag is set; waits for the answer.
  """
  sums = parallelize(_sum)(jax_utils.replicate(jnp.int32(flag)))
  return lambda: bool(unreplicate(sums))


def _sum(value):
  return jax.lax.psum(value, AXIS)


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
