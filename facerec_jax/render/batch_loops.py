"""Batches as loops over their members on CPUs, all at once on accelerators."""

from __future__ import annotations

from collections.abc import Callable
import functools

import jax
import jax.numpy as jnp


def over_members(function: Callable) -> Callable:
  """Maps a function over the first axis of its arguments.

  On CPUs one image after the other stays in the cache, where a gather with a
  batch axis in its indices is two to three times slower. On accelerators a
  loop would launch its kernels once for each member.

  Args:
    function: of arrays, positional.

  Returns:
    The function of arrays with one more axis, first; so is its result.
  """

  def loop(*args):
    return jax.lax.map(lambda members: function(*members), args)

  def run(*args):
    # Decided where the program runs, not where it is traced.
    return jax.lax.platform_dependent(
      *args, cpu=loop, default=jax.vmap(function)
    )

  return run


def mapped_when_batched(function: Callable) -> Callable:
  """Runs what `jax.vmap` makes of a function by `over_members`.

  Args:
    function: of pytrees of arrays, positional; returns an array.

  Returns:
    The same function of one member.
  """
  looped = jax.custom_batching.custom_vmap(function)

  @looped.def_vmap
  def run_batch(axis_size, in_batched, *args):
    del axis_size
    leaves, structure = jax.tree.flatten(args)
    # One of them for each argument, in a list.
    batched = structure.flatten_up_to(tuple(in_batched))

    def one(*members):
      members = iter(members)
      mixed = [
        next(members) if is_batched else leaf
        for leaf, is_batched in zip(leaves, batched, strict=True)
      ]
      return function(*structure.unflatten(mixed))

    moving = [x for x, moves in zip(leaves, batched, strict=True) if moves]
    return over_members(one)(*moving), True

  return functools.wraps(function)(looped)


def align_batch(args, axes) -> list[jax.Array]:
  """Arguments of a batching rule, each with the batch axis first.

  Args:
    args: arrays.
    axes: batch axis of each, or None.

  Returns:
    The arrays; those without a batch axis are broadcast.
  """
  size = next(
    arg.shape[axis]
    for arg, axis in zip(args, axes, strict=True)
    if axis is not None
  )
  return [
    jnp.broadcast_to(arg, (size, *arg.shape))
    if axis is None
    else jnp.moveaxis(arg, axis, 0)
    for arg, axis in zip(args, axes, strict=True)
  ]
