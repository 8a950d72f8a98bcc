"""The atlas: every vertex keeps its number, every part its own place."""

import numpy as np
import pytest

from facerec_jax import model_files
from facerec_jax.results import atlas as atlases
from tests import fake_model


def signed_areas(atlas):
  a, b, c = (atlas.uv[atlas.triangles[:, k]] for k in range(3))
  (ux, uy), (vx, vy) = (b - a).T, (c - a).T
  return 0.5 * (ux * vy - uy * vx)


@pytest.fixture(scope="module", params=["fake", "builtin"])
def model(request):
  if request.param == "builtin":
    return model_files.load("builtin")
  made = fake_model.make(num_rings=8, chart=True)
  return made.replace(region_names=("skin", "teeth"))


def test_vertices_and_triangles_keep_their_numbers(model):
  atlas = atlases.create(model)
  count = model.num_vertices
  np.testing.assert_array_equal(atlas.source[:count], np.arange(count))
  # Only the border of skin and an inner part is doubled.
  assert count < len(atlas.source) < 1.1 * count
  np.testing.assert_array_equal(
    atlas.source[atlas.triangles], np.asarray(model.triangles)
  )
  assert atlas.uv.min() >= 0 and atlas.uv.max() <= 1


def test_parts_do_not_overlap(model):
  atlas = atlases.create(model)
  size = 512
  owner = np.full((size, size), -1)
  for part in range(len(atlases.PARTS)):
    mine = atlas.uv[atlas.triangles[atlas.part == part]]
    if not len(mine):
      continue
    pixels = np.unique((mine.reshape(-1, 2) * size).astype(int), axis=0)
    columns, rows = np.minimum(pixels, size - 1).T
    assert (owner[rows, columns] == -1).all()
    owner[rows, columns] = part
  # No folds in what is seen; the mouth's pocket may have some.
  areas = signed_areas(atlas)
  for part in ("skin", "eyes"):
    mine = areas[atlas.part == atlases.PARTS.index(part)]
    assert mine.clip(max=0).sum() >= -0.001 * mine.sum()


def test_an_inner_vertex_makes_a_triangle_inner(model):
  atlas = atlases.create(model)
  region = np.asarray(model.region)[np.asarray(model.triangles)]
  teeth = (region == model.region_names.index("teeth")).any(axis=1)
  np.testing.assert_array_equal(
    teeth, atlas.part == atlases.PARTS.index("teeth")
  )


def test_model_without_chart():
  bare = fake_model.make(num_rings=4)
  atlas = atlases.create(bare)
  assert atlas.uv is None
  np.testing.assert_array_equal(atlas.triangles, bare.triangles)
  assert (atlas.part == 0).all()


def test_model_of_skin_alone_keeps_its_chart():
  skin = fake_model.make(num_rings=4, chart=True)
  atlas = atlases.create(skin)
  np.testing.assert_allclose(atlas.uv, skin.uv)
