"""How fast the renderer is, stage by stage, and how right its peers are.

  python experiments/benchmark_renderer.py --triangles=0,105000 --batch=8
  python experiments/benchmark_renderer.py --devices=2   # two CPU devices

Meshes are the built-in face (0) and refinements of it by bisection. Peers that
are installed (OpenCV's painter, moderngl) draw triangle indices only; theirs
are held against ours. The last line is JSON.
"""

from __future__ import annotations

import functools
import json
import os
import time

from absl import app
from absl import flags
import jax
import jax.numpy as jnp
import numpy as np

from experiments import peer_renderers
from experiments import refined_face
from facerec_jax.face import code_vector
from facerec_jax.face import morphable_model
from facerec_jax.render import geometry
from facerec_jax.render import rasterizer
from facerec_jax.render import renderer
from facerec_jax.training import parallel

_TRIANGLES = flags.DEFINE_list("triangles", ["0", "105000"], "Sizes of meshes.")
_BATCH = flags.DEFINE_list("batch", ["8"], "Batch sizes.")
_SIZE = flags.DEFINE_integer("size", 224, "Side of the images, px.")
_REPEATS = flags.DEFINE_integer("repeats", 7, "Runs; the fastest counts.")
_DEVICES = flags.DEFINE_integer("devices", 1, "CPU devices, one per core.")
_BACKEND = flags.DEFINE_enum(
  "backend", "auto", rasterizer.BACKENDS, "Of the rasteriser."
)
_PEERS = flags.DEFINE_bool("peers", True, "Whether to time peers.")


def main(_):
  jax.config.update("jax_num_cpu_devices", _DEVICES.value)
  device = jax.devices()[0]
  load = os.getloadavg()[0]
  print(
    f"{device.device_kind} ({device.platform}) x {jax.local_device_count()}, "
    f"jax {jax.__version__}, {os.cpu_count()} cores, load {load:.1f}, "
    f"{_SIZE.value} px"
  )
  rows = []
  for count in map(int, _TRIANGLES.value):
    model = refined_face.load(count)
    for batch in map(int, _BATCH.value):
      rows += _measure_mesh(model, batch)
  print(json.dumps({"device": device.device_kind, "load": load, "rows": rows}))


def _measure_mesh(model, batch):
  codes = _codes(model, batch)
  name = f"{model.num_triangles} triangles, batch {batch}"
  print(f"\n{name:34} {'ms':>8} {'img/s':>7} {'compile s':>9} {'MiB/img':>8}")
  rows = []
  for stage, function, make_args in _stages(model, codes):
    row = _time(function, make_args(), batch)
    rows.append(
      {"mesh": model.num_triangles, "batch": batch, "stage": stage} | row
    )
    print(
      f"  {stage:32} {row['ms']:8.1f} {row['rate']:7.0f} "
      f"{row['compile_s']:9.1f} {row['mib']:8.2f}",
      flush=True,
    )
  return rows + (_measure_peers(model, codes) if _PEERS.value else [])


def _codes(model, batch):
  layout = code_vector.CodeLayout(
    identity=model.identity.shape[-1],
    expression=model.expression.shape[-1],
    albedo=model.albedo.shape[-1],
    default_translation=(0.0, 20.0, -620.0),
  )
  keys = jax.random.split(jax.random.key(0), 3)
  neutral = layout.flatten(layout.neutral())
  codes = jax.vmap(layout.unflatten)(jnp.tile(neutral, (batch, 1)))
  draw = functools.partial(jax.random.normal, dtype=jnp.float32)
  turn = jax.random.uniform(keys[2], codes.rotation.shape, minval=-1.0)
  return codes.replace(
    identity=0.7 * draw(keys[0], codes.identity.shape),
    albedo=0.7 * draw(keys[1], codes.albedo.shape),
    rotation=turn * jnp.array([0.3, 0.6, 0.2]),
  )


def _image(model, code, **options):
  size = _SIZE.value
  camera = geometry.reference_camera(size)
  options = {"height": size, "width": size, "backend": _BACKEND.value} | options
  return renderer.render(model, camera, code, **options).image


def _screen(points):
  camera = geometry.reference_camera(_SIZE.value)
  pixels = geometry.project(camera, points)
  return jnp.concatenate([pixels, -points[:, 2:]], axis=1)


