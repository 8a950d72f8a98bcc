"""The rasteriser in pure XLA: runs everywhere.

A triangle in an image is a *lane*. Most lanes are back faces or lie between
pixel centres, and few are large: lanes that draw are first put in order of the
size of their boxes, then pass in chunks of about one size. Small boxes are
walked pixel by pixel, all lanes of a chunk at once; large triangles are each
held against their whole image. Keys meet in an order-free minimum: the result
does not depend on chunks, batches or platform.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from facerec_jax.render import coverage


class Chunks(NamedTuple):
  """How much is done at once; a GPU wants few launches, a CPU its cache.

  Attributes:
    triangles: of all images, while lanes are counted.
    lanes: while they are drawn.
  """

  triangles: int
  lanes: int


CPU = Chunks(triangles=1024, lanes=2048)
ACCELERATOR = Chunks(triangles=8192, lanes=1 << 16)

# Boxes of 1, 2, 3-4, 5-8, 9-16 and more pixels.
_CLASSES = 6
# A lane's class and its place among those of its class share an int32.
_CLASS_BITS = _CLASSES.bit_length()
# A pixel of a walk (which ends in a scatter) costs about as much as this many
# pixels of a whole image.
_WALK_COST = 2
# Walks of more steps than 2^_MAX_WALK_BITS are never worth while.
_MAX_WALK_BITS = 12


def draw_keys(table, triangles, *, height: int, width: int, chunks: Chunks):
  """Smallest key of each pixel.

  Args:
    table: [V, 3, B] of `coverage.vertex_table`.
    triangles: [T, 3] vertex indices, 0 < T <= `coverage.MAX_IDS`.
    height: of the images, px.
    width: of the images, px.
    chunks: how much is done at once.

  Returns:
    [B, height * width] uint32.
  """
  batch, pixels = table.shape[2], height * width
  step = min(triangles.shape[0], chunks.triangles)
  rows = -(-triangles.shape[0] // step)
  # Padding repeats vertex 0: a degenerate triangle, never drawn.
  padded = jnp.zeros((step * rows, 3), jnp.int32)
  padded = padded.at[: triangles.shape[0]].set(triangles)
  # Neighbours are `rows` apart here, and next to each other once in order.
  packed, counts = _count(
    table[:, :2], padded.reshape(step, rows, 3).swapaxes(0, 1), height, width
  )
  order, num_chunks = _put_in_order(packed, counts, chunks.lanes)
  values, vertices = table.reshape(-1), padded.T

  def draw_chunk(index, keys):
    start = index * chunks.lanes
    lanes = jax.lax.dynamic_slice(order, (start,), (chunks.lanes,))
    corners, triangle, image = _corners(
      values, vertices, rows, batch, jnp.maximum(lanes, 0)
    )
    box = coverage.bounding_box(corners, height, width)
    box = box._replace(area=jnp.where(lanes >= 0, box.area, 0))
    ids, starts = triangle.astype(jnp.uint32), image * pixels
    limit = _walk_limit(box.area, pixels)
    keys = _walk(keys, corners, box, ids, starts, limit, width)
    return _draw_large(keys, corners, box, ids, starts, limit, (height, width))

  keys = jnp.full(batch * pixels, coverage.BACKGROUND, jnp.uint32)
  keys = jax.lax.fori_loop(0, num_chunks, draw_chunk, keys)
  return keys.reshape(batch, pixels)


def _count(table, rows, height, width):
  """Classes of all lanes, and how many a column has of each so far.

  Args:
    table: [V, 2, B] columns and rows of vertices.
    rows: [R, C, 3] triangles.
    height: of the images, px.
    width: of the images, px.

  Returns:
    (class (0: draws nothing) and rank in its column, packed [R, C * B];
    lanes of each class in each column [classes, C * B]).
  """

  def count_row(counts, indices):
    # [C, 3 corners, 2 values, B] -> six flat arrays, image fastest.
    corners = table[indices].transpose(2, 1, 0, 3).reshape(6, -1)
    area = coverage.bounding_box(corners, height, width).area
    # 1 + the number of bits of area - 1.
    size = 33 - jax.lax.clz(jnp.maximum(area - 1, 0))
    kind = jnp.where(area > 0, jnp.minimum(size, _CLASSES), 0)
    is_kind = kind == jnp.arange(1, _CLASSES + 1)[:, None]
    rank = jnp.sum(jnp.where(is_kind, counts, 0), axis=0)
    return counts + is_kind, kind | rank << _CLASS_BITS

  width_of_row = rows.shape[1] * table.shape[2]
  counts = jnp.zeros((_CLASSES, width_of_row), jnp.int32)
  counts, packed = jax.lax.scan(count_row, counts, rows)
  return packed, counts


def _put_in_order(packed, counts, chunk):
  """Lanes by class, column, row; each class starts a chunk.

  Args:
    packed: [R, L] of `_count`.
    counts: [classes, L] of `_count`.
    chunk: lanes of a chunk.

  Returns:
    (lanes as row * L + column, -1 where a chunk is not full; [] chunks in use).
  """
  num_rows, length = packed.shape
  size = num_rows * length + _CLASSES * chunk
  used = -(-counts.sum(axis=1) // chunk)
  ends = jnp.cumsum(used)
  before = jnp.cumsum(counts, axis=1) - counts
  first = before + ((ends - used) * chunk)[:, None]
  # What draws nothing falls out.
  first = jnp.concatenate([jnp.full((1, length), size), first]).reshape(-1)
  column = jnp.arange(length, dtype=jnp.int32)

  def place_row(order, item):
    row, packed = item
    kind = packed & ((1 << _CLASS_BITS) - 1)
    slot = first[kind * length + column] + (packed >> _CLASS_BITS)
    return order.at[slot].set(row * length + column, mode="drop"), None

  items = jnp.arange(num_rows, dtype=jnp.int32), packed
  order = jnp.full(size, -1, jnp.int32)
  return jax.lax.scan(place_row, order, items)[0], ends[-1]


def _corners(table, triangles, num_rows, batch, lanes):
  """Nine values of each lane, its triangle and its image.

  Args:
    table: [V * 3 * B].
    triangles: [3, R * C] vertex indices.
    num_rows: R; triangle c * R + r stood in row r, column c.
    batch: B.
    lanes: [n] row * (C * B) + column.

  Returns:
    (corners as of `coverage.bounding_box`, [n] triangles, [n] images).
  """
  row, column = jnp.divmod(lanes, triangles.shape[1] // num_rows * batch)
  place, image = jnp.divmod(column, batch)
  triangle = place * num_rows + row
  starts = [vertex[triangle] * (3 * batch) + image for vertex in triangles]
  values = [table[s + axis * batch] for axis in range(3) for s in starts]
  return jnp.stack(values), triangle, image


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
    keys, corners, box, ids, starts, column, row = carry
    key = coverage.key_at(corners, box.slack, column, row, ids)
    walked = (box.area <= limit) & (box.area > 0) & (row <= box.bottom)
    key = jnp.where(walked, key, coverage.BACKGROUND)
    keys = keys.at[starts + row * width + column].min(key, mode="drop")
    ends = column == box.right
    column = jnp.where(ends, box.left, column + 1)
    return keys, corners, box, ids, starts, column, row + ends

  carry = keys, corners, box, ids, starts, box.left, box.top
  return jax.lax.fori_loop(0, steps, step, carry)[0]


def _draw_large(keys, corners, box, ids, starts, limit, shape):
  """Holds each larger triangle against every pixel of its image."""
  height, width = shape
  pixel = jnp.arange(height * width, dtype=jnp.int32)
  column, row = pixel % width, pixel // width

  def draw(carry):
    keys, large = carry
    lane = jnp.argmax(large)
    one = jax.tree.map(lambda values: values[lane], box)
    key = coverage.key_at(corners[:, lane], one.slack, column, row, ids[lane])
    inside = (column >= one.left) & (column <= one.right)
    inside &= (row >= one.top) & (row <= one.bottom)
    image = jax.lax.dynamic_slice(keys, (starts[lane],), pixel.shape)
    image = jnp.where(inside, jnp.minimum(image, key), image)
    keys = jax.lax.dynamic_update_slice(keys, image, (starts[lane],))
    return keys, large.at[lane].set(False)

  carry = keys, box.area > limit
  return jax.lax.while_loop(lambda carry: carry[1].any(), draw, carry)[0]
