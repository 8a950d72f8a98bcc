import functools

import cuda_lowering
import hypothesis
from hypothesis import strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import slow_renderer

from facerec_jax.render import coverage
from facerec_jax.render import rasterizer
from facerec_jax.render import rasterizer_pallas
from facerec_jax.render import rasterizer_xla

_SIZE = dict(height=24, width=32)


@functools.partial(jax.jit, static_argnames=("height", "width"))
def _rasterize(screen, triangles, height=24, width=32):
  return rasterizer.rasterize(screen, triangles, height=height, width=width)


def _traced_anew(screen, triangles):
  """As `_rasterize`, with what constants are now."""
  return jax.jit(functools.partial(rasterizer.rasterize, **_SIZE))(
    screen, triangles
  )


def _soup(seed, count=40, spread=20.0, span=(900.0, 1100.0)):
  """Random triangles of all sizes, both windings, some outside the image."""
  rng = np.random.default_rng(seed)
  centers = rng.uniform(-8, 40, (count, 1, 2))
  sizes = rng.exponential(spread / 4, (count, 1, 1))
  xy = centers + sizes * rng.standard_normal((count, 3, 2))
  depth = rng.uniform(*span, (count, 3, 1))
  screen = np.concatenate([xy, depth], axis=-1).reshape(-1, 3)
  return screen.astype(np.float32), np.arange(3 * count).reshape(-1, 3)


def _lattice(step, offset=0.0, wave=0.0):
  """A closed sheet over the whole image; counter-clockwise as seen."""
  columns = np.arange(-4, 36 + step, step) + offset
  rows = np.arange(-4, 28 + step, step) + offset
  x, y = np.meshgrid(columns, rows)
  depth = 1000 + wave * np.sin(x / 3) * np.cos(y / 4)
  screen = np.stack([x, y, depth], -1).reshape(-1, 3).astype(np.float32)
  index = np.arange(x.size).reshape(x.shape)
  a, b = index[:-1, :-1].ravel(), index[:-1, 1:].ravel()
  c, d = index[1:, :-1].ravel(), index[1:, 1:].ravel()
  triangles = np.stack([np.stack([a, c, b]), np.stack([b, c, d])])
  return screen, triangles.transpose(2, 0, 1).reshape(-1, 3)


@hypothesis.given(st.integers(0, 10**6))
@hypothesis.settings(max_examples=25, deadline=None)
def test_equals_brute_force(seed):
  screen, triangles = _soup(seed)
  ids, depth, margin = slow_renderer.brute_force(screen, triangles, **_SIZE)
  got = np.asarray(_rasterize(jnp.asarray(screen), jnp.asarray(triangles)))
  wrong = (got != ids) & (margin > 1e-4)
  # Where two triangles cross, either may win within two depth quanta.
  for row, column in zip(*np.nonzero(wrong), strict=True):
    other = got[row, column]
    assert other >= 0 and ids[row, column] >= 0
    assert _depth_at(screen[triangles[other]], column, row) == pytest.approx(
      depth[row, column], abs=2 * 200 / 32766 + 1e-3
    )


def _depth_at(corners, column, row):
  matrix = np.concatenate([corners[:, :2].T, np.ones((1, 3))]).astype(float)
  weights = np.linalg.solve(matrix, [column + 0.5, row + 0.5, 1.0])
  return 1.0 / (weights / corners[:, 2]).sum()


@pytest.mark.parametrize("offset", [0.0, 0.5, 0.25, 1 / 3])
@pytest.mark.parametrize("step", [1.0, 0.7, 3.0, 13.0])
def test_closed_sheet_has_no_holes(step, offset):
  screen, triangles = _lattice(step, offset, wave=20.0)
  assert (np.asarray(_rasterize(screen, triangles)) >= 0).all()


def test_batch_equals_singles_whatever_the_nesting():
  soups = np.stack([_soup(seed)[0] for seed in range(6)])
  triangles = jnp.asarray(_soup(0)[1])
  single = np.stack([_rasterize(screen, triangles) for screen in soups])
  one = jax.vmap(_rasterize, (0, None))
  np.testing.assert_array_equal(one(soups, triangles), single)
  nested = jax.vmap(one, (0, None))(soups.reshape(2, 3, -1, 3), triangles)
  np.testing.assert_array_equal(nested.reshape(single.shape), single)
  # Other triangles for each image.
  shuffled = np.stack(
    [np.random.default_rng(seed).permutation(triangles) for seed in range(6)]
  )
  own = np.stack(
    [_rasterize(s, t) for s, t in zip(soups, shuffled, strict=True)]
  )
  np.testing.assert_array_equal(jax.vmap(_rasterize)(soups, shuffled), own)


