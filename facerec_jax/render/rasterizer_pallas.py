"""The rasteriser as a Pallas kernel (Triton) for CUDA.

One program draws a block of triangles of one image: small boxes pixel by pixel,
a triangle per thread; larger ones with all threads together. Keys meet in
atomic minima, which are free of order, as in `rasterizer_xla`.
"""

from __future__ import annotations

import functools

import jax
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton as pltriton
import jax.numpy as jnp

from facerec_jax.render import coverage

# Triangles, and threads, of a program.
_BLOCK = 128
# Boxes of up to this many pixels are walked by one thread.
_WALK_LIMIT = 64


def draw_keys(
  table, triangles, *, height: int, width: int, interpret: bool = False
):
  """Smallest key of each pixel.

  Args:
    table: [V, 3, B] of `coverage.vertex_table`.
    triangles: [T, 3] vertex indices, 0 < T <= `coverage.MAX_IDS`.
    height: of the images, px.
    width: of the images, px.
    interpret: runs as ordinary XLA operations, on any platform; slow.

  Returns:
    [B, height * width] uint32.
  """
  num_vertices, _, batch = table.shape
  count = triangles.shape[0]
  pixels = height * width
  kernel = functools.partial(
    _kernel,
    num_vertices=num_vertices,
    num_triangles=count,
    height=height,
    width=width,
    put=_put_interpreted if interpret else _put_atomic,
  )
  anywhere = pl.BlockSpec(memory_space=pl.ANY)
  background = jnp.full(batch * pixels, coverage.BACKGROUND, jnp.uint32)
  keys = pl.pallas_call(
    kernel,
    grid=(pl.cdiv(count, _BLOCK), batch),
    in_specs=[anywhere] * 3,
    out_specs=anywhere,
    out_shape=jax.ShapeDtypeStruct((batch * pixels,), jnp.float32),
    input_output_aliases={2: 0},
    interpret=interpret,
    compiler_params=(
      None if interpret else pltriton.CompilerParams(num_warps=_BLOCK // 32)
    ),
  )(
    table.transpose(2, 1, 0).reshape(-1),
    triangles.T.astype(jnp.int32).reshape(-1),
    _to_float(background),
  )
  return _from_float(keys).reshape(batch, pixels)


def _kernel(
  table_ref,
  triangles_ref,
  background_ref,
  keys_ref,
  *,
  num_vertices,
  num_triangles,
  height,
  width,
  put,
):
  del background_ref  # The same memory as keys_ref.
  image = pl.program_id(1)
  triangle = pl.program_id(0) * _BLOCK + jnp.arange(_BLOCK, dtype=jnp.int32)
  live = triangle < num_triangles
  shown = jnp.where(live, triangle, 0)
  corners = [
    pltriton.load(
      table_ref.at[
        (image * 3 + value) * num_vertices
        + pltriton.load(triangles_ref.at[corner * num_triangles + shown])
      ]
    )
    for value in range(3)
    for corner in range(3)
  ]
  box = coverage.bounding_box(corners, height, width)
  area = jnp.where(live, box.area, 0)
  ids = shown.astype(jnp.uint32)
  first_pixel = image * (height * width)
  put = functools.partial(put, keys_ref)

  def walk(_, place):
    column, row = place
    key = coverage.key_at(corners, box.slack, column, row, ids)
    walked = (area > 0) & (area <= _WALK_LIMIT) & (row <= box.bottom)
    put(first_pixel + row * width + column, key, walked)
    ends = column == box.right
    return jnp.where(ends, box.left, column + 1), row + ends.astype(jnp.int32)

  steps = jnp.max(jnp.where(area <= _WALK_LIMIT, area, 0))
  jax.lax.fori_loop(0, steps, walk, (box.left, box.top))
  _draw_large(corners, box, area, ids, first_pixel, width, put)


def _draw_large(corners, box, area, ids, first_pixel, width, put):
  """Draws the larger triangles, one after the other, with all threads."""
  thread = jnp.arange(_BLOCK, dtype=jnp.int32)

  def draw_one(last):
    chosen = _next_large(area, thread, last)

    def pick(values):
      return jnp.sum(jnp.where(thread == chosen, values, 0))

    one = jax.tree.map(pick, box)
    one_corners = [pick(values) for values in corners]
    wide = one.right - one.left + 1
    one_id = pick(ids.astype(jnp.int32)).astype(jnp.uint32)

    def step(index, nothing):
      pixel = index * _BLOCK + thread
      column, row = one.left + pixel % wide, one.top + pixel // wide
      key = coverage.key_at(one_corners, one.slack, column, row, one_id)
      put(first_pixel + row * width + column, key, row <= one.bottom)
      return nothing

    jax.lax.fori_loop(0, pl.cdiv(one.area, _BLOCK), step, 0)
    return chosen

  jax.lax.while_loop(
    lambda last: _next_large(area, thread, last) < _BLOCK,
    draw_one,
    jnp.int32(-1),
  )


def _next_large(area, thread, last):
  """The next thread that holds a large triangle, `_BLOCK` if there is none."""
  waiting = (area > _WALK_LIMIT) & (thread > last)
  return jnp.min(jnp.where(waiting, thread, _BLOCK))


def _put_atomic(keys_ref, pixel, key, inside):
  inside &= key != coverage.BACKGROUND
  pltriton.atomic_min(
    keys_ref, (jnp.where(inside, pixel, 0),), _to_float(key), mask=inside
  )


def _put_interpreted(keys_ref, pixel, key, inside):
  """`_put_atomic` where there are neither masks nor atomics."""
  keys = _from_float(keys_ref[...])
  target = jnp.where(inside, pixel, keys.size)
  keys_ref[...] = _to_float(keys.at[target].min(key, mode="drop"))


def _to_float(key):
  """The float whose place in Triton's order of floats is the key's.

  Its atomic minimum of floats compares bits: positive ones as integers,
  negative ones in reverse. That of integers fails to lower in jax 0.10.
  """
  flipped = jnp.where(key >> 31 == 0, ~key, key ^ jnp.uint32(0x80000000))
  return jax.lax.bitcast_convert_type(flipped, jnp.float32)


def _from_float(value):
  bits = jax.lax.bitcast_convert_type(value, jnp.uint32)
  return jnp.where(bits >> 31 == 1, ~bits, bits ^ jnp.uint32(0x80000000))
