"""Which pixels a triangle covers, and how far away it is there.

The arithmetic that every back end of the rasteriser shares, so that they agree
(but for the last bit of a depth, where compilers fuse multiplications and
additions differently). Keys are 32 bits: 15 of depth, 17 of the triangle's
index; the smallest key of a pixel wins.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

# Nearer than this (mm) nothing is drawn: a triangle that touches the plane of
# the camera has no finite image.
NEAR = 1.0

ID_BITS = 17
MAX_IDS = 1 << ID_BITS
DEPTH_STEPS = (1 << (32 - ID_BITS)) - 2
BACKGROUND = np.uint32(0xFFFFFFFF)


def vertex_table(screen) -> jax.Array:
  """Column, row and depth code of each vertex.

  The code is linear in 1 / depth, hence linear on the screen; 0 is the nearest
  vertex of an image, `DEPTH_STEPS` the farthest.

  Args:
    screen: [B, V, 3] column px, row px, depth mm.

  Returns:
    [V, 3, B]; columns of vertices that cannot be drawn are NaN. Batch
    innermost: gathers of whole rows are many times faster on a CPU than
    gathers in each image.
  """
  x, y, depth = jnp.moveaxis(screen, 2, 0)
  usable = usable_vertices(screen)
  # NaN fails every comparison, so an unusable vertex undoes its triangles.
  x = jnp.where(usable, x, jnp.nan)
  inverse = 1.0 / jnp.where(usable, depth, 1.0)
  nearest = jnp.max(jnp.where(usable, inverse, 0.0), axis=1, keepdims=True)
  farthest = jnp.min(jnp.where(usable, inverse, jnp.inf), axis=1, keepdims=True)
  span = jnp.maximum(nearest - farthest, 1e-12)
  code = (nearest - inverse) / span * DEPTH_STEPS
  return jnp.stack([x, y, code]).transpose(2, 0, 1)


def usable_vertices(screen) -> jax.Array:
  """Which vertices have an image: finite, and not nearer than `NEAR`.

  Args:
    screen: [..., 3] column px, row px, depth mm.

  Returns:
    [...] bool.
  """
  return (screen[..., 2] > NEAR) & jnp.isfinite(screen).all(axis=-1)


class Box(NamedTuple):
  """The pixels that triangles may cover; arrays of one shape.

  Attributes:
    left: first column.
    right: last column.
    top: first row.
    bottom: last row.
    area: number of pixels; 0 where the triangle is not drawn.
    slack: by which edge functions may be negative.
  """

  left: jax.Array
  right: jax.Array
  top: jax.Array
  bottom: jax.Array
  area: jax.Array
  slack: jax.Array


def bounding_box(corners, height: int, width: int) -> Box:
  """Bounds triangles on the screen.

  Args:
    corners: nine arrays: the columns, rows and depth codes of a, b and c.
    height: of the image, px.
    width: of the image, px.

  Returns:
    The boxes.
  """
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
  pixels = (right - left + 1) * (bottom - top + 1)
  # Rounding (and fused multiply-adds) may push a point of a shared edge out of
  # both triangles; the slack, some 1e-6 px, leaves no hole between them.
  slack = 2.0**-22 * wide * high
  return Box(left, right, top, bottom, jnp.where(drawn, pixels, 0), slack)


def key_at(corners, slack, column, row, ids) -> jax.Array:
  """Keys of triangles at one pixel each, `BACKGROUND` where they are not.

  Args:
    corners: nine arrays as for `bounding_box`.
    slack: of the box.
    column: of the pixel.
    row: of the pixel.
    ids: uint32 index of each triangle, below `MAX_IDS`.

  Returns:
    uint32; the pixel is taken to lie in the box of a drawn triangle.
  """
  here_x = column.astype(jnp.float32) + 0.5
  here_y = row.astype(jnp.float32) + 0.5
  ax, bx, cx = (x - here_x for x in corners[:3])
  ay, by, cy = (y - here_y for y in corners[3:6])
  a, b, c = by * cx - bx * cy, cy * ax - cx * ay, ay * bx - ax * by
  total = a + b + c
  inside = (jnp.minimum(jnp.minimum(a, b), c) >= -slack) & (total > 0)
  code = (a * corners[6] + b * corners[7] + c * corners[8]) / total
  code = jnp.clip(code, 0, DEPTH_STEPS).astype(jnp.int32).astype(jnp.uint32)
  return jnp.where(inside, code << ID_BITS | ids, BACKGROUND)
