"""Linear maps given by index tables, each paired with its transpose.

Autodiff turns a gather into a scatter-add, which is slow on CPUs (rows) and on
GPUs (collisions), and loses what is known about the indices. Here a map names
its own transpose, in forward and reverse mode and to any order, and says how a
batch is laid out.

All maps act alike on the rows of x: [R, N] -> [R, M]. Where index tables differ
between the members of a batch, x and all tables have leading batch axes.
"""

from __future__ import annotations

from collections.abc import Callable
import functools
from typing import NamedTuple

import jax
from jax.extend import core
from jax.interpreters import ad
from jax.interpreters import batching
from jax.interpreters import mlir
import jax.numpy as jnp

from facerec_jax.face import incidence as incidence_lib
from facerec_jax.render import batch_loops


class _Map(NamedTuple):
  """A linear map and its transpose.

  Attributes:
    forward: (x [R, N], *tables, size) -> [R, M].
    transpose: (y [R, M], *tables, size) -> [R, N].
  """

  forward: Callable
  transpose: Callable


def take(x, index) -> jax.Array:
  """Columns of x: y[:, m] = x[:, index[m]], 0 where the index is N or more.

  Args:
    x: [R, N].
    index: [M] integers, not negative.

  Returns:
    [R, M].
  """
  return _bind(_TAKE, index.shape[0], x, index)


def to_corners(x, triangles, incidence: incidence_lib.Incidence) -> jax.Array:
  """From vertices to the corners of triangles.

  Args:
    x: [R, V].
    triangles: [T, 3].
    incidence: of the triangles.

  Returns:
    [R, 3 T]: all first corners, all second, all third.
  """
  return _bind(_TO_CORNERS, triangles.size, x, triangles, *_tables(incidence))


def sum_around(x, triangles, incidence: incidence_lib.Incidence) -> jax.Array:
  """Sums over the triangles around each vertex.

  Args:
    x: [R, T].
    triangles: [T, 3].
    incidence: of the triangles.

  Returns:
    [R, V].
  """
  size = incidence.corners.shape[0]
  return _bind(_SUM_AROUND, size, x, triangles, *_tables(incidence))


def _tables(incidence):
  return incidence.corners, incidence.hubs, incidence.hub_corners


def _take(x, index, *, size):
  del size

  # Row by row: a loop that XLA:CPU keeps tight and in the cache. Fused into its
  # consumers, a gather would be repeated in each of them.
  def one(row):
    return row.at[index].get(
      mode="fill", fill_value=0, wrap_negative_indices=False
    )

  return batch_loops.over_members(one)(x)


def _add_at(y, index, *, size):
  def add(row):
    zeros = jnp.zeros(size, row.dtype)
    return zeros.at[index].add(row, mode="drop", wrap_negative_indices=False)

  return batch_loops.over_members(add)(y)


def _vertices_to_corners(x, triangles, *tables, size):
  del tables, size
  index = triangles.T.reshape(-1)
  return batch_loops.over_members(lambda row: _gather(row, index))(x)


def _corners_to_vertices(y, triangles, corners, hubs, hub_corners, *, size):
  del size
  count = triangles.shape[0]

  def place(corner):
    """Where `_vertices_to_corners` puts a corner; padding stays outside."""
    column = corner % 3 * count + corner // 3
    return jnp.where(corner < 3 * count, column, 3 * count)

  return _sum_slots(y, place(corners), hubs, place(hub_corners))


def _triangles_to_vertices(x, triangles, corners, hubs, hub_corners, *, size):
  del triangles, size
  return _sum_slots(x, corners // 3, hubs, hub_corners // 3)


def _vertices_to_triangles(y, triangles, *tables, size):
  del tables, size

  def one(row):
    return sum(_gather(row, vertex) for vertex in triangles.T)

  return batch_loops.over_members(one)(y)


def _sum_slots(x, table, hubs, hub_table):
  """Sums of columns: y[:, v] = sum of x[:, table[v]], N reads as 0."""

  def one(row):
    row = jnp.concatenate([row, jnp.zeros(1, row.dtype)])
    # Slot by slot: one gather of [V, slots] would be stored.
    total = sum(_gather(row, slot) for slot in table.T)
    return total.at[hubs].set(_gather(row, hub_table).sum(axis=1))

  return batch_loops.over_members(one)(x)


def _same(x, *, size):
  del size
  return x


def _gather(row, index):
  return row.at[index].get(
    mode="promise_in_bounds", wrap_negative_indices=False
  )


_TAKE = _Map(_take, _add_at)
_TO_CORNERS = _Map(_vertices_to_corners, _corners_to_vertices)
_SUM_AROUND = _Map(_triangles_to_vertices, _vertices_to_triangles)

_IDENTITY = _Map(_same, _same)

_linear_map_p = core.Primitive("facerec_linear_map")


def _bind(pair, out_size, x, *tables):
  return _linear_map_p.bind(x, *tables, pair=pair, out_size=out_size)


def _evaluate(x, *tables, pair, out_size):
  run = functools.partial(pair.forward, size=out_size)
  for _ in range(x.ndim - 2):
    run = batch_loops.over_members(run)
  return run(x, *tables)


def _abstract(x, *_, pair, out_size):
  del pair
  return jax.core.ShapedArray((*x.shape[:-1], out_size), x.dtype)


def _transpose(cotangent, x, *tables, pair, out_size):
  del out_size
  back = _Map(pair.transpose, pair.forward)
  return [_bind(back, x.aval.shape[-1], cotangent, *tables)] + [None] * len(
    tables
  )


def _jvp(primals, tangents, *, pair, out_size):
  x, *tables = primals
  out = _bind(pair, out_size, x, *tables)
  if isinstance(tangents[0], ad.Zero):
    return out, ad.Zero.from_primal_value(out)
  return out, _bind(pair, out_size, tangents[0], *tables)


def _batch(args, axes, *, pair, out_size):
  bind = functools.partial(_bind, pair, out_size)
  if any(axis is not None for axis in axes[1:]):
    return bind(*batch_loops.align_batch(args, axes)), 0
  # Rows are alike: a batch of x only has more of them.
  x, *tables = args
  x = jnp.moveaxis(x, axes[0], -3)
  y = bind(x.reshape(*x.shape[:-3], -1, x.shape[-1]), *tables)
  return y.reshape(*x.shape[:-1], out_size), x.ndim - 3


def one_after_another(function: Callable) -> Callable:
  """`batch_loops.mapped_when_batched`, except in derivatives.

  On CPUs memory does then not grow with the batch. Derivatives are those of the
  function, batched as usual.

  Args:
    function: of arrays, positional; returns [R, N].

  Returns:
    The same function of one member.
  """

  def framed(*args):
    # The rule of a custom derivative must put the batch where the function
    # itself puts it, which is first.
    y = function(*args)
    return _bind(_IDENTITY, y.shape[1], y)

  looped = jax.custom_jvp(batch_loops.mapped_when_batched(framed))
  looped.defjvp(functools.partial(jax.jvp, framed))
  return looped


_linear_map_p.def_impl(jax.jit(_evaluate, static_argnames=("pair", "out_size")))
_linear_map_p.def_abstract_eval(_abstract)
ad.primitive_jvps[_linear_map_p] = _jvp
ad.primitive_transposes[_linear_map_p] = _transpose
batching.primitive_batchers[_linear_map_p] = _batch
mlir.register_lowering(
  _linear_map_p, mlir.lower_fun(_evaluate, multiple_results=False)
)