def test_any_chunk_size_gives_the_same(monkeypatch):
  screen, triangles = _lattice(0.7, wave=20.0)
  whole = np.asarray(_rasterize(screen, triangles))
  for chunks in ((1, 64), (7, 3), (10**6, 10**4)):
    monkeypatch.setattr(rasterizer_xla, "CPU", rasterizer_xla.Chunks(*chunks))
    got = _traced_anew(screen, triangles)
    np.testing.assert_array_equal(got, whole)


def test_permuting_triangles_permutes_ids():
  screen, triangles = _soup(11)
  order = np.random.default_rng(0).permutation(len(triangles))
  got = np.asarray(_rasterize(screen, triangles[order]))
  named = np.where(got >= 0, order[got], -1)
  np.testing.assert_array_equal(named, _rasterize(screen, triangles))


def test_hidden_things_change_nothing():
  screen, triangles = _lattice(2.0)
  plain = np.asarray(_rasterize(screen, triangles))
  extra = np.array(
    [
      [0, 0, 2000], [60, 0, 2000], [0, 60, 2000],  # behind, both windings
      [5, 5, 500], [5, 5, 500], [9, 9, 500],  # no area
      [-90, -90, 500], [-80, -90, 500], [-90, -80, 500],  # outside
      [5, 5, 0.5], [5, 25, 500], [25, 5, 500],  # touches the camera
      [5, 5, -500], [5, 25, 500], [25, 5, 500],  # behind the camera
      [np.nan, 5, 500], [5, 25, 500], [25, 5, 500],
      [np.inf, 5, 500], [5, 25, 500], [25, 5, 500],
      [5, 5, 500], [25, 5, 500], [5, 25, 500],  # seen from its back
    ],
    np.float32,
  )  # fmt: skip
  more = len(screen) + np.arange(len(extra)).reshape(-1, 3)
  more = np.concatenate([triangles, more, more[:1, ::-1]])
  # The depth range, hence the code of a depth, changes with vertices that are
  # in front; equal depths within a quantum may then swap on shared edges.
  got = np.asarray(_rasterize(np.concatenate([screen, extra]), more))
  assert (got < len(triangles)).all()
  assert (got != plain).mean() < 0.01


def test_huge_triangles_and_empty_meshes():
  triangle = np.array(
    [[-1e6, -1e6, 900], [-1e6, 3e6, 900], [3e6, -1e6, 900]], np.float32
  )
  assert (np.asarray(_rasterize(triangle, np.array([[0, 1, 2]]))) == 0).all()
  empty = _rasterize(triangle, np.zeros((0, 3), np.int32))
  assert (np.asarray(empty) == -1).all()


@pytest.mark.parametrize("height, width", [(1, 1), (1, 40), (40, 1), (7, 300)])
def test_odd_image_sizes(height, width):
  screen, triangles = _soup(5)
  ids, _, margin = slow_renderer.brute_force(screen, triangles, height, width)
  got = np.asarray(_rasterize(screen, triangles, height=height, width=width))
  assert ((got == ids) | (margin < 1e-4)).all()


def test_translation_by_whole_pixels_translates():
  screen, triangles = _soup(3)
  shifted = screen + np.array([3, 2, 0], np.float32)
  before = np.asarray(_rasterize(screen, triangles))
  after = np.asarray(_rasterize(shifted, triangles))
  # Float rounding of the shifted coordinates may decide an edge otherwise.
  assert (after[2:, 3:] == before[:-2, :-3]).mean() > 0.995


def test_parts_of_a_large_mesh_meet_like_one(monkeypatch):
  screen, triangles = _soup(7, count=60)
  whole = np.asarray(_rasterize(screen, triangles))
  monkeypatch.setattr(coverage, "MAX_IDS", 16)
  got = _traced_anew(screen, triangles)
  np.testing.assert_array_equal(got, whole)


def test_more_triangles_than_a_key_has_indices():
  """A sheet behind 131,072 triangles that are not drawn."""
  screen, triangles = _lattice(3.0)
  plain = np.asarray(_rasterize(screen, triangles))
  many = np.zeros((coverage.MAX_IDS + 5, 3), np.int32)
  got = np.asarray(_rasterize(screen, np.concatenate([many, triangles])))
  np.testing.assert_array_equal(got, plain + len(many) * (plain >= 0))
  # The same triangles again lose every tie.
  twice = np.concatenate([triangles, many, triangles])
  np.testing.assert_array_equal(_rasterize(screen, twice), plain)


