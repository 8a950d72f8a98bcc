"""The measuring code of the face's judges, against known answers."""

import pathlib
import sys

import fake_model
import numpy as np
import pytest

from facerec_jax.face import morphable_model

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "experiments"))

from judges import error_map
from judges import fitting
from judges import geometry
from judges import goals
from judges import intersections
from judges import openings
from judges import recognition
from judges import registration
from judges import soundness
from judges import surfaces
from judges import targets

TURN = np.array(
  [[0.96, -0.28, 0.0], [0.28, 0.96, 0.0], [0.0, 0.0, 1.0]]
)  # 16 degrees
SHIFT = np.array([8.0, -5.0, 12.0])


def sphere(radius=80.0, rings=40):
  """A closed triangulated sphere, outward triangles."""
  theta = np.linspace(0, np.pi, rings + 1)[1:-1]
  phi = np.linspace(0, 2 * np.pi, 2 * rings, endpoint=False)
  t, p = np.meshgrid(theta, phi, indexing="ij")
  round_ = np.stack([np.sin(t) * np.cos(p), np.sin(t) * np.sin(p), np.cos(t)])
  points = np.vstack([round_.reshape(3, -1).T, [[0, 0, 1], [0, 0, -1]]])
  size, count = 2 * rings, len(theta)
  index = np.arange(count * size).reshape(count, size)
  right = np.roll(index, -1, axis=1)
  top, bottom = count * size, count * size + 1
  triangles = [
    np.stack([index[:-1], index[1:], right[1:]], -1).reshape(-1, 3),
    np.stack([index[:-1], right[1:], right[:-1]], -1).reshape(-1, 3),
    np.stack([np.full(size, top), index[0], right[0]], -1),
    np.stack([np.full(size, bottom), right[-1], index[-1]], -1),
  ]
  return radius * points, np.vstack(triangles)


# --- distances


def test_closest_point_on_a_triangle_matches_brute_force():
  random = np.random.default_rng(0)
  corners = random.normal(size=(30, 3, 3))
  points = 2 * random.normal(size=(30, 3))
  weights = surfaces.closest_on_triangle(points, corners)
  got = np.einsum("nc,ncd->nd", weights, corners)
  u, v = np.random.default_rng(1).random((2, 20_000))
  u, v = np.where(u + v > 1, 1 - u, u), np.where(u + v > 1, 1 - v, v)
  many = np.stack([1 - u - v, u, v], axis=1) @ corners
  best = np.linalg.norm(many - points[:, None], axis=-1).min(axis=1)
  distance = np.linalg.norm(got - points, axis=1)
  assert (weights >= -1e-12).all()
  np.testing.assert_allclose(weights.sum(axis=1), 1)
  assert (distance <= best + 1e-12).all()
  np.testing.assert_allclose(distance, best, atol=0.03)


@pytest.mark.parametrize("grown", [1.0, -1.0])
def test_signed_distance_of_an_inflated_sphere(grown):
  points, triangles = sphere(rings=60)
  surface = surfaces.Surface(points, triangles)
  normals = surfaces.vertex_normals(points, triangles)
  np.testing.assert_allclose(
    surface.signed_distance(points + grown * normals), grown, atol=5e-3
  )


def test_rigid_motion_is_recovered():
  points = np.random.default_rng(2).normal(size=(20, 3))
  rotation, shift = registration.rigid_motion(points, points @ TURN.T + SHIFT)
  np.testing.assert_allclose(rotation, TURN, atol=1e-9)
  np.testing.assert_allclose(shift, SHIFT, atol=1e-9)


# --- comparison of means


@pytest.fixture(scope="module")
def bumpy():
  """A model of one region: a sphere with bumps that fix its rotation."""
  points, triangles = sphere(75.0)
  x, y, z = points.T / 75.0
  radius = 1 + 0.08 * np.sin(3 * x + 1) * np.cos(4 * y) + 0.05 * z * x
  points = radius[:, None] * points + [0, -35, -20]
  normals = surfaces.vertex_normals(points, triangles)
  mode = np.cos(points[:, 1] / 15)[:, None] * normals
  other = np.sin(points[:, 0] / 20)[:, None] * normals
  front = np.argsort(-points[:, 2])[:68]
  return morphable_model.create(
    mean=points,
    identity=np.stack([mode, other], axis=-1),
    expression=np.zeros((len(points), 3, 1)),
    albedo_mean=np.full((len(points), 3), 0.5),
    albedo=np.zeros((len(points), 3, 1)),
    triangles=triangles,
    landmarks=front,
  )


def family(model, points):
  """Faces with the model's topology, landmarks known."""
  moved = points @ TURN.T + SHIFT
  return targets.Family(
    name="own",
    mean=moved,
    triangles=np.asarray(model.triangles),
    visible=np.arange(len(points)),
    landmarks=np.asarray(model.landmarks)[17:],
    faces=moved[None],
  )


