"""The rasteriser in pure XLA: runs everywhere.

Triangles pass in chunks, flat over triangles and images. Small boxes are
walked pixel by pixel, all at once; the few large triangles of a chunk are each
held against their whole image. Keys meet in an order-free minimum: the result
does not depend on chunks, batches or platform.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from facerec_jax.render import coverage

# Triangles a scan step handles. A chunk's slowest triangle sets its cost, which
# on a CPU wants small chunks; a GPU wants few launches.
CHUNK_CPU = 128
CHUNK_ACCELERATOR = 8192
# A pixel of a walk (which ends in a scatter) costs about as much as this many
# pixels of a whole image.
_WALK_COST = 2
# Walks of more steps than 2^_MAX_WALK_BITS are never worth while.
_MAX_WALK_BITS = 12


def draw_keys(table, triangles, *, height: int, width: int, chunk: int):
  """Smallest key of each pixel.

  Args:
    table: [V, 3, B] of `coverage.vertex_table`.
    triangles: [T, 3] vertex indices, 0 < T <= `coverage.MAX_IDS`.
    height: of the images, px.
    width: of the images, px.
    chunk: triangles per step.

  Returns:
    [B, height * width] uint32.
  """
  batch, pixels = table.shape[2], height * width
  chunk = min(triangles.shape[0], chunk)
  count = -(-triangles.shape[0] // chunk)
  # Padding repeats vertex 0: a degenerate triangle, never drawn.
  padded = jnp.zeros((count * chunk, 3), jnp.int32)
  padded = padded.at[: triangles.shape[0]].set(triangles)
  # A chunk is flat, image fastest: [n * B] arrays fuse into one tight loop.
  lane_id = jnp.repeat(jnp.arange(chunk, dtype=jnp.uint32), batch)
  lane_start = jnp.tile(jnp.arange(batch, dtype=jnp.int32) * pixels, chunk)

  def draw_chunk(keys, chunk_input):
    indices, first = chunk_input
    # [n, 3 corners, 3 values, B] -> nine flat arrays.
    corners = table[indices].transpose(2, 1, 0, 3).reshape(9, -1)
    box = coverage.bounding_box(corners, height, width)
    limit = _walk_limit(box.area, pixels)
    ids = first + lane_id
    keys = _walk(keys, corners, box, ids, lane_start, limit, width)
    keys = _draw_large(keys, corners, box, ids, limit, (batch, height, width))
    return keys, None

  keys = jnp.full(batch * pixels, coverage.BACKGROUND, jnp.uint32)
  firsts = jnp.arange(count, dtype=jnp.uint32) * chunk
  chunks = padded.reshape(count, chunk, 3)
  keys, _ = jax.lax.scan(draw_chunk, keys, (chunks, firsts))
  return keys.reshape(batch, pixels)


def _walk_limit(area, pixels):
  """Up to which area boxes are walked: the cheapest of the powers of two."""
  limits = 2 ** jnp.arange(_MAX_WALK_BITS + 1)
  larger = jnp.sum(area > limits[:, None], axis=1)
  walks = limits * (_WALK_COST * area.size)
  return limits[jnp.argmin(walks + larger.astype(jnp.float32) * pixels)]


def _walk(keys, corners, box, ids, starts, limit, width):
  """Draws the triangles of up to `limit` pixels, one pixel each per step."""
  steps = jnp.max(jnp.where(box.area <= limit, box.area, 0))

  def step(_, carry):
    # All travels in the carry: what a loop merely closes over, XLA:CPU gathers
    # again inside each consumer.
    keys, corners, box, column, row = carry
    key = coverage.key_at(corners, box.slack, column, row, ids)
    walked = (box.area <= limit) & (box.area > 0) & (row <= box.bottom)
    key = jnp.where(walked, key, coverage.BACKGROUND)
    keys = keys.at[starts + row * width + column].min(key, mode="drop")
    ends = column == box.right
    column = jnp.where(ends, box.left, column + 1)
    return keys, corners, box, column, row + ends

  carry = keys, corners, box, box.left, box.top
  return jax.lax.fori_loop(0, steps, step, carry)[0]


def _draw_large(keys, corners, box, ids, limit, shape):
  """Holds each larger triangle against every pixel of its image."""
  batch, height, width = shape
  pixel = jnp.arange(height * width, dtype=jnp.int32)
  column, row = pixel % width, pixel // width

  def draw(carry):
    keys, large = carry
    lane = jnp.argmax(large)
    one = jax.tree.map(lambda values: values[lane], box)
    key = coverage.key_at(corners[:, lane], one.slack, column, row, ids[lane])
    inside = (column >= one.left) & (column <= one.right)
    inside &= (row >= one.top) & (row <= one.bottom)
    start = (lane % batch) * (height * width)
    image = jax.lax.dynamic_slice(keys, (start,), pixel.shape)
    image = jnp.where(inside, jnp.minimum(image, key), image)
    keys = jax.lax.dynamic_update_slice(keys, image, (start,))
    return keys, large.at[lane].set(False)

  carry = keys, box.area > limit
  return jax.lax.while_loop(lambda carry: carry[1].any(), draw, carry)[0]
