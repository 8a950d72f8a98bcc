"""Which triangle is in front at each pixel: exact, whatever the platform.

The answer is integer and has no gradient; everything smooth is recomputed from
it in `renderer`. Back ends write, for each pixel, the smallest key of 15 bits
of depth and 17 bits of triangle index; they share the arithmetic of `coverage`.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

from facerec_jax.render import coverage
from facerec_jax.render import rasterizer_pallas
from facerec_jax.render import rasterizer_xla

# "xla" runs everywhere; "pallas" is a kernel for NVIDIA GPUs (compute
# capability 8 or more); "auto" takes the kernel on those and XLA elsewhere.
BACKENDS = ("auto", "xla", "pallas")

# What an int32 counts, less what back ends pad.
_MAX_INDEX = 2**31 - 2**20


def rasterize(
  screen, triangles, *, height: int, width: int, backend: str = "auto"
) -> jax.Array:
  """Finds the visible triangle at each pixel centre.

  Front faces are counter-clockwise as seen in the image; back faces,
  degenerate triangles and triangles with a vertex nearer than
  `coverage.NEAR` or not finite are not drawn (`num_dropped` counts the
  latter). Equal depth codes (about 1/32,767 of the depth range of 1 / z) go to
  the lower index. Under `jax.vmap` the whole batch is drawn in one pass over
  the triangles.

  Args:
    screen: [V, 3] column px, row px, depth mm (> 0 in front of the camera).
    triangles: [T, 3] vertex indices.
    height: of the image, px.
    width: of the image, px.
    backend: one of `BACKENDS`.

  Returns:
    [height, width] int32 triangle indices, -1 where there is none.

  Raises:
    ValueError: an unknown back end, or more pixels, triangles or coordinates
      in a batch than an int32 counts.
  """
  if backend not in BACKENDS:
    raise ValueError(
      f"rasterizer: backend is {backend!r}, wanted one of {', '.join(BACKENDS)}"
    )
  draw = _batched(height, width, backend)
  screen = jax.lax.stop_gradient(screen).astype(jnp.float32)
  return draw(screen[None], triangles)[0]


def num_dropped(screen, triangles) -> jax.Array:
  """Counts triangles that have no image because they reach the camera.

  Args:
    screen: [V, 3] column px, row px, depth mm.
    triangles: [T, 3] vertex indices.

  Returns:
    [] int32, triangles with a vertex nearer than `coverage.NEAR` or not finite.
  """
  usable = coverage.usable_vertices(screen)
  return jnp.sum(~usable[triangles].all(axis=1), dtype=jnp.int32)


@functools.lru_cache
def _batched(height, width, backend):
  """The [B, V, 3] -> [B, height, width] rasteriser, closed under vmap."""

  @jax.custom_batching.custom_vmap
  def draw(screen, triangles):
    return _draw(screen, triangles, height, width, backend)

  @draw.def_vmap
  def merge_batch(axis_size, in_batched, screen, triangles):
    screen_batched, triangles_batched = in_batched
    if triangles_batched:
      if not screen_batched:
        screen = jnp.broadcast_to(screen, (axis_size, *screen.shape))
      return jax.lax.map(lambda args: draw(*args), (screen, triangles)), True
    if not screen_batched:
      return draw(screen, triangles), False
    ids = draw(screen.reshape(-1, *screen.shape[2:]), triangles)
    return ids.reshape(axis_size, -1, height, width), True

  return draw


def _draw(screen, triangles, height, width, backend):
  batch = screen.shape[0]
  _check_indices(screen, triangles, height * width)
  table = coverage.vertex_table(screen)
  codes = jnp.full((batch, height * width), coverage.BACKGROUND, jnp.uint32)
  ids = jnp.full((batch, height * width), -1, jnp.int32)
  # A key holds so many indices; more triangles are drawn part after part, with
  # the same rule for ties.
  for first in range(0, triangles.shape[0], coverage.MAX_IDS):
    part = triangles[first : first + coverage.MAX_IDS]
    keys = _draw_keys(table, part, height, width, backend)
    shown = keys != coverage.BACKGROUND
    code = jnp.where(shown, keys >> coverage.ID_BITS, coverage.BACKGROUND)
    index = (keys & (coverage.MAX_IDS - 1)).astype(jnp.int32) + first
    ids = jnp.where(code < codes, index, ids)
    codes = jnp.minimum(code, codes)
  return ids.reshape(batch, height, width)


def _check_indices(screen, triangles, pixels):
  """Raises ValueError where an int32 could not count what a batch draws."""
  batch, num_vertices = screen.shape[:2]
  part = min(triangles.shape[0], coverage.MAX_IDS)
  counts = {
    "pixels": pixels,
    "triangles": part,
    "coordinates": 3 * num_vertices,
  }
  for name, count in counts.items():
    if batch * count > _MAX_INDEX:
      raise ValueError(
        f"rasterizer: {batch} images of {count:,} {name} are too many for one "
        f"call, which holds {_MAX_INDEX:,}; use smaller batches"
      )


def _draw_keys(table, triangles, height, width, backend):
  size = {"height": height, "width": width}
  pallas = functools.partial(rasterizer_pallas.draw_keys, **size)
  if backend == "pallas":
    return pallas(table, triangles)
  xla = functools.partial(rasterizer_xla.draw_keys, **size)
  cpu = functools.partial(xla, chunks=rasterizer_xla.CPU)
  accelerator = functools.partial(xla, chunks=rasterizer_xla.ACCELERATOR)
  platforms = {"cpu": cpu, "default": accelerator}
  if backend == "auto":
    platforms["cuda"] = pallas
  # Decided where the program runs, not where it is traced.
  return jax.lax.platform_dependent(table, triangles, **platforms)
