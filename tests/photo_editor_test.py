"""Edits in a photograph, against the photograph of the edited face."""

import jax.numpy as jnp
import numpy as np
import pytest

from facerec_jax import photo_editor
from facerec_jax.photos import alignment
from facerec_jax.results import face_warp
from facerec_jax.synthesis import light_presets
from tests import reconstruct_test as scenes

SQUARE = alignment.Square(np.array([130.0, 120.5]), 150.0)


@pytest.fixture(scope="module")
def small_maps():
  """Smaller maps, as fast as tests want them."""
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(face_warp, "SIZE", 192)
    yield


@pytest.fixture(scope="module")
def scene(small_maps):
  model = scenes.fake_model.make(num_rings=8)
  code = scenes.framed_code(model)
  photo, points = scenes.photograph(model, code, SQUARE, 240, 260)
  editor = photo_editor.PhotoEditor(model, photo, code, SQUARE, points)
  return model, code, photo, editor


def inside(model, edited):
  """Where the photograph shows the face of an edit, and that photograph."""
  photo, _ = scenes.photograph(model, edited, SQUARE, 240, 260)
  other = edited.replace(illumination=0 * edited.illumination)
  black, _ = scenes.photograph(model, other, SQUARE, 240, 260)
  return photo, (black == 0).all(axis=-1)


def test_no_edit_returns_the_photograph(scene):
  model, code, photo, _ = scene
  noise = np.random.default_rng(0).integers(0, 256, photo.shape)
  noise = noise.astype(np.uint8)
  points = scenes.photograph(model, code, SQUARE, 240, 260)[1]
  editor = photo_editor.PhotoEditor(model, noise, code, SQUARE, points + 2.0)
  np.testing.assert_array_equal(editor.edited_photo(code), noise)
  np.testing.assert_array_equal(editor.edited_view(code, 64), editor.view(64))


def test_an_expression_moves_the_photograph_as_the_face_moves(scene):
  model, code, photo, editor = scene
  edited = code.replace(expression=jnp.array([2.0, -2.0, 2.0, 1.0]))
  wanted, face = inside(model, edited)
  result = editor.edited_photo(edited)
  before = np.abs(photo.astype(float) - wanted)[face].mean()
  after = np.abs(result.astype(float) - wanted)[face].mean()
  assert before > 1.0
  assert after < 0.6 * before, (before, after)
  far = np.ones(photo.shape[:2], bool)
  far[5:-5, 5:-5] = False
  np.testing.assert_array_equal(result[far], photo[far])


def test_edits_keep_the_perspective_of_the_photograph(scene):
  model, code, _, _ = scene
  edited = code.replace(expression=jnp.array([2.0, -2.0, 2.0, 1.0]))
  photo, wanted = (
    scenes.photograph(model, shown, SQUARE, 240, 260, degrees=8.0)[0]
    for shown in (code, edited)
  )
  known, unknown = (
    photo_editor.PhotoEditor(model, photo, code, SQUARE, **view)
    for view in ({"field_of_view": np.deg2rad(8.0)}, {})
  )
  differences = [
    np.abs(editor.edited_photo(edited).astype(float) - wanted).mean()
    for editor in (known, unknown)
  ]
  still = np.abs(photo.astype(float) - wanted).mean()
  assert differences[0] < 0.7 * still
  assert differences[0] < 0.9 * differences[1]


def test_light_changes_the_face_and_not_its_surroundings(scene):
  model, code, photo, editor = scene
  light = light_presets.by_name("left")
  light = light_presets.expose(light, model, code)
  edited = code.replace(illumination=light)
  wanted, face = inside(model, edited)
  result = editor.edited_photo(edited)
  before = np.abs(photo.astype(float) - wanted)[face].mean()
  after = np.abs(result.astype(float) - wanted)[face].mean()
  assert after < 0.6 * before, (before, after)
  outside = ~face
  changed = np.abs(result.astype(float) - photo)[outside].mean()
  assert changed < 1.0, changed


def test_a_face_that_leaves_the_photograph(scene):
  model, code, _, _ = scene
  square = alignment.Square(np.array([20.0, 30.0]), 120.0)
  photo, points = scenes.photograph(model, code, square, 80, 90)
  editor = photo_editor.PhotoEditor(model, photo, code, square, points)
  result = editor.edited_photo(code)
  np.testing.assert_array_equal(result, photo)


def test_fill_keeps_what_is_known_and_continues_it():
  rows, columns = np.mgrid[:96, :96]
  values = np.stack([rows, np.full_like(rows, 7)], axis=-1).astype(np.float32)
  known = np.hypot(rows - 48, columns - 48) < 20
  filled = face_warp.fill(np.where(known[..., None], values, 999), known)
  np.testing.assert_array_equal(filled[known], values[known])
  np.testing.assert_allclose(filled[..., 1], 7, atol=1e-3)
  # Up to the border it rises as inside.
  assert filled[48 - 24, 48, 0] < 36 < 60 < filled[48 + 24, 48, 0]
