"""Textures: what a photograph shows comes back in the same pose, and nothing
of what it does not show is made up from its background."""

import cv2
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facerec_jax.face import code_vector
from facerec_jax.render import color
from facerec_jax.render import geometry
from facerec_jax.render import interpolation
from facerec_jax.render import rasterizer
from facerec_jax.render import renderer
from facerec_jax.results import atlas as atlases
from facerec_jax.results import bending
from facerec_jax.results import symmetry
from facerec_jax.results import texture
from facerec_jax.results import texture_layers
from tests import fake_model

PIXELS = 192
SIZE = 256
SIDES = 1.25
BACKGROUND = np.array([0.1, 0.2, 0.9])


@pytest.fixture(scope="module")
def model():
  """Named as a face without inner parts; a pattern makes places tell apart."""
  made = fake_model.make(num_rings=20, chart=True)
  x, y = np.asarray(made.mean)[:, :2].T
  pattern = 0.15 * np.sin(x / 9) * np.sin(y / 7)
  return made.replace(
    albedo_mean=jnp.asarray(made.albedo_mean + pattern[:, None], jnp.float32)
  )


def posed(yaw=0.0, **changes):
  neutral = code_vector.CodeLayout(5, 4, 3).neutral()
  return neutral.replace(
    rotation=jnp.array([0.05, yaw, 0.0]),
    translation=jnp.array([0.0, 60.0, -600.0]),
    **changes,
  )


def take(code, degrees):
  """Camera and code of a photograph whose square is seen under an angle."""
  focal, usual = (
    PIXELS / 2 / jnp.tan(jnp.deg2rad(angle) / 2) for angle in (degrees, 22.0)
  )
  camera = geometry.Camera(focal / SIDES, jnp.full(2, PIXELS / 2))
  x, y, z = code.translation
  moved = jnp.stack([x, y, z * focal / usual])
  return camera, code.replace(translation=moved)


@jax.jit
def shoot(model, code, degrees=22.0):
  camera, code = take(code, degrees)
  return renderer.render(model, camera, code, height=PIXELS, width=PIXELS)


def photograph(model, code, degrees=22.0, *, repaint=None):
  """A view of a face before a blue wall; `repaint` changes its colours."""
  full = shoot(model, code, degrees)
  image = np.asarray(color.linear_to_srgb(full.image))
  if repaint is not None:
    image = repaint(image)
  mask = np.asarray(full.mask)
  image = np.where(mask[..., None], image, BACKGROUND).astype(np.float32)
  return texture.View(
    image,
    np.ones_like(mask),
    SIDES,
    field_of_view=np.deg2rad(degrees),
  )


@jax.jit
def places(model, code, degrees):
  """Texture coordinates at each pixel, [P, P, 2], and where the face is."""
  camera, code = take(code, degrees)
  points = renderer.posed_vertices(model, code)
  screen = jnp.c_[geometry.project(camera, points), -points[:, 2]]
  ids = rasterizer.rasterize(
    screen, model.triangles, height=PIXELS, width=PIXELS
  )
  index = interpolation.visible_corners(model.triangles, ids, len(points))
  weights = interpolation.perspective_weights(screen.T, index, ids.shape)
  uv = interpolation.interpolate(model.uv.T, weights, index)
  return uv.T.reshape(PIXELS, PIXELS, 2), ids >= 0


def render_textured(model, code, image, degrees=22.0):
  uv, mask = map(np.asarray, places(model, code, degrees))
  columns, rows = uv[..., 0] * SIZE - 0.5, (1 - uv[..., 1]) * SIZE - 0.5
  seen = cv2.remap(image, columns, rows, cv2.INTER_LINEAR)
  return seen / 255, mask


def bake(model, code, view):
  return texture.bake(model, atlases.create(model), code, view, size=SIZE)


def center_of(mask, margin):
  """The mask without its border."""
  width = 2 * margin + 1
  return cv2.erode(mask.astype(np.uint8), np.ones((width, width))) > 0


@pytest.mark.parametrize("degrees", (22.0, 9.0))
def test_what_is_seen_comes_back_in_the_same_pose(model, degrees):
  code = posed(yaw=0.3)
  # Colours that the model's albedo does not have.
  view = photograph(
    model, code, degrees, repaint=lambda image: image[..., ::-1] ** 1.2
  )
  image = bake(model, code, view)
  seen, mask = render_textured(model, code, image, degrees)
  error = np.abs(seen - view.image).mean(axis=-1)
  # Between the eyes and the chin; the rest of the head is seldom photographed.
  face = np.asarray(shoot(model, code, degrees).normals)[..., 2] > 0.75
  face &= center_of(mask, 4)
  points = np.asarray(
    renderer.project_landmarks(model, *view.place(code)), np.float32
  )
  hull = np.zeros(mask.shape, np.uint8)
  cv2.fillConvexPoly(hull, cv2.convexHull(np.round(points[17:]).astype(int)), 1)
  face &= hull > 0
  assert face.sum() > 1500
  assert error[face].mean() < 0.006
  assert np.quantile(error[face], 0.99) < 0.04