def test_a_rigidly_moved_copy_does_not_differ(bumpy):
  copy = np.asarray(bumpy.mean, float)
  found = geometry.compare(bumpy, family(bumpy, copy)).numbers()
  assert found["mean_rms"] < 1e-3
  assert found["mean_normal_angle"] < 0.1


def test_an_inflated_copy_differs_by_its_thickness(bumpy):
  points = np.asarray(bumpy.mean, float)
  normals = surfaces.vertex_normals(points, np.asarray(bumpy.triangles))
  found = geometry.compare(bumpy, family(bumpy, points + normals))
  # Part of a constant offset is a translation: the face is one side only.
  assert 0.2 < found.numbers()["mean_rms"] < 1.05
  assert found.angle.max() < 10


def test_a_person_of_the_model_is_fitted(bumpy):
  truth = np.array([1.2, -0.8])
  person = np.asarray(bumpy.mean, float) + bumpy.identity @ truth
  fitter = fitting.Fitter(
    bumpy, geometry.skin_triangles(bumpy), geometry.face_region
  )
  own = family(bumpy, person)
  points, before = fitter.place(
    own.faces[0][::2], geometry.start(own.faces[0], own, bumpy)
  )
  fit = fitter.fit(points)
  assert before > 0.3
  assert fit.rms < 0.1
  np.testing.assert_allclose(fit.coefficients, truth, atol=0.15)
  assert fitter.fit(points, 1).rms > 2 * fit.rms


def test_region_leaves_out_eyes_mouth_and_ears():
  places = np.array(
    [
      [31, -4.6, -10],
      [0, -70.9, 8],
      [7.5, -45, 10],
      [70, -10, -90],
      [35, -35, -8],
    ]
  )
  assert geometry.face_region(places).tolist() == [False] * 4 + [True]


def test_error_table_averages_both_sides():
  places = np.array([[5, 40, 0]] * 3 + [[-5, 40, 0]] * 3 + [[65, -111, 0]] * 3)
  error = np.array([1.0] * 3 + [2.0] * 3 + [-4.0] * 3)
  means = error_map.cell_means(places, error)
  assert means.shape == (16, 7)
  assert means[0, 0] == 1.5
  assert means[-1, -1] == -4.0
  assert np.isfinite(means).sum() == 2


def test_visible_vertices_are_those_in_front():
  points, triangles = sphere()
  seen = targets.visible_vertices(points, triangles)
  azimuth = np.rad2deg(np.arctan2(points[:, 0], points[:, 2]))
  hidden = np.setdiff1d(np.arange(len(points)), seen)
  assert np.abs(azimuth[seen]).max() < 160
  assert (np.abs(azimuth[hidden]) > 120).mean() > 0.9


# --- soundness


def test_a_puncture_is_found():
  mask = np.zeros((20, 20), bool)
  mask[4:16, 4:16] = True
  assert soundness.holes(mask) == 0
  mask[8, 9:11] = False
  assert soundness.holes(mask) == 2
  mask[4:9, 9] = False  # now open to the outside
  assert soundness.holes(mask) == 0


def test_a_punctured_mesh_is_found():
  points, triangles = sphere()
  near = np.linalg.norm(points[triangles].mean(axis=1) - [0, 0, 80], axis=1)
  found = soundness.hole_pixels({"sphere": points}, triangles.astype(np.int32))
  assert found == {"sphere": 0}
  # A closed back would show through from inside only: it is not drawn.
  punctured = triangles[near > 12].astype(np.int32)
  assert soundness.hole_pixels({"sphere": points}, punctured)["sphere"] > 100


def test_two_crossing_triangles_are_found():
  points = np.array(
    [[0, 0, 0], [4, 0, 0], [0, 4, 0], [1, 1, -1], [1, 1, 1], [1, 3, 2.0]]
  )
  triangles = np.array([[0, 1, 2], [3, 4, 5]])
  assert intersections.self_intersections(points, triangles).tolist() == [
    [0, 1]
  ]
  lifted = points + np.repeat([[0, 0, 0], [0, 0, 1.01]], 3, axis=0)
  assert len(intersections.self_intersections(lifted, triangles)) == 0


def test_intersections_match_brute_force_sampling():
  random = np.random.default_rng(3)
  points = random.random((90, 3)) * 10
  triangles = np.arange(90).reshape(30, 3)
  got = set(map(tuple, intersections.self_intersections(points, triangles)))
  wanted = {
    (i, k)
    for i in range(30)
    for k in range(i + 1, 30)
    if _cross(points[triangles[i]], points[triangles[k]])
  }
  # Sampling misses grazing cuts; it finds no cut that is not there.
  assert wanted <= got
  assert len(got - wanted) <= 0.1 * len(got)


