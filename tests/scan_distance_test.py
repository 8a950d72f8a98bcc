"""NoW-style distances: known motions, known offsets, the benchmark's rules."""

import numpy as np
import pytest
from scipy.spatial import transform

from facerec_jax.evaluation import scan_distance
from facerec_jax.evaluation import scan_sampling
from facerec_jax.model_files import surface
from tests import fake_model


@pytest.fixture(scope="module")
def face():
  """(points [V, 3], triangles, landmarks [7, 3]) of the generated face."""
  model = fake_model.make(num_rings=30)
  points, triangles = np.asarray(model.mean, float), np.asarray(model.triangles)
  # No slivers: the search for nearest triangles may miss them.
  corners = points[triangles]
  edges = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=-1)
  area = np.linalg.norm(
    np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]),
    axis=1,
  )
  triangles = triangles[area > 0.3 * edges.max(axis=1) ** 2]
  marks = np.asarray(model.landmarks)[list(scan_distance.LANDMARKS)]
  return points, triangles, points[marks]


@pytest.fixture(scope="module")
def scanned(face):
  """Even points on its surface."""
  points, triangles, _ = face
  return scan_sampling.sample_evenly(points, triangles, 3000)


def motion(seed, size=1.0):
  random = np.random.default_rng(seed)
  turn = transform.Rotation.random(random_state=seed).as_matrix()
  shift = random.normal(size=3) * 300
  return lambda x: size * x @ turn.T + shift


def exactly_zero(distance):
  """But for points that miss their nearest triangle on this coarse mesh."""
  return np.quantile(distance, 0.99) < 1e-6 and distance.max() < 0.3


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_rigid_motion_gives_no_error(face, scanned, seed):
  points, triangles, marks = face
  move = motion(seed)
  scan = scan_distance.Scan(move(scanned.at(points)), move(marks))
  for scale in (True, False):
    found = scan_distance.measure(
      scan_distance.Face(points, triangles, marks), scan, scale=scale
    )
    assert exactly_zero(found.distance)
    assert found.move.scale == pytest.approx(1.0, abs=1e-6)


def test_another_size_is_an_error_of_the_metrical_rule_alone(face, scanned):
  points, triangles, marks = face
  move = motion(3, size=1.08)
  scan = scan_distance.Scan(move(scanned.at(points)), move(marks))
  own = scan_distance.Face(points, triangles, marks)
  scaled = scan_distance.measure(own, scan, scale=True)
  metrical = scan_distance.measure(own, scan, scale=False)
  assert exactly_zero(scaled.distance)
  assert scaled.move.scale == pytest.approx(1.08, rel=1e-6)
  assert metrical.move.scale == 1.0
  assert 1.0 < metrical.distance.mean() < 5.0


def test_wrong_landmarks_are_made_up_for(face, scanned):
  """The surface decides: landmarks only start the alignment."""
  points, triangles, marks = face
  move = motion(5)
  random = np.random.default_rng(0)
  found = scan_distance.measure(
    scan_distance.Face(points, triangles, marks + random.normal(size=(7, 3))),
    scan_distance.Scan(move(scanned.at(points)), move(marks)),
    scale=False,
  )
  assert found.distance.mean() < 0.02


def test_an_offset_surface_lies_at_that_distance(face, scanned):
  """Bumps of known height, in and out: no rigid motion can undo them."""
  points, triangles, marks = face
  owner = surface.Surface(points, triangles, turn=0.0)
  on = scanned.at(points)
  height = np.where(np.arange(len(on)) % 2, 1.5, -1.5)
  facets = np.cross(
    points[scanned.corners[:, 1]] - points[scanned.corners[:, 0]],
    points[scanned.corners[:, 2]] - points[scanned.corners[:, 0]],
  )
  scan = scan_distance.Scan(on + height[:, None] * surface.unit(facets), marks)
  found = scan_distance.measure(
    scan_distance.Face(points, triangles, marks), scan, scale=True
  )
  assert np.median(found.distance) == pytest.approx(1.5, abs=0.02)
  assert found.distance.mean() == pytest.approx(1.5, abs=0.03)
  assert owner.closest(scan.points[:5]).points.shape == (5, 3)


