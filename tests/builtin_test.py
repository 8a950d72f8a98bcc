"""Tests of the built-in face: a sound mesh, and the measured numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial import cKDTree

from facerec_jax import model_files
from facerec_jax.face import code_vector
from facerec_jax.face import morphable_model
from facerec_jax.model_files.builtin import expression
from facerec_jax.model_files.builtin import measurements
from facerec_jax.model_files.builtin import sculpture
from facerec_jax.model_files.builtin import skin_color
from facerec_jax.render import geometry
from facerec_jax.render import renderer

SIZE = 144
ACTION_UNITS = (
  1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 16, 17, 18, 20, 22, 23, 24, 25, 26, 27,
  28, 43,
)  # fmt: skip


@pytest.fixture(scope="module")
def model():
  return jax.tree.map(np.asarray, model_files.load("builtin"))


def edges(triangles):
  return np.vstack(
    [triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]
  )


def areas(points, triangles):
  a, b, c = (points[triangles[:, k]] for k in range(3))
  return 0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1)


def vertices_near(model, *places):
  """Vertices of the skin nearest to places of the tables."""
  skin = np.flatnonzero(morphable_model.region_vertices(model, "skin", "lips"))
  return skin[cKDTree(model.mean[skin]).query(np.array(places))[1]]


def column(model, *names):
  """[Ke] with 1 at the named units, of both sides where there are two."""
  weights = np.zeros(model.expression.shape[-1], np.float32)
  for name in names:
    found = [
      k for k, full in enumerate(model.expression_names)
      if full.split("_")[0] == name
    ]  # fmt: skip
    assert found, name
    weights[found] = 1.0
  return weights


@jax.jit
def _render(model, identity, expression, rotation):
  camera = geometry.reference_camera(SIZE)

  def one(values):
    code = code_vector.CodeVector(
      identity=values[0],
      expression=values[1],
      albedo=jnp.zeros(1),
      rotation=values[2],
      translation=jnp.array([0.0, 35.0, -640.0]),
      illumination=code_vector.white_light(),
    )
    picture = renderer.render(model, camera, code, height=SIZE, width=SIZE)
    shape = morphable_model.vertices(model, values[0], values[1])
    points = geometry.to_camera(shape, values[2], code.translation)
    pixels = geometry.project(camera, points)
    return picture.triangle_ids, pixels

  return jax.lax.map(one, (identity, expression, rotation), batch_size=8)


def render(model, *, identity=None, expression=None, rotation=(0, 0, 0)):
  """Triangle ids [N, S, S] and projected vertices [N, V, 2]."""
  given = [x for x in (identity, expression) if x is not None]
  count = len(given[0]) if given else 1
  if identity is None:
    identity = np.zeros((count, model.identity.shape[-1]), np.float32)
  if expression is None:
    expression = np.zeros((count, model.expression.shape[-1]), np.float32)
  turns = np.tile(np.array(rotation, np.float32), (count, 1))
  return map(np.asarray, _render(model, identity, expression, turns))


def triangle_regions(model, ids):
  """Region of each pixel, -1 for the background."""
  region = model.region[model.triangles[:, 0]]
  # Strips between two regions count as what hangs on the skin.
  region = np.maximum(region, model.region[model.triangles].max(axis=1))
  return np.where(ids < 0, -1, region[ids])


def seen(model, ids, *names):
  index = [model.region_names.index(name) for name in names]
  return np.isin(triangle_regions(model, ids), index)


# --- mesh


def test_sizes(model):
  assert 9_000 <= model.num_triangles <= 12_500
  assert model.identity.shape[-1] >= 60
  assert model.albedo.shape[-1] >= 30
  assert len(set(model.identity_names)) == model.identity.shape[-1]
  assert model.identity_names[0] == "sex"
  assert model.expression_kind == "blendshape"
  units = {name.split("_")[0] for name in model.expression_names}
  assert units >= {f"AU{unit:02d}" for unit in ACTION_UNITS}


def test_every_vertex_is_used(model):
  assert len(np.unique(model.triangles)) == model.num_vertices


def test_triangles_are_consistently_oriented(model):
  _, count = np.unique(edges(model.triangles), axis=0, return_counts=True)
  assert count.max() == 1


def test_mesh_is_manifold(model):
  pairs = np.sort(edges(model.triangles), axis=1)
  _, count = np.unique(pairs, axis=0, return_counts=True)
  assert count.max() == 2


def test_skin_has_no_edge_but_behind_the_ears(model):
  pairs = np.sort(edges(model.triangles), axis=1)
  unique, count = np.unique(pairs, axis=0, return_counts=True)
  open_edges = unique[count == 1]
  skin = (model.region[open_edges] <= 1).all(axis=1)
  assert (model.mean[open_edges[skin]][..., 2] < -95).all()


def test_no_triangle_is_degenerate(model):
  assert areas(model.mean, model.triangles).min() > 1e-3


def test_triangles_face_outward(model):
  normals = np.asarray(
    geometry.vertex_normals(
      jnp.asarray(model.mean), model.triangles, model.incidence
    )
  )
  assert (normals[model.landmarks[17:]][:, 2] > -0.3).all()
  for side, name in ((1, "left_eye"), (-1, "right_eye")):
    eye = morphable_model.region_vertices(model, name)
    outward = model.mean[eye] - measurements.EYE_CENTER * [side, 1, 1]
    assert ((normals[eye] * outward).sum(axis=1) > 0).all()


def test_mean_is_symmetric(model):
  distance, mirror = cKDTree(model.mean).query(model.mean * [-1, 1, 1])
  assert distance.max() < 2e-3
  # The hair line may differ.
  face = (model.region == 0) & (model.mean[:, 1] < 45)
  face &= np.abs(model.mean[:, 0]) < 45
  np.testing.assert_allclose(
    model.albedo_mean[mirror][face], model.albedo_mean[face], atol=0.02
  )


def test_left_is_the_subjects_left(model):
  x = model.mean[morphable_model.region_vertices(model, "left_eye"), 0]
  assert x.min() > 15
  index = model.expression_names.index("AU12_L")
  moved = np.linalg.norm(model.expression[:, :, index], axis=1)
  assert moved[model.mean[:, 0] > 15].max() > 9
  assert moved[model.mean[:, 0] < -15].max() < 0.1


def test_uv_is_in_the_unit_square_and_one_to_one_on_the_face(model):
  assert model.uv.min() >= 0 and model.uv.max() <= 1
  skin = (model.region[model.triangles] == 0).all(axis=1)
  a, b, c = (model.uv[model.triangles[skin][:, k]] for k in range(3))
  d, e = b - a, c - a
  assert (d[:, 0] * e[:, 1] - d[:, 1] * e[:, 0] > 0).mean() > 0.995


# --- measures of the mean

MEASURES = {  # mm, facts: ANSUR II and NIOSH 2003, sexes pooled
  "bizygomatic": ("zy", "-zy", 138.2),
  "menton-sellion": ("sellion", "me", 117.9),
  "bigonial": ("go", "-go", 113.0),
  "nose length": ("sellion", "sn", 50.1),
  "nose breadth": ("al", "-al", 35.0),
  "nose protrusion": ("sn", "prn", 20.4),
  "mouth width": ("ch", "-ch", 49.6),
  "upper lip": ("sn", "sto", 21.5),
}


@pytest.mark.parametrize("name", MEASURES)
def test_measures_of_the_mean(model, name):
  *ends, wanted = MEASURES[name]
  table = measurements.points()
  places = [
    table[end.removeprefix("-")] * ([-1, 1, 1] if end[0] == "-" else 1)
    for end in ends
  ]
  first, second = model.mean[vertices_near(model, *places)]
  assert np.linalg.norm(first - second) == pytest.approx(wanted, rel=0.06)


def test_landmarks_lie_where_the_tables_put_them(model):
  # Brows, jaw and lower lip are moved to where detectors see them.
  index = [*range(29, 36), *range(36, 48), *range(48, 55)]
  error = model.mean[model.landmarks[index]] - measurements.landmarks()[index]
  assert np.linalg.norm(error, axis=1).max() < 2.0


def test_origin_is_the_sellion(model):
  assert cKDTree(model.mean).query([0.0, 0.0, 0.0])[0] < 1.5


def test_eyes(model):
  left = model.mean[morphable_model.region_vertices(model, "left_eye")]
  right = model.mean[morphable_model.region_vertices(model, "right_eye")]
  pupils = left[left[:, 2].argmax()], right[right[:, 2].argmax()]
  assert pupils[0][0] - pupils[1][0] == pytest.approx(62.9, abs=0.5)
  lids = morphable_model.region_vertices(model, "skin")
  distance = np.linalg.norm(model.mean[lids] - measurements.EYE_CENTER, axis=1)
  assert distance.min() > measurements.EYE_RADIUS + 0.7


# --- identity


@pytest.mark.parametrize("amount", [-2.0, 2.0])
def test_modes_leave_no_hole_and_no_fold(model, amount):
  people = amount * np.eye(model.identity.shape[-1], dtype=np.float32)
  ids, pixels = render(model, identity=people)
  check_closed_surface(model, ids, pixels, 0.004, model.identity_names)


def check_closed_surface(model, ids, pixels, folds, names):
  for image, points, name in zip(ids, pixels, names, strict=True):
    mask = image >= 0
    assert mask.mean() > 0.3, name
    holes = ndimage.binary_fill_holes(mask) & ~mask
    assert not holes.any(), (name, np.argwhere(holes))
    a, b, c = (points[model.triangles[image[mask]][:, k]] for k in range(3))
    d, e = b - a, c - a
    # Rows grow downward: a triangle seen from outside turns clockwise.
    area = d[:, 0] * e[:, 1] - d[:, 1] * e[:, 0]
    assert (area > 0).mean() < folds, name


def test_lips_are_closed_in_random_neutral_people(model):
  random = np.random.default_rng(1)
  shape = (24, model.identity.shape[-1])
  people = np.clip(random.standard_normal(shape), -2.5, 2.5)
  ids, _ = render(model, identity=people.astype(np.float32))
  inside = seen(model, ids, "teeth", "mouth_interior")
  assert inside.sum(axis=(1, 2)).max() <= 12


# --- expression


def test_neutral_lips_are_closed(model):
  for rotation in ((0, 0, 0), (0, 0.6, 0), (0.3, 0, 0), (-0.3, 0, 0)):
    ids, _ = render(model, rotation=rotation)
    assert seen(model, ids, "teeth", "mouth_interior").sum() <= 3


@pytest.mark.parametrize("unit", [10, 12, 15, 16, 18, 20, 22, 25, 26])
def test_units_move_landmarks_as_tabled(model, unit):
  table = measurements.action_units()[unit]
  got = model.expression[model.landmarks] @ column(model, f"AU{unit:02d}")
  error = np.linalg.norm(got - table, axis=1)[28:]
  assert error.mean() < 1.0
  biggest = np.linalg.norm(table[28:], axis=1).argmax() + 28
  size = np.linalg.norm(table[biggest])
  assert np.linalg.norm(got[biggest] - table[biggest]) < 0.3 * size + 0.5


@pytest.mark.parametrize("unit, inner", [(1, True), (2, False)])
def test_brows_rise(model, unit, inner):
  points = [20, 21, 22, 23] if inner else [17, 18, 25, 26]
  got = model.expression[model.landmarks] @ column(model, f"AU{unit:02d}")
  assert 3.0 < got[points][:, 1].mean() < 9.0


def test_sides_sum_to_both(model):
  left = model.expression_names.index("AU12_L")
  pair = model.expression[:, :, left : left + 2]
  distance, mirror = cKDTree(model.mean).query(model.mean * [-1, 1, 1], k=2)
  # Where the lips meet, two vertices share a place.
  alone = distance[:, 1] > 0.05
  mirror = mirror[alone, 0]
  np.testing.assert_allclose(
    pair[mirror][:, :, 1] * [-1, 1, 1], pair[alone][:, :, 0], atol=0.03
  )


def test_jaw_keeps_its_length_when_fully_open(model):
  unit = model.expression[:, :, model.expression_names.index("AU27")]
  ends = vertices_near(
    model, *(measurements.points()[name] for name in ("pog", "me"))
  )
  before = np.linalg.norm(np.diff(model.mean[ends], axis=0))
  after = np.linalg.norm(np.diff((model.mean + unit)[ends], axis=0))
  assert after == pytest.approx(before, rel=0.05)


def test_mouth_opens_on_teeth_and_dark(model):
  ids, _ = render(model, expression=column(model, "AU26", "AU12")[None])
  assert seen(model, ids, "teeth").sum() > 20
  assert seen(model, ids, "mouth_interior").sum() > 60


def test_closed_eyes_hide_the_eyeballs(model):
  for rotation in ((0, 0, 0), (0, 0.5, 0), (0.25, 0, 0)):
    ids, _ = render(
      model, expression=column(model, "AU43")[None], rotation=rotation
    )
    assert seen(model, ids, "left_eye", "right_eye").sum() == 0


def test_eyeballs_stay_behind_closing_lids(model):
  unit = model.expression @ column(model, "AU43")
  skin = morphable_model.region_vertices(model, "skin")
  for weight in (0.25, 0.5, 0.75, 1.0):
    lids = (model.mean + weight * unit)[skin]
    distance = np.linalg.norm(lids - measurements.EYE_CENTER, axis=1)
    assert distance.min() > measurements.EYE_RADIUS + 0.4


def test_eyeballs_do_not_move_with_expressions(model):
  eyes = morphable_model.region_vertices(model, "left_eye", "right_eye")
  assert not model.expression[eyes].any()


def test_expressions_leave_no_hole_and_few_folds(model):
  units = np.eye(model.expression.shape[-1], dtype=np.float32)
  ids, pixels = render(model, expression=units)
  # Lips roll over the open mouth's edge.
  check_closed_surface(model, ids, pixels, 0.006, model.expression_names)


# --- colour


def test_skin_color_matches_the_facts_table():
  table = {
    (0.006, 0.02): (0.499, 0.309, 0.247),
    (0.03, 0.02): (0.395, 0.219, 0.146),
    (0.13, 0.04): (0.158, 0.064, 0.035),
  }
  for (melanin, blood), wanted in table.items():
    got = skin_color.skin_color(np.array(melanin), np.array(blood))
    np.testing.assert_allclose(got, wanted, atol=0.012)


def sampled_skin(model, count=300):
  random = np.random.default_rng(2)
  skin = (model.region == 0) & (model.mean[:, 2] > -62)
  skin &= (model.mean[:, 1] > -114) & (model.mean[:, 1] < 45)
  people = np.clip(
    random.standard_normal((count, model.albedo.shape[-1])), -2.5, 2.5
  )
  color = model.albedo_mean[skin] + np.einsum(
    "vck,nk->nvc", model.albedo[skin], people
  )
  return np.clip(color, 0, 1)


def test_skin_tones_of_random_people(model):
  color = np.median(sampled_skin(model), axis=1)
  red, green, blue = np.median(color, axis=0)
  assert 0.31 < red < 0.45 and 0.17 < green < 0.26 and 0.11 < blue < 0.18
  assert (color[:, 0] > color[:, 1]).all()
  assert (color[:, 1] > color[:, 2]).mean() > 0.97
  ratio = color[:, 0] / color[:, 1]
  assert np.percentile(ratio, 3) > 1.4 and np.percentile(ratio, 97) < 3.2
  # Light to dark.
  assert np.percentile(color[:, 0], 2) < 0.22
  assert np.percentile(color[:, 0], 98) > 0.44
  assert color[:, 0].max() < 0.62


def test_lips_are_redder_than_cheeks(model):
  lips = model.albedo_mean[morphable_model.region_vertices(model, "lips")]
  cheek = model.albedo_mean[vertices_near(model, (45.0, -45.0, -16.0))[0]]
  lip = np.median(lips, axis=0)
  assert lip[0] / lip[1] > 1.1 * cheek[0] / cheek[1]


def test_pupil_iris_and_white_differ(model):
  eye = morphable_model.region_vertices(model, "left_eye")
  offset = (model.mean[eye] - measurements.EYE_CENTER)[:, :2]
  radius = np.linalg.norm(offset, axis=1)
  brightness = model.albedo_mean[eye].mean(axis=1)
  pupil = brightness[radius < 1.4].mean()
  iris = brightness[(radius > 2.2) & (radius < 5.0)].mean()
  white = brightness[(radius > 6.3) & (radius < 8.5)].mean()
  assert pupil < 0.03 < iris < 0.25 < 0.4 < white


def test_occlusion(model):
  assert model.occlusion.min() >= 0.1 and model.occlusion.max() <= 1
  forehead, nose_tip, under_nose, under_chin = model.occlusion[
    vertices_near(model, (0, 35, 0), (0, -38, 26), (0, -50, 8), (0, -121, -40))
  ]
  assert forehead > 0.9 and nose_tip > 0.9
  assert under_nose < 0.75 and under_chin < 0.8


def test_sculpting_again_gives_the_same_bits(model):
  again = sculpture.sculpt()
  np.testing.assert_array_equal(again.points.astype(np.float32), model.mean)
  np.testing.assert_array_equal(again.triangles, model.triangles)
  motions, names = expression.basis(again)
  assert names == model.expression_names
  largest = np.abs(motions).max(axis=(0, 1), keepdims=True)
  # The archive keeps half precision.
  error = np.abs(motions - model.expression)
  assert (error <= 2.0**-11 * largest + 1e-6).all()