def _ids(model, screen):
  size = {"height": _SIZE.value, "width": _SIZE.value}
  return rasterizer.rasterize(
    screen, model.triangles, backend=_BACKEND.value, **size
  )


def _stages(model, codes):
  """(name, function of (model, one item), its batched items)."""
  points = _run(renderer.posed_vertices, model, codes)
  screen = jax.jit(jax.vmap(_screen))(points)

  def normals(model, points):
    return geometry.vertex_normals(points, model.triangles, model.incidence)

  def shade(model, item):
    """All but rasterising; the mesh stays as it is."""
    points, code = item
    return _image_of_points(model, points, code)

  def slope(model, code):
    return jax.value_and_grad(lambda c: jnp.sum(_image(model, c) ** 2))(code)

  yield "vertices", renderer.posed_vertices, lambda: (model, codes)
  yield "albedo", _albedo, lambda: (model, codes)
  yield "normals", normals, lambda: (model, points)
  yield "raster", _ids, lambda: (model, screen)
  yield (
    "shading with raster and normals",
    shade,
    lambda: (model, (points, codes)),
  )
  yield "whole", _image, lambda: (model, codes)
  double = functools.partial(_image, supersampling=2)
  yield "whole, 2 x 2 samples", double, lambda: (model, codes)
  yield "value and gradient", slope, lambda: (model, codes)


def _albedo(model, code):
  return morphable_model.albedo(model, code.albedo)


def _image_of_points(model, points, code):
  size = _SIZE.value
  return renderer.render_mesh(
    points,
    model.triangles,
    model.incidence,
    albedo=model.albedo_mean,
    occlusion=model.occlusion,
    light=code.illumination,
    camera=geometry.reference_camera(size),
    height=size,
    width=size,
    backend=_BACKEND.value,
  ).image


def _run(function, model, items):
  return jax.jit(jax.vmap(function, (None, 0)))(model, items)


def _time(function, args, batch):
  """Fastest of some runs, compile time, temporary memory of one device."""
  model, items = args
  batched = jax.vmap(function, (None, 0))
  devices = jax.local_device_count()
  share = jax.tree.map(
    lambda leaf: leaf.reshape(devices, batch // devices, *leaf.shape[1:]), items
  )
  one = jax.tree.map(lambda leaf: leaf[0], share)
  start = time.perf_counter()
  compiled = jax.jit(batched).lower(model, one).compile()
  compile_s = time.perf_counter() - start
  memory = compiled.memory_analysis().temp_size_in_bytes
  if devices > 1:
    model = parallel.replicate(model)
    call = functools.partial(parallel.parallelize(batched), model, share)
  else:
    call = functools.partial(compiled, model, one)
  jax.block_until_ready(call())
  times = []
  for _ in range(_REPEATS.value):
    start = time.perf_counter()
    jax.block_until_ready(call())
    times.append(time.perf_counter() - start)
  best = min(times)
  return {
    "ms": 1e3 * best,
    "rate": batch / best,
    "compile_s": compile_s,
    "mib": memory * devices / batch / 2**20,
  }


def _measure_peers(model, codes):
  """Times the peers on the first face, and counts the pixels they get right."""
  one = jax.tree.map(lambda leaf: leaf[:1], codes)
  screen = jax.vmap(_screen)(_run(renderer.posed_vertices, model, one))
  ours = np.asarray(_run(_ids, model, screen))[0]
  screen, triangles = np.asarray(screen)[0], np.asarray(model.triangles)
  rows = []
  for name, draw in peer_renderers.installed(_SIZE.value).items():
    times = []
    for _ in range(3):
      start = time.perf_counter()
      ids = draw(screen, triangles)
      times.append(time.perf_counter() - start)
    drawn = (ids >= 0) | (ours >= 0)
    right = float((ids == ours)[drawn].mean())
    rate = 1.0 / min(times)
    print(
      f"  {name:32} {1e3 / rate:8.1f} {rate:7.1f}  {right:7.2%} of ids as ours"
    )
    rows.append(
      {"mesh": len(triangles), "stage": name, "rate": rate, "right": right}
    )
  return rows


if __name__ == "__main__":
  app.run(main)