def test_alignment_is_not_worse_than_the_landmarks_alone(face, scanned):
  points, triangles, marks = face
  random = np.random.default_rng(1)
  swollen = points + 4.0 * np.sin(points[:, [1, 2, 0]] / 25.0)
  scan = scan_distance.Scan(
    scanned.at(swollen), marks + random.normal(size=(7, 3))
  )
  own = scan_distance.Face(points, triangles, marks)
  start = scan_distance.correspondence.fit_similarity(
    marks, scan.landmarks, scale=False
  )
  found = scan_distance.measure(own, scan, scale=False)
  few = scan.points[found.index]
  before = own.closest((few - start.shift) @ start.rotation).points
  before = np.linalg.norm(start(before) - few, axis=1)
  assert (found.distance**2).mean() < 0.9 * (before**2).mean()


def test_the_crop_is_the_benchmarks_sphere(face):
  _, _, marks = face
  center, radius = scan_distance.sphere(marks)
  bridge = 0.5 * (marks[1] + marks[2])
  up = np.linalg.norm(bridge - marks[4])
  assert np.linalg.norm(center - marks[4]) == pytest.approx(0.3 * up)
  outer = np.linalg.norm(marks[0] - marks[3])
  assert radius == pytest.approx(0.7 * (outer + up))


def test_only_points_of_the_sphere_count(face, scanned):
  points, triangles, marks = face
  center, radius = scan_distance.sphere(marks)
  on = scanned.at(points)
  far = center + [0.0, 0.0, 1.01 * radius]
  scan = scan_distance.Scan(np.vstack([on, [far] * 50]), marks)
  found = scan_distance.measure(
    scan_distance.Face(points, triangles, marks), scan, scale=True
  )
  assert found.index.max() < len(on)
  inside = np.linalg.norm(on - center, axis=1) <= radius
  np.testing.assert_array_equal(found.index, np.flatnonzero(inside))


def test_a_scan_elsewhere_is_refused(face):
  points, triangles, marks = face
  with pytest.raises(ValueError, match="in the frame and unit of its mesh"):
    scan_distance.measure(
      scan_distance.Face(points, triangles, marks),
      scan_distance.Scan(points + 5000.0, marks),
      scale=True,
    )


def test_closest_places_are_those_of_brute_force(face):
  points, triangles, marks = face
  random = np.random.default_rng(2)
  center, radius = scan_distance.sphere(marks)
  asked = center + random.normal(size=(40, 3)) * 0.4 * radius
  asked[:, 2] = np.abs(asked[:, 2])
  found = scan_distance.Face(points, triangles, marks).closest(asked).points
  corners = points[triangles]
  for point, place in zip(asked, found, strict=True):
    repeated = np.repeat(point[None], len(corners), axis=0)
    weights = surface.closest_weights(repeated, corners)
    every = (corners * weights[..., None]).sum(axis=1)
    least = np.linalg.norm(every - point, axis=1).min()
    assert np.linalg.norm(place - point) == pytest.approx(least, abs=0.05)


def test_samples_are_even_and_on_the_surface():
  points = np.array([[0, 0, 0], [4.0, 0, 0], [0, 3, 0], [40, 0, 0], [0, 30, 0]])
  triangles = np.array([[0, 1, 2], [0, 3, 4]])
  samples = scan_sampling.sample_evenly(points, triangles, 20_000)
  np.testing.assert_allclose(samples.shares.sum(axis=1), 1)
  assert (samples.shares >= 0).all()
  small = (samples.corners == triangles[0]).all(axis=1).mean()
  assert small == pytest.approx(1 / 101, abs=0.003)
  # The mean of an evenly covered triangle is its centroid.
  places = samples.at(points)[(samples.corners == triangles[1]).all(axis=1)]
  np.testing.assert_allclose(places.mean(axis=0), [40 / 3, 10, 0], atol=0.2)
