"""Tests of the built-in face: a sound mesh, and the measured numbers."""

from builtin_pictures import check_closed_surface
from builtin_pictures import render
from builtin_pictures import seen
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial import cKDTree

from facerec_jax import model_files
from facerec_jax.face import morphable_model
from facerec_jax.model_files.builtin import expression
from facerec_jax.model_files.builtin import identity_measures
from facerec_jax.model_files.builtin import landmark_places
from facerec_jax.model_files.builtin import measurements
from facerec_jax.model_files.builtin import sculpture
from facerec_jax.render import geometry


@pytest.fixture(scope="module")
def model():
  return jax.tree.map(np.asarray, model_files.load("builtin"))


@pytest.fixture(scope="module")
def whole():
  return sculpture.sculpt()


def edges(triangles):
  return np.vstack(
    [triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]
  )


def areas(points, triangles):
  a, b, c = (points[triangles[:, k]] for k in range(3))
  return 0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1)


# --- mesh


def test_sizes(model):
  assert 10_000 <= model.num_triangles <= 20_000
  assert model.identity.shape[-1] >= 80
  assert model.albedo.shape[-1] >= 30
  assert len(set(model.identity_names)) == model.identity.shape[-1]
  assert model.identity_names[0] == "sex"
  assert model.expression_kind == "blendshape"


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
  distance, mirror = cKDTree(model.mean).query(model.mean * [-1, 1, 1], k=2)
  assert distance[:, 0].max() < 2e-3
  # Where the lips meet, two vertices share a place.
  alone, mirror = distance[:, 1] > 2e-3, mirror[:, 0]
  # The hair line may differ.
  face = (model.region == 0) & (model.mean[:, 1] < 45)
  face &= alone & (np.abs(model.mean[:, 0]) < 45)
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
def test_measures_of_the_mean(whole, name):
  *ends, wanted = MEASURES[name]
  first, second = (
    whole.points[identity_measures.vertex(whole, end)] for end in ends
  )
  # Stomion lies 3 mm behind the place where lips touch a caliper.
  allowed = 0.08 if name == "upper lip" else 0.06
  assert np.linalg.norm(first - second) == pytest.approx(wanted, rel=allowed)


def test_tabled_landmarks_lie_on_the_face(whole):
  table = measurements.landmarks()[17:60]
  places = landmark_places.anatomical()[17:60]
  nearest = cKDTree(whole.mesh.opened).query(places)[1]
  error = np.linalg.norm(whole.head[nearest] - table, axis=1)
  # The skin is smoothed there and shaped by broad strokes.
  assert np.median(error) < 1.5 and error.max() < 4.0


def test_landmarks_are_near_the_tabled_ones(model):
  # Moved to where detectors see them.
  error = model.mean[model.landmarks] - measurements.landmarks()
  assert np.linalg.norm(error[17:, :2], axis=1).max() < 6.0


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


def test_lips_are_closed_in_random_neutral_people(model):
  random = np.random.default_rng(1)
  shape = (24, model.identity.shape[-1])
  people = np.clip(random.standard_normal(shape), -2.5, 2.5)
  ids, _ = render(model, identity=people.astype(np.float32))
  inside = seen(model, ids, "teeth", "mouth_interior")
  assert inside.sum(axis=(1, 2)).max() <= 12


# --- repetition


def test_sculpting_again_gives_the_same_bits(model, whole):
  again = sculpture.sculpt()
  np.testing.assert_array_equal(again.points, whole.points)
  # The archive may have been made with another number of BLAS threads.
  np.testing.assert_allclose(again.points, model.mean, atol=1e-5)
  np.testing.assert_array_equal(again.triangles, model.triangles)
  motions, names = expression.basis(again)
  assert names == model.expression_names
  largest = np.abs(motions).max(axis=(0, 1), keepdims=True)
  # The archive keeps half precision.
  error = np.abs(motions - model.expression)
  assert (error <= 2.0**-11 * largest + 1e-6).all()