def test_has_no_gradient_and_no_error():
  screen, triangles = _soup(1)

  def loss(screen):
    ids = rasterizer.rasterize(screen, jnp.asarray(triangles), **_SIZE)
    return jnp.sum(ids) + jnp.sum(screen)

  slope = jax.jit(jax.grad(loss))(jnp.asarray(screen))
  np.testing.assert_array_equal(slope, 1.0)


@pytest.mark.parametrize("seed, height, width", [(0, 24, 32), (1, 40, 7)])
def test_kernel_shows_the_same_triangles_as_xla(seed, height, width):
  soups = [_soup(seed + offset, spread=60.0) for offset in (0, 10)]
  table = coverage.vertex_table(jnp.stack([soup[0] for soup in soups]))
  # More than a block of triangles; large ones take the kernel's second path.
  triangles = jnp.tile(jnp.asarray(soups[0][1]), (4, 1))
  size = {"height": height, "width": width}
  chunks = rasterizer_xla.Chunks(16, 5)
  got, wanted = (
    jax.jit(functools.partial(draw_keys, **size, **options))(table, triangles)
    for draw_keys, options in (
      (rasterizer_pallas.draw_keys, {"interpret": True}),
      (rasterizer_xla.draw_keys, {"chunks": chunks}),
    )
  )
  ids, codes = zip(*(_unpack(keys) for keys in (got, wanted)), strict=True)
  np.testing.assert_array_equal(*ids)
  # Compilers fuse multiplications and additions as they like.
  np.testing.assert_allclose(*codes, atol=1)


def _unpack(keys):
  keys = np.asarray(keys).astype(np.int64)
  ids = np.where(keys == coverage.BACKGROUND, -1, keys % coverage.MAX_IDS)
  return ids, keys // coverage.MAX_IDS


def test_order_of_floats_in_the_kernel_is_that_of_keys():
  keys = np.array([0, 1, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1], np.uint32)
  floats = rasterizer_pallas._to_float(jnp.asarray(keys))
  np.testing.assert_array_equal(rasterizer_pallas._from_float(floats), keys)
  bits = np.asarray(floats).view(np.int32)
  # Triton: signed minimum of positive bits, unsigned maximum of negative ones.
  negative = bits < 0
  assert (np.diff(bits[negative].view(np.uint32).astype(np.int64)) < 0).all()
  assert (np.diff(bits[~negative].astype(np.int64)) > 0).all()
  assert negative[: negative.sum()].all()


@pytest.mark.parametrize(
  "backend, kernel", [("auto", True), ("pallas", True), ("xla", False)]
)
def test_lowers_for_cuda_without_a_gpu(backend, kernel):
  function = jax.jit(
    jax.vmap(
      functools.partial(rasterizer.rasterize, backend=backend, **_SIZE),
      (0, None),
    )
  )
  exported = cuda_lowering.export_for_cuda(
    function,
    jax.ShapeDtypeStruct((4, 90, 3), jnp.float32),
    jax.ShapeDtypeStruct((300, 3), jnp.int32),
  )
  kernels = exported.mlir_module().count(f"@{cuda_lowering.TRITON}")
  assert bool(kernels) == kernel


def test_unknown_back_end_is_refused():
  screen, triangles = _soup(0)
  with pytest.raises(
    ValueError, match="backend is 'cuda', wanted one of auto, xla, pallas"
  ):
    rasterizer.rasterize(screen, triangles, backend="cuda", **_SIZE)


@pytest.mark.parametrize(
  ("batch", "vertices", "triangles", "size", "message"),
  [
    (600, 3, 1, 2048, "600 images of 4,194,304 pixels are too many"),
    (20_000, 3, 200_000, 8, "20000 images of 131,072 triangles are too many"),
    (9_000, 80_000, 1, 8, "9000 images of 240,000 coordinates are too many"),
  ],
)
def test_more_than_an_index_counts_is_refused(
  batch, vertices, triangles, size, message
):
  # Shapes only: nothing is allocated.
  screen = jax.ShapeDtypeStruct((batch, vertices, 3), jnp.float32)
  corners = jax.ShapeDtypeStruct((triangles, 3), jnp.int32)
  draw = functools.partial(rasterizer.rasterize, height=size, width=size)
  with pytest.raises(ValueError, match=message):
    jax.eval_shape(jax.vmap(draw, (0, None)), screen, corners)


def test_counts_triangles_that_reach_the_camera():
  screen, triangles = _soup(2)
  assert int(rasterizer.num_dropped(screen, triangles)) == 0
  screen[triangles[:3, 1], 2] = [0.5, -100.0, np.nan]
  assert int(rasterizer.num_dropped(screen, triangles)) == 3


