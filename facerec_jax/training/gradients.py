"""Gradients of batches that do not fit into memory at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def accumulate(
  loss_of: Callable,
  params: Any,
  batch_stats: Any,
  batch: Any,
  *,
  num_parts: int,
) -> tuple[Any, dict[str, jax.Array], Any]:
  """The mean gradient over parts of a batch that are computed in turn.

  Args:
    loss_of: (params, batch_stats, *part) -> (loss, (terms, new batch_stats)).
    params: differentiated.
    batch_stats: each part starts from those that the part before it left.
    batch: tuple of arrays [B, ...].
    num_parts: divides B; memory is that of B / num_parts examples.

  Returns:
    (gradient, terms, batch_stats): means over the parts, and the last
    statistics. Where the loss is a mean over examples, and none knows of
    another, gradient and terms are those of the whole batch.

  Raises:
    ValueError: num_parts does not divide B.
  """

  def gradient_of(batch_stats, part):
    gradient, (terms, batch_stats) = jax.grad(loss_of, has_aux=True)(
      params, batch_stats, *part
    )
    return (gradient, terms), batch_stats

  if num_parts == 1:
    (gradient, terms), batch_stats = gradient_of(batch_stats, batch)
    return gradient, terms, batch_stats
  size = len(batch[0])
  if size % num_parts:
    raise ValueError(
      f"accumulate_steps {num_parts} does not divide the {size} examples of a "
      "device"
    )
  parts = jax.tree.map(
    lambda leaf: leaf.reshape(num_parts, size // num_parts, *leaf.shape[1:]),
    batch,
  )

  def add(carry, part):
    sums, batch_stats = carry
    values, batch_stats = gradient_of(batch_stats, part)
    return (jax.tree.map(jnp.add, sums, values), batch_stats), None

  first = jax.tree.map(lambda leaf: leaf[0], parts)
  shapes, _ = jax.eval_shape(gradient_of, batch_stats, first)
  zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
  # A loop, not a sum of terms: only so does the memory of one part suffice. On
  # CPU the convolutions' gradients must be canonical ones (see encoders).
  (sums, batch_stats), _ = jax.lax.scan(add, (zeros, batch_stats), parts)
  gradient, terms = jax.tree.map(lambda total: total / num_parts, sums)
  return gradient, terms, batch_stats
