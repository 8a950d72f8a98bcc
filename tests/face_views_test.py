"""Views of a face: in place, without albedo, turned."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facerec_jax.face import code_vector
from facerec_jax.face import landmarks
from facerec_jax.render import geometry
from facerec_jax.render import renderer
from facerec_jax.results import face_views
from tests import fake_model

SIZE = face_views.VIEW_SIZE


@pytest.fixture(scope="module")
def model():
  return fake_model.make(num_rings=8)


@pytest.fixture(scope="module")
def code():
  layout = code_vector.CodeLayout(5, 4, 3, default_translation=(15, 25, -600.0))
  neutral = layout.neutral()
  return neutral.replace(
    rotation=jnp.array([0.05, -0.2, 0.1]),
    illumination=neutral.illumination * 0.8,
  )


@pytest.fixture(scope="module")
def views(model, code):
  return face_views.draw(model, code)


def test_view_is_the_reference_image_with_a_margin(model, code, views):
  # The crop in the middle of the view, rendered by the reference camera.
  size = round(SIZE / face_views.VIEW_SIDES)
  direct = jax.jit(functools.partial(renderer.render, height=size, width=size))(
    model, geometry.reference_camera(size), code
  )
  first = (SIZE - size) // 2
  middle = views.rendering.alpha[first : first + size, first : first + size]
  different = np.abs(middle - np.asarray(direct.mask)) > 0.5
  # Rounding the margin moves edges by a pixel at most.
  assert different.sum() < 0.02 * direct.mask.sum()
  assert direct.mask.sum() > 0.1 * size**2


def test_edges_are_soft_and_the_inside_is_covered(views):
  alpha = views.rendering.alpha
  assert set(np.unique(alpha)) == {0, 0.25, 0.5, 0.75, 1}
  assert (alpha == 1).mean() > 0.1
  for view in views:
    assert view.image.shape == (SIZE, SIZE, 3) and view.alpha.shape == (
      SIZE,
      SIZE,
    )
    assert np.isfinite(view.image).all()


def test_soft_edges_are_no_darker_than_the_face(views):
  # White furnace: nothing of the face is darker than its darkest albedo.
  edge = (views.rendering.alpha > 0) & (views.rendering.alpha < 1)
  inside = views.rendering.alpha == 1
  darkest = views.rendering.image[inside].min(axis=0)
  assert (views.rendering.image[edge] >= darkest - 0.02).all()


def test_geometry_has_the_place_but_no_albedo(model, code, views):
  np.testing.assert_array_equal(views.geometry.alpha, views.rendering.alpha)
  grey = views.geometry.image
  np.testing.assert_allclose(grey[..., 0], grey[..., 2], atol=1e-5)
  painted = code.replace(
    albedo=jnp.array([2.0, -1.0, 1.0]), illumination=code.illumination * 0.3
  )
  other = face_views.draw(model, painted)
  np.testing.assert_array_equal(other.geometry.image, grey)
  np.testing.assert_array_equal(other.face.alpha, views.face.alpha)
  assert np.abs(other.rendering.image - views.rendering.image).max() > 0.1


def test_face_lies_within_its_outline(model, code, views):
  full = geometry.reference_camera(SIZE)
  camera = full.replace(focal=full.focal / face_views.VIEW_SIDES)
  points = jax.jit(renderer.project_landmarks)(model, camera, code)
  outline = np.asarray(
    landmarks.polygon_mask(
      landmarks.face_outline(points), height=SIZE, width=SIZE
    )
  )
  covered = views.face.alpha > 0.5
  assert (covered & outline).sum() > 0.97 * covered.sum()
  nose = np.asarray(points[30]).astype(int)
  assert views.face.alpha[nose[1], nose[0]] > 0.99


def lip_column(view):
  """Mean column of the lips less that of the face: red without green."""
  ratio = view.image[..., 0] / np.maximum(view.image[..., 1], 1e-3)
  columns = np.arange(SIZE)[None] + np.zeros((SIZE, 1))
  lips = (view.alpha == 1) & (ratio > 1.37)
  assert lips.sum() > 50
  return columns[lips].mean() - columns[view.alpha == 1].mean()


def test_turned_views_turn_where_they_say(views):
  assert lip_column(views.right) > 0.05 * SIZE
  assert lip_column(views.left) < -0.05 * SIZE


def test_turned_views_are_centred_whole_and_forget_the_pose(model, code, views):
  other = face_views.draw(
    model,
    code.replace(
      rotation=jnp.zeros(3), translation=jnp.array([90.0, -40.0, -900.0])
    ),
  )
  for name in ("left", "right"):
    view = getattr(views, name)
    np.testing.assert_allclose(
      getattr(other, name).image, view.image, atol=1e-4
    )
    covered = np.argwhere(view.alpha > 0)
    assert covered.min() > 0 and covered.max() < SIZE - 1
    middle = 0.5 * (covered.min(axis=0) + covered.max(axis=0))
    np.testing.assert_allclose(middle, SIZE / 2, atol=0.08 * SIZE)


def test_photometric_error(views):
  view = views.rendering
  assert face_views.photometric_error(view.image, view) == 0
  shifted = view.image + 0.25
  assert face_views.photometric_error(shifted, view) == pytest.approx(0.25)
  # Outside of the face nothing counts.
  noisy = np.where((view.alpha > 0.5)[..., None], view.image, 0.7)
  assert face_views.photometric_error(noisy, view) == 0
  empty = view._replace(alpha=np.zeros_like(view.alpha))
  assert np.isnan(face_views.photometric_error(view.image, empty))


def test_over_shows_background_and_face(views):
  view = views.rendering
  green = np.zeros_like(view.image) + [0, 1, 0]
  shown = view.over(green)
  assert (shown[view.alpha == 0] == [0, 255, 0]).all()
  np.testing.assert_allclose(
    shown[view.alpha == 1] / 255,
    view.image[view.alpha == 1],
    atol=0.5 / 255 + 1e-6,
  )