@hypothesis.given(
  st.integers(0, 10**6),
  st.sampled_from([1.0, 1e2, 1e4]),
  st.integers(1, 12),
  st.integers(-3, 3),
)
@hypothesis.settings(max_examples=25, deadline=None)
def test_meshes_of_any_scale_equal_brute_force(seed, scale, count, snap):
  """From specks to triangles far larger than the image, also on centres."""
  rng = np.random.default_rng(seed)
  xy = np.array([16.0, 12.0]) + scale * rng.standard_normal((count, 3, 2))
  xy = np.round(xy * 2.0**snap) / 2.0**snap + 0.5 * rng.integers(2)
  screen = np.concatenate([xy, rng.uniform(900, 1100, (count, 3, 1))], -1)
  screen = screen.reshape(-1, 3).astype(np.float32)
  triangles = np.arange(3 * count, dtype=np.int32).reshape(-1, 3)
  padded = np.zeros((12, 3), np.int32)
  padded[:count] = triangles
  points = np.zeros((36, 3), np.float32) + screen[:1]
  points[: len(screen)] = screen
  ids, depth, margin = slow_renderer.brute_force(screen, triangles, **_SIZE)
  got = np.asarray(_rasterize(points, padded))
  # Coordinates are floats: their last place is scale / 2^23.
  wrong = (got != ids) & (margin > max(1e-4, scale * 3e-6))
  for row, column in zip(*np.nonzero(wrong), strict=True):
    other = got[row, column]
    assert other >= 0 and ids[row, column] >= 0
    assert _depth_at(screen[triangles[other]], column, row) == pytest.approx(
      depth[row, column], abs=2 * 200 / 32766 + 1e-3
    )


@pytest.mark.parametrize("height, width", [(4096, 1), (1, 4096), (4096, 4096)])
def test_large_images_have_no_holes(height, width):
  """Two triangles over the whole image, with depths that say which is where."""
  corners = [
    [-9, -9],
    [-9, height + 9],
    [width + 9, -9],
    [width + 9, height + 9],
  ]
  screen = np.array([[*xy, 1000.0] for xy in corners], np.float32)
  triangles = np.array([[0, 1, 2], [2, 1, 3]], np.int32)
  got = np.asarray(_rasterize(screen, triangles, height=height, width=width))
  column, row = np.arange(width) + 0.5, np.arange(height)[:, None] + 0.5
  beyond = (column + 9) / (width + 18) + (row + 9) / (height + 18) - 1
  clear = np.abs(beyond) > 1e-5
  np.testing.assert_array_equal(got[clear], (beyond > 0)[clear])
  assert ((got == 0) | (got == 1)).all()


def test_permuting_vertices_changes_nothing():
  screen, triangles = _lattice(1.7, wave=20.0)
  order = np.random.default_rng(0).permutation(len(screen))
  rank = np.argsort(order)
  np.testing.assert_array_equal(
    _rasterize(screen[order], rank[triangles]), _rasterize(screen, triangles)
  )


def test_pixels_on_a_shared_edge_go_to_the_lower_index():
  """Vertices and edges exactly on pixel centres: each pixel once, in order."""
  screen, triangles = _lattice(2.0, offset=0.5)
  got = np.asarray(_rasterize(screen, triangles))
  ids, _, _ = slow_renderer.brute_force(screen, triangles, **_SIZE)
  np.testing.assert_array_equal(got, ids)


def test_equals_opengl():
  """An independent renderer, where one is installed and has a driver."""
  pytest.importorskip("moderngl", reason="needs moderngl, not a dependency")
  peers = pytest.importorskip("experiments.peer_renderers")
  try:
    draw = peers.OpenGL(64)
  except Exception as error:
    pytest.skip(f"moderngl finds no OpenGL: {error}")
  screen, triangles = _soup(3, count=60)
  screen[:, :2] *= 1.5
  lattice, sheet = _lattice(1.7, wave=20.0)
  lattice[:, 2] += 200.0  # Behind the soup, no ties.
  screen = np.concatenate([screen, lattice])
  triangles = np.concatenate([triangles, sheet + len(screen) - len(lattice)])
  got = np.asarray(_rasterize(screen, triangles, height=64, width=64))
  # OpenGL rounds coordinates to 1/256 px.
  _, _, margin = slow_renderer.brute_force(screen, triangles, 64, 64)
  clear = margin > 1 / 64
  assert clear.mean() > 0.8
  np.testing.assert_array_equal(draw(screen, triangles)[clear], got[clear])
