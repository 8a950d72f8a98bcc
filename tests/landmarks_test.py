import cv2
import fake_model
import hypothesis
from hypothesis import strategies as st
import jax.numpy as jnp
import numpy as np
import pytest

from facerec_jax.face import landmarks


def _points(size=100.0):
  """Landmarks of a frontal face that fills an image of this size."""
  model = fake_model.make(num_rings=4)
  xy = np.asarray(model.mean)[np.asarray(model.landmarks), :2] * [1, -1]
  low, high = xy.min(0), xy.max(0)
  return (0.15 + 0.7 * (xy - low) / (high - low).max()) * size


@hypothesis.given(
  st.floats(0.1, 50), st.floats(-500, 500), st.floats(-500, 500)
)
@hypothesis.settings(max_examples=30, deadline=None)
def test_framing_follows_similarity(scale, x, y):
  points = _points()
  center, side = landmarks.framing(points)
  moved_center, moved_side = landmarks.framing(points * scale + [x, y])
  np.testing.assert_allclose(moved_center, center * scale + [x, y], rtol=1e-6)
  assert moved_side == pytest.approx(side * scale)


def test_framing_ignores_the_jaw_and_holds_the_face():
  points = _points()
  center, side = landmarks.framing(points)
  other = points.copy()
  other[:17] += 30
  np.testing.assert_array_equal(landmarks.framing(other)[0], center)
  assert (np.abs(points - center) < side / 2).all()


def test_framing_is_the_same_in_numpy_and_jax():
  points = _points()
  center, side = landmarks.framing(points)
  jax_center, jax_side = landmarks.framing(jnp.asarray(points))
  np.testing.assert_allclose(jax_center, center, rtol=1e-5)
  assert float(jax_side) == pytest.approx(float(side), rel=1e-5)


def test_mirror_is_an_involution_that_swaps_sides():
  mirror = np.array(landmarks.MIRROR)
  assert sorted(mirror) == list(range(68))
  np.testing.assert_array_equal(mirror[mirror], np.arange(68))
  xy = _points() - [50, 0]
  np.testing.assert_allclose((xy * [-1, 1])[mirror][:, 0], xy[:, 0], atol=6.0)


def test_groups_cover_all_points_once():
  indices = sum(landmarks.GROUPS.values(), ())
  assert sorted(indices) == list(range(landmarks.NUM_LANDMARKS))


def test_normalized_error_has_a_known_value():
  points = _points()
  canthal = np.linalg.norm(points[36] - points[45])
  got = landmarks.normalized_mean_error(points + [3.0, 4.0], points)
  assert float(got) == pytest.approx(5.0 / canthal, rel=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_polygon_mask_agrees_with_opencv(seed):
  rng = np.random.default_rng(seed)
  angles = np.sort(rng.uniform(0, 2 * np.pi, 12))
  radius = rng.uniform(8, 28, 12)
  polygon = 32 + radius[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1)
  got = landmarks.polygon_mask(jnp.asarray(polygon), height=64, width=64)
  contour = polygon.astype(np.float32)[:, None]
  signed = np.array(
    [
      [
        cv2.pointPolygonTest(contour, (c + 0.5, r + 0.5), True)
        for c in range(64)
      ]
      for r in range(64)
    ]
  )
  clear = np.abs(signed) > 1e-3
  np.testing.assert_array_equal(np.asarray(got)[clear], (signed > 0)[clear])


def test_hull_mask_has_the_face_without_the_open_mouth():
  points = _points()
  points[65:68, 1] += 8  # opens the mouth
  mask = np.asarray(landmarks.hull_mask(points, height=100, width=100))

  def at(point):
    column, row = np.floor(point).astype(int)
    return mask[row, column]

  assert at(points[30])  # tip of the nose
  assert at(points[36:42].mean(0)) and at(points[8] - [0, 3])
  assert not at(points[60:68].mean(0))
  assert not at([2, 2]) and not at(points[8] + [0, 5])


# --- the jaw on the outline


def _slid(turn, shift=(0.0, 0.0)):
  """Jaw points, each with a neighbour farther out and one farther in."""
  points = _points()
  outward = np.sign(np.arange(17) - 8.0)[:, None] * [5.0, 0.0]
  jaw = points[:17]
  lines = np.stack([jaw, jaw + outward, jaw - outward], axis=1)
  rotation = np.array(
    [[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]
  )
  return points @ rotation + shift, lines @ rotation + shift


@hypothesis.given(st.floats(-1.0, 1.0), st.floats(-50, 50))
@hypothesis.settings(max_examples=20, deadline=None)
def test_jaw_points_slide_to_the_outermost_vertex(turn, shift):
  """Also in a tilted head; the chin and the other points stay."""
  points, lines = _slid(turn, (shift, -shift))
  found = np.asarray(landmarks.on_contour(points, lines))
  beside = np.arange(17) != 8
  np.testing.assert_allclose(found[:17][beside], lines[beside, 1], atol=1e-3)
  np.testing.assert_allclose(found[8], points[8], atol=1e-3)
  np.testing.assert_allclose(found[17:], points[17:], atol=1e-3)


def test_lines_run_inward_over_skin_from_each_jaw_point():
  model = fake_model.make(num_rings=12)
  mean, places = np.asarray(model.mean), np.asarray(model.landmarks)
  skin = np.arange(len(mean)) % 3 > 0
  lines = landmarks.contour_lines(mean, skin, places)
  np.testing.assert_array_equal(lines[:, 0], places[:17])
  for place, line in zip(places[:17], lines, strict=True):
    others = line[line != place]
    assert skin[others].all()
    assert (mean[others, 2] > mean[place, 2]).all()
    assert (np.abs(mean[others, 1] - mean[place, 1]) < 4).all()
    assert (mean[others, 0] * mean[place, 0] > 0).all()
  assert len(set(lines[0])) > 2
