"""Which triangle is in front at each pixel: exact, in pure XLA.

The answer is integer and has no gradient; everything smooth is recomputed from
it in `renderer`. Triangles pass in chunks; each chunk visits as many pixels as
its largest bounding box has, so any size of triangle is exact, and writes keys
of 15 bits of depth and 17 bits of triangle index with an order-free
scatter-min: the result is the same on every platform and for every batch.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

# Nearer than this (mm) nothing is drawn: a triangle that touches the plane of
# the camera has no finite image.
NEAR = 1.0

_ID_BITS = 17
MAX_TRIANGLES = 1 << _ID_BITS
_DEPTH_STEPS = (1 << (32 - _ID_BITS)) - 2
_BACKGROUND = np.uint32(0xFFFFFFFF)
# Triangles a scan step handles. A chunk's slowest triangle sets its cost, which
# on a CPU wants small chunks; a GPU wants few launches.
_CHUNK_CPU = 256
_CHUNK_ACCELERATOR = 8192


def rasterize(screen, triangles, *, height: int, width: int) -> jax.Array:
  """Finds the visible triangle at each pixel centre.

  Front faces are counter-clockwise as seen in the image; back faces,
  degenerate triangles and triangles with a vertex nearer than `NEAR` or not
  finite are not drawn. Equal depth codes (about 1/32,767 of the depth range of
  1 / z) go to the lower index. Under `jax.vmap` the whole batch is drawn in one
  pass over the triangles.

  Args:
    screen: [V, 3] column px, row px, depth mm (> 0 in front of the camera).
    triangles: [T, 3] vertex indices.
    height: of the image, px.
    width: of the image, px.

  Returns:
    [height, width] int32 triangle indices, -1 where there is none.

  Raises:
    ValueError: more triangles or pixels than the index types hold.
  """
  if triangles.shape[0] > MAX_TRIANGLES:
    raise ValueError(
      f"rasterizer: got {triangles.shape[0]} triangles, at most "
      f"{MAX_TRIANGLES} fit; decimate the mesh"
    )
  draw = _batched(height, width)
  screen = jax.lax.stop_gradient(screen).astype(jnp.float32)
  return draw(screen[None], triangles)[0]


@functools.lru_cache
def _batched(height, width):
  """The [B, V, 3] -> [B, height, width] rasteriser, closed under vmap."""

  @jax.custom_batching.custom_vmap
  def draw(screen, triangles):
    return _draw(screen, triangles, height, width)

  @draw.def_vmap
  def merge_batch(axis_size, in_batched, screen, triangles):
    screen_batched, triangles_batched = in_batched
    if triangles_batched:
      return jax.lax.map(lambda args: draw(*args), (screen, triangles)), True
    if not screen_batched:
      return draw(screen, triangles), False
    ids = draw(screen.reshape(-1, *screen.shape[2:]), triangles)
    return ids.reshape(axis_size, -1, height, width), True

  return draw


def _draw(screen, triangles, height, width):
  batch, _, _ = screen.shape
  pixels = height * width
  if batch * pixels >= 2**31:
    raise ValueError(
      f"rasterizer: {batch} images of {height} x {width} px exceed 2^31 pixels "
      "in one call; use smaller batches"
    )
  if triangles.shape[0] == 0:
    return jnp.full((batch, height, width), -1, jnp.int32)
  cpu = jax.default_backend() == "cpu"
  chunk = min(triangles.shape[0], _CHUNK_CPU if cpu else _CHUNK_ACCELERATOR)
  count = -(-triangles.shape[0] // chunk)
  # Padding repeats vertex 0: a degenerate triangle, never drawn.
  padded = jnp.zeros((count * chunk, 3), jnp.int32)
  padded = padded.at[: triangles.shape[0]].set(triangles)
  chunks = padded.reshape(count, chunk, 3)
  firsts = jnp.arange(count, dtype=jnp.uint32) * chunk
  vertex_table = _vertex_table(screen)
  # A chunk is flat, image fastest: [n * B] arrays fuse into one tight loop.
  lane_id = jnp.repeat(jnp.arange(chunk, dtype=jnp.uint32), batch)
  lane_start = jnp.tile(jnp.arange(batch, dtype=jnp.int32) * pixels, chunk)

  def draw_chunk(keys, chunk_input):
    indices, first = chunk_input
    # [n, 3 corners, 3 values, B] -> nine flat arrays.
    corners = vertex_table[indices].transpose(2, 1, 0, 3).reshape(9, -1)
    box = _bounding_box(corners, height, width)
    wide = jnp.max(jnp.where(box.drawn, box.right - box.left + 1, 0))
    high = jnp.max(jnp.where(box.drawn, box.bottom - box.top + 1, 0))

    def draw_pixel(step, carry):
      # The corners travel in the carry: what a loop merely closes over,
      # XLA:CPU gathers again inside each consumer.
      keys, corners = carry
      box = _bounding_box(corners, height, width)
      column = box.left + step % wide
      row = box.top + step // wide
      inside, depth_code = _cover(corners, box, column, row)
      key = depth_code << _ID_BITS | (first + lane_id)
      pixel = lane_start + row * width + column
      target = jnp.where(inside, pixel, batch * pixels)
      return keys.at[target].min(key, mode="drop"), corners

    keys, _ = jax.lax.fori_loop(0, wide * high, draw_pixel, (keys, corners))
    return keys, None

  keys = jnp.full(batch * pixels, _BACKGROUND, jnp.uint32)
  keys, _ = jax.lax.scan(draw_chunk, keys, (chunks, firsts))
  ids = (keys & (MAX_TRIANGLES - 1)).astype(jnp.int32)
  ids = jnp.where(keys == _BACKGROUND, -1, ids)
  return ids.reshape(batch, height, width)


def _vertex_table(screen):
  """Column, row and depth code of each vertex, [V, 3, B].

  The code is linear in 1 / depth, hence linear on the screen; 0 is the nearest
  vertex of an image, `_DEPTH_STEPS` the farthest. Batch innermost: gathers of
  whole rows are many times faster on a CPU than gathers in each image.
  """
  x, y, depth = jnp.moveaxis(screen, 2, 0)
  usable = (depth > NEAR) & jnp.isfinite(x + y + depth)
  # NaN fails every comparison, so an unusable vertex undoes its triangles.
  x = jnp.where(usable, x, jnp.nan)
  inverse = 1.0 / jnp.where(usable, depth, 1.0)
  nearest = jnp.max(jnp.where(usable, inverse, 0.0), axis=1, keepdims=True)
  farthest = jnp.min(jnp.where(usable, inverse, jnp.inf), axis=1, keepdims=True)
  span = jnp.maximum(nearest - farthest, 1e-12)
  code = (nearest - inverse) / span * _DEPTH_STEPS
  return jnp.stack([x, y, code]).transpose(2, 0, 1)


class _Box(NamedTuple):
  """Pixels that a triangle may cover, and whether it is drawn at all."""

  left: jax.Array
  right: jax.Array
  top: jax.Array
  bottom: jax.Array
  drawn: jax.Array
  slack: jax.Array


def _bounding_box(corners, height, width):
  ax, bx, cx, ay, by, cy = corners[:6]

  def span(a, b, c, size):
    least = jnp.minimum(jnp.minimum(a, b), c)
    most = jnp.maximum(jnp.maximum(a, b), c)
    # Clipped as floats: integers overflow where a vertex is far outside.
    first = jnp.clip(jnp.ceil(least - 0.5), 0, size).astype(jnp.int32)
    last = jnp.clip(jnp.floor(most - 0.5), -1, size - 1).astype(jnp.int32)
    return first, last, most - least + 1

  left, right, wide = span(ax, bx, cx, width)
  top, bottom, high = span(ay, by, cy, height)
  # Rows count downwards, so a front face has negative area on the screen.
  area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
  drawn = (area < 0) & (right >= left) & (bottom >= top)
  # Rounding (and fused multiply-adds) may push a point of a shared edge out of
  # both triangles; the slack, some 1e-6 px, leaves no hole between them.
  return _Box(left, right, top, bottom, drawn, 2.0**-22 * wide * high)


def _cover(corners, box, column, row):
  """Whether the triangles cover one pixel each, and their depth code there."""
  here_x = column.astype(jnp.float32) + 0.5
  here_y = row.astype(jnp.float32) + 0.5
  ax, bx, cx = (x - here_x for x in corners[:3])
  ay, by, cy = (y - here_y for y in corners[3:6])
  a, b, c = by * cx - bx * cy, cy * ax - cx * ay, ay * bx - ax * by
  total = a + b + c
  inside = box.drawn & (jnp.minimum(jnp.minimum(a, b), c) >= -box.slack)
  inside &= (total > 0) & (column <= box.right) & (row <= box.bottom)
  code = (a * corners[6] + b * corners[7] + c * corners[8]) / total
  return inside, jnp.clip(code, 0, _DEPTH_STEPS).astype(jnp.uint32)
