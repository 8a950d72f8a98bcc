"""Which triangle is in front at each pixel: exact, whatever the platform.

The answer is integer and has no gradient; everything smooth is recomputed from
it in `renderer`. Back ends write, for each pixel, the smallest key of 15 bits
of depth and 17 bits of triangle index; they share the arithmetic of `coverage`.
"""

from __future__ import annotations

import functools

import jax
from jax.extend import core
from jax.interpreters import batching
from jax.interpreters import mlir
import jax.numpy as jnp

from facerec_jax.render import batch_loops
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
  screen = jax.lax.stop_gradient(screen).astype(jnp.float32)
  return _rasterize_p.bind(
    screen[None], triangles, height=height, width=width, backend=backend
  )[0]


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


# [B, V, 3], [T, 3] -> [B, height, width]. A primitive, because each platform
# has a lowering of its own then: where the program runs decides, not where it
# is traced, and nothing is traced that another platform would need.
_rasterize_p = core.Primitive("facerec_rasterize")


def _abstract(screen, triangles, *, height, width, backend):
  del backend
  _check_indices(screen, triangles, height * width)
  return jax.core.ShapedArray((screen.shape[0], height, width), jnp.int32)


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


def _batch(args, axes, **params):
  bind = functools.partial(_rasterize_p.bind, **params)
  if axes[1] is not None:
    meshes = tuple(batch_loops.align_batch(args, axes))
    return jax.lax.map(lambda mesh: bind(*mesh), meshes), 0
  screen = jnp.moveaxis(args[0], axes[0], 0)
  ids = bind(screen.reshape(-1, *screen.shape[2:]), args[1])
  return ids.reshape(*screen.shape[:2], *ids.shape[1:]), 0


def _draw(screen, triangles, *, height, width, backend, platform):
  batch = screen.shape[0]
  draw_keys = _back_end(backend, platform)
  table = coverage.vertex_table(screen)
  codes = jnp.full((batch, height * width), coverage.BACKGROUND, jnp.uint32)
  ids = jnp.full((batch, height * width), -1, jnp.int32)
  # A key holds so many indices; more triangles are drawn part after part, with
  # the same rule for ties.
  for first in range(0, triangles.shape[0], coverage.MAX_IDS):
    part = triangles[first : first + coverage.MAX_IDS]
    keys = draw_keys(table, part, height=height, width=width)
    shown = keys != coverage.BACKGROUND
    code = jnp.where(shown, keys >> coverage.ID_BITS, coverage.BACKGROUND)
    index = (keys & (coverage.MAX_IDS - 1)).astype(jnp.int32) + first
    ids = jnp.where(code < codes, index, ids)
    codes = jnp.minimum(code, codes)
  return ids.reshape(batch, height, width)


def _back_end(backend, platform):
  if backend == "pallas" or (backend == "auto" and platform == "cuda"):
    return rasterizer_pallas.draw_keys
  chunks = rasterizer_xla.ACCELERATOR
  if platform == "cpu":
    chunks = rasterizer_xla.CPU
  return functools.partial(rasterizer_xla.draw_keys, chunks=chunks)


def _lowering(platform):
  draw = functools.partial(_draw, platform=platform)
  return mlir.lower_fun(draw, multiple_results=False)


_rasterize_p.def_impl(
  jax.jit(_rasterize_p.bind, static_argnames=("height", "width", "backend"))
)
_rasterize_p.def_abstract_eval(_abstract)
batching.primitive_batchers[_rasterize_p] = _batch
mlir.register_lowering(_rasterize_p, _lowering(None))
for _platform in ("cpu", "cuda"):
  mlir.register_lowering(_rasterize_p, _lowering(_platform), platform=_platform)
