import functools

import hypothesis
from hypothesis import strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import slow_renderer

from facerec_jax.render import rasterizer

_SIZE = dict(height=24, width=32)


@functools.partial(jax.jit, static_argnames=("height", "width"))
def _rasterize(screen, triangles, height=24, width=32):
  return rasterizer.rasterize(screen, triangles, height=height, width=width)


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
  for chunk in (1, 7, 10**6):
    monkeypatch.setattr(rasterizer, "_CHUNK_CPU", chunk)
    got = rasterizer.rasterize(
      jnp.asarray(screen), jnp.asarray(triangles), **_SIZE
    )
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


def test_too_many_triangles_are_refused():
  triangles = jnp.zeros((rasterizer.MAX_TRIANGLES + 1, 3), jnp.int32)
  with pytest.raises(ValueError, match="got 131073 triangles, at most 131072"):
    rasterizer.rasterize(jnp.ones((3, 3)), triangles, height=4, width=4)


def test_has_no_gradient_and_no_error():
  screen, triangles = _soup(1)

  def loss(screen):
    ids = rasterizer.rasterize(screen, jnp.asarray(triangles), **_SIZE)
    return jnp.sum(ids) + jnp.sum(screen)

  slope = jax.grad(loss)(jnp.asarray(screen))
  np.testing.assert_array_equal(slope, 1.0)