def test_unseen_side_comes_from_the_other_one(model):
  code = posed(yaw=0.9)
  view = photograph(model, code, repaint=lambda image: image[..., ::-1])
  baked = bake(model, code, view)
  # The chart of this model is symmetric about its middle, and so is a face
  # whose other side is filled from the first.
  mean = np.asarray(model.mean)
  at = (np.abs(mean[:, 0]) > 15) & (np.abs(mean[:, 0]) < 40)
  at &= (mean[:, 1] > -70) & (mean[:, 1] < -10) & (mean[:, 2] > -40)
  uv = np.asarray(model.uv)[at]

  def sample(u, v):
    return baked[((1 - v) * SIZE).astype(int), (u * SIZE).astype(int)] / 255

  both = np.stack([sample(*uv.T), sample(1 - uv[:, 0], uv[:, 1])])
  assert at.sum() > 50
  # Both sides are bluish as photographed; the model's own colour is not.
  assert (both[..., 2] > both[..., 0]).mean() > 0.95
  difference = np.abs(both[0] - both[1])
  assert np.median(difference) < 0.08


def test_nothing_of_the_wall_gets_into_the_texture(model):
  code = posed(yaw=0.4)
  baked = bake(model, code, photograph(model, code)) / 255
  # The wall is far bluer than any skin.
  assert (baked[..., 2] < baked[..., 0] + 0.05).all()


def test_texture_is_bent_to_the_detected_points(model):
  code = posed()
  view = photograph(model, code)
  shift = np.array([6.0, -4.0])
  matrix = np.array([[1, 0, shift[0]], [0, 1, shift[1]]])
  moved = cv2.warpAffine(view.image, matrix, (PIXELS, PIXELS))
  points = np.asarray(renderer.project_landmarks(model, *view.place(code)))
  aside = view._replace(image=moved, landmarks=points + shift)
  straight = bake(model, code, view._replace(landmarks=points))
  difference = np.abs(bake(model, code, aside).astype(int) - straight)
  assert difference.mean() < 2.0
  wrong = bake(model, code, aside._replace(landmarks=points))
  assert np.abs(wrong.astype(int) - straight).mean() > 2 * difference.mean()


def test_inner_parts_keep_the_models_colours(model):
  code = posed()
  parted = model.replace(region_names=("skin", "teeth"))
  atlas = atlases.create(parted)
  view = photograph(model, code, repaint=lambda image: image * [1.0, 0.2, 0.2])
  baked = texture.bake(parted, atlas, code, view, size=SIZE) / 255
  teeth = atlas.uv[atlas.triangles[atlas.part == 2]].reshape(-1, 2)
  columns, rows = (teeth[:, 0] * SIZE, (1 - teeth[:, 1]) * SIZE)
  colors = baked[rows.astype(int), columns.astype(int)]
  # The photograph's skin is red, with a fifth of its green; they are not.
  assert np.median(colors[:, 1] / colors[:, 0]) > 0.4


def test_mirror_of_a_symmetric_and_of_any_mesh():
  model = fake_model.make(num_rings=8)
  partners = symmetry.partners(model)
  there = symmetry.at_partners(np.asarray(model.mean), partners)
  np.testing.assert_allclose(partners.weights.sum(axis=1), 1, atol=1e-6)
  distance = np.linalg.norm(there - np.asarray(model.mean) * [-1, 1, 1], axis=1)
  # The fake face is symmetric, its mesh is not: rings have steps of 10 mm.
  assert np.median(distance) < 1.0
  # Twice is once around.
  again = symmetry.at_partners(there, partners)
  assert np.median(np.linalg.norm(again - model.mean, axis=1)) < 1.0


@settings(max_examples=20, deadline=None)
@given(strategies.integers(0, 2**31))
def test_bending_meets_the_points_and_keeps_affine_maps(seed):
  rng = np.random.default_rng(seed)
  points = rng.uniform(20, 180, (68, 2))
  matrix, shift = 0.1 * rng.normal(size=(2, 2)), 5 * rng.normal(size=2)
  affine = points @ matrix + shift
  center = points[17:].mean(axis=0)
  places = center + 0.3 * (rng.uniform(20, 180, (50, 2)) - center)
  np.testing.assert_allclose(
    bending.displacement(points, affine, places),
    places @ matrix + shift,
    atol=1e-6,
  )
  # Far away it is as at the border: the straight continuation grows.
  far = bending.displacement(points, affine, center + [[1e5, 0.0]])
  assert np.abs(far).max() < 200


def test_extend_keeps_what_is_known_and_fills_with_it():
  rng = np.random.default_rng(0)
  values = rng.uniform(0.2, 0.4, (64, 64, 3)).astype(np.float32)
  known = np.zeros((64, 64), np.float32)
  known[20:30, 10:50] = 1
  filled = texture_layers.extend(values, known)
  at = known > 0
  np.testing.assert_allclose(filled[at], values[at], rtol=1e-5)
  assert filled.min() > 0.15 and filled.max() < 0.45
  # One colour stays that colour, everywhere.
  flat = texture_layers.extend(np.full_like(values, 0.3), known)
  np.testing.assert_allclose(flat, 0.3, rtol=1e-4)


def test_compose_leaves_no_seam():
  size = 128
  base = np.full((size, size, 3), 0.3, np.float32)
  layer = np.full((size, size, 3), 0.6, np.float32) * [1.0, 0.8, 0.5]
  share = np.zeros((size, size), np.float32)
  share[:, :64] = 1.0
  everywhere = np.ones((size, size), bool)
  mixed = texture_layers.compose(base, [(layer, share)], everywhere)
  np.testing.assert_allclose(mixed[:, :64], layer[:, :64], rtol=1e-4)
  steps = np.abs(np.diff(mixed, axis=1))
  assert steps.max() < 0.02
  nothing = texture_layers.compose(base, [(layer, 0 * share)], everywhere)
  np.testing.assert_array_equal(nothing, base)