def _cross(first, second):
  """Whether dense samples of edges change sides within the other triangle."""
  for one, other in ((first, second), (second, first)):
    normal = np.cross(other[1] - other[0], other[2] - other[0])
    for k in range(3):
      t = np.linspace(0, 1, 2001)[:, None]
      line = one[k] + t * (one[(k + 1) % 3] - one[k])
      change = np.flatnonzero(np.diff(np.sign((line - other[0]) @ normal)))
      for at in change:
        basis = np.stack([other[1] - other[0], other[2] - other[0], normal])
        u, v, _ = np.linalg.solve(basis.T, line[at] - other[0])
        if u > 0.01 and v > 0.01 and u + v < 0.99:
          return True
  return False


def test_a_sphere_does_not_cut_itself_and_a_turned_inside_out_part_does():
  points, triangles = sphere(rings=20)
  assert len(intersections.self_intersections(points, triangles)) == 0
  pushed = points.copy()
  pushed[points[:, 2] > 60, 2] -= 160
  assert len(intersections.self_intersections(pushed, triangles)) > 10


def test_gap_of_an_opened_slit():
  x = np.linspace(-20, 20, 21)
  upper = np.column_stack([x, 0.0 * x, 0 * x])
  lower = upper[-2:0:-1]
  rest = np.vstack([upper, lower])
  loop = np.arange(len(rest))
  assert openings.gap(rest, loop, rest) == pytest.approx(0, abs=1e-12)
  opened = rest.copy()
  opened[10, 1] += 1.5
  assert openings.gap(opened, loop, rest) == pytest.approx(1.5)


def test_turned_triangles():
  points, triangles = sphere(rings=10)
  turned = openings.turned_triangles(points, points * [1, 1, -1], triangles)
  assert 0 < turned.mean() < 1
  assert not openings.turned_triangles(points, points @ TURN.T, triangles).any()


def test_loops_of_the_opening_are_found():
  points, triangles = sphere(rings=12)
  region = np.where(points[:, 2] > 60, 1, 0)
  region[points[:, 2] < -60] = 2
  (loop,) = openings.opening_loops(triangles, region == 0, region, 1)
  heights = points[loop][:, 2]
  assert len(loop) == 24 and len(set(loop.tolist())) == 24
  assert 30 < heights.min() <= heights.max() <= 60


def test_soundness_runs_on_a_model_without_parts():
  model = fake_model.make()
  numbers, notes = soundness.judge(model)
  assert numbers["hole_pixels"] == 0
  assert notes


# --- recognition


def test_area_under_curve_on_known_numbers():
  assert recognition.area_under_curve([0.1, 0.2], [0.3, 0.4]) == 1.0
  assert recognition.area_under_curve([0.3, 0.4], [0.1, 0.2]) == 0.0
  assert recognition.area_under_curve([0.1, 0.3], [0.2, 0.4]) == 0.75
  assert recognition.area_under_curve([0.2], [0.2]) == 0.5


def test_pairs_leave_out_faces_that_were_not_found():
  described = np.zeros((4, 128))
  described[:, 0] = [0.0, 0.1, 1.0, np.nan]
  found = recognition.pairs(described, [0, 0, 1, 1])
  np.testing.assert_allclose(found.same, [0.1])
  np.testing.assert_allclose(found.different, [1.0, 0.9])


# --- goals


def test_table_says_what_fails():
  wanted = {"a": goals.at_least(99), "b": goals.at_most(2)}
  numbers = {"a": 98.9, "b": 1.0, "c": 5.0}
  assert goals.failures(numbers, wanted) == ["a"]
  first, second, third = goals.table(numbers, wanted).splitlines()
  assert first.endswith(">= 99      FAIL")
  assert second.endswith("ok")
  assert third.endswith("5.000")
  assert not goals.at_most(1).reached(float("nan"))


def test_scanned_means(data_folder):
  ict = targets.ict(data_folder, count=1)
  assert 3000 < len(ict.visible) < len(ict.mean)
  # ICT against itself, as a model.
  own = morphable_model.create(
    mean=ict.mean - ict.mean[ict.landmarks[10]],
    identity=np.zeros((len(ict.mean), 3, 1)),
    expression=np.zeros((len(ict.mean), 3, 1)),
    albedo_mean=np.full((len(ict.mean), 3), 0.5),
    albedo=np.zeros((len(ict.mean), 3, 1)),
    triangles=ict.triangles,
    landmarks=np.concatenate([np.zeros(17, int), ict.landmarks]),
  )
  assert geometry.compare(own, ict).numbers()["mean_rms"] < 1e-3
