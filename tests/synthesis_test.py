import dataclasses
import functools

import fake_model
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facerec_jax.face import code_vector
from facerec_jax.face import landmarks
from facerec_jax.render import color
from facerec_jax.render import geometry
from facerec_jax.render import renderer
from facerec_jax.synthesis import code_bank
from facerec_jax.synthesis import priors
from facerec_jax.synthesis import synthesis

_SIZE = 40
_LAYOUT = code_vector.CodeLayout(5, 4, 3)
_PLAIN = synthesis.Options(
  background=False,
  field_of_view_spread=0.0,
  blur=0.0,
  gain_spread=0.0,
  cast_spread=0.0,
  noise=0.0,
  grey_share=0.0,
)


@pytest.fixture(scope="module")
def scene():
  model = jax.device_put(fake_model.make(num_rings=8))
  bank = priors.make_bank(
    jax.random.key(0),
    model,
    _LAYOUT,
    camera=geometry.reference_camera(_SIZE),
    size=64,
  )
  return model, bank


@functools.cache
def _jitted(options):
  return jax.jit(
    functools.partial(
      synthesis.synthesize_batch,
      layout=_LAYOUT,
      image_size=_SIZE,
      options=options,
    )
  )


def _batch(scene, indices, *, step=0, seed=0, options=synthesis.DEFAULT):
  examples = _jitted(options)(
    jax.random.key(seed), step, jnp.asarray(indices), *scene
  )
  return jax.device_get(examples)


def test_shapes_and_ranges(scene):
  batch = _batch(scene, range(6))
  assert batch.image.shape == (6, _SIZE, _SIZE, 3)
  assert batch.image.dtype == np.float32
  assert batch.code.shape == (6, _LAYOUT.size)
  assert batch.landmarks.shape == (6, 68, 2)
  assert batch.mask.shape == (6, _SIZE, _SIZE) and batch.mask.dtype == bool
  assert batch.image.min() >= 0 and batch.image.max() <= 1
  assert (batch.mask.mean(axis=(1, 2)) > 0.15).all()


def test_the_order_of_a_batch_does_not_change_an_image(scene):
  batch = _batch(scene, [0, 1, 2, 3, 4, 5])
  mixed = _batch(scene, [5, 3, 9, 0, 100, 3])
  for here, there in ((0, 5), (1, 3), (3, 0), (5, 3)):
    for name in synthesis.Example._fields:
      np.testing.assert_array_equal(
        getattr(mixed, name)[here], getattr(batch, name)[there]
      )


def test_the_size_of_a_batch_changes_rounding_at_most(scene):
  """Matrix products of another shape add up in another order."""
  batch = _batch(scene, range(6))
  for index in (0, 4):
    single = jax.tree.map(lambda x: x[0], _batch(scene, [index]))
    np.testing.assert_array_equal(single.code, batch.code[index])
    np.testing.assert_allclose(
      single.landmarks, batch.landmarks[index], atol=1e-3
    )
    # Rounding may move an outline across a pixel's centre.
    close = np.abs(single.image - batch.image[index]).max(axis=-1) < 1e-3
    assert close.mean() > 0.99


def test_seed_step_and_index_all_matter(scene):
  images = [
    _batch(scene, [index] * 6, step=step, seed=seed).image[0]
    for seed, step, index in (
      (0, 0, 0),
      (1, 0, 0),
      (0, 1, 0),
      (0, 0, 1),
    )
  ]
  for i, first in enumerate(images):
    for second in images[:i]:
      assert np.abs(first - second).mean() > 0.02


def test_nothing_leaves_the_device(scene):
  function = _jitted(synthesis.DEFAULT)
  arguments = (jax.random.key(0), jnp.int32(0), jnp.arange(6), *scene)
  text = str(jax.make_jaxpr(function)(*arguments))
  for word in ("callback", "infeed", "outfeed", "device_put"):
    assert word not in text
  arguments = jax.device_put(arguments)
  function(*arguments)
  with jax.transfer_guard("disallow"):
    jax.block_until_ready(function(*arguments))


def test_a_plain_image_is_the_rendering_of_its_code(scene):
  model, _ = scene
  batch = _batch(scene, range(6), options=_PLAIN)
  camera = geometry.reference_camera(_SIZE)
  render = jax.jit(
    functools.partial(renderer.render, height=_SIZE, width=_SIZE)
  )
  project = jax.jit(renderer.project_landmarks)
  for image, flat, points, mask in zip(*batch, strict=True):
    code = _LAYOUT.unflatten(jnp.asarray(flat))
    face = render(model, camera, code)
    expected = np.asarray(color.linear_to_srgb(face.image))
    assert (np.abs(image - expected).max(axis=-1) < 1e-3).mean() > 0.99
    assert (mask == np.asarray(face.mask)).mean() > 0.99
    expected = project(model, camera, code)
    np.testing.assert_allclose(points, expected, atol=1e-2)


def test_perspective_varies_but_not_the_place_of_the_face(scene):
  varied = dataclasses.replace(_PLAIN, field_of_view_spread=0.4)
  here = _batch(scene, range(6), options=_PLAIN)
  there = _batch(scene, range(6), options=varied)
  np.testing.assert_array_equal(here.code, there.code)
  distance = np.linalg.norm(here.landmarks - there.landmarks, axis=-1)
  assert distance.max() > 0.5
  (center, side), (moved, size) = (
    landmarks.framing(points) for points in (here.landmarks, there.landmarks)
  )
  assert np.abs(center - moved).max() < 0.02 * _SIZE
  assert np.abs(np.log(size / side)).max() < 0.2


def test_background_and_camera_leave_the_face_alone(scene):
  busy = dataclasses.replace(_PLAIN, background=True)
  plain = _batch(scene, range(6), options=_PLAIN)
  behind = _batch(scene, range(6), options=busy)
  np.testing.assert_allclose(
    behind.image[plain.mask], plain.image[plain.mask], atol=1e-5
  )
  assert (plain.image[~plain.mask] == 0).all()
  assert behind.image[~plain.mask].mean() > 0.1


def test_face_mask_cuts_as_photographs_are_cut(scene):
  cut = synthesis.Options(face_mask=True)
  batch = _batch(scene, range(6), options=cut)
  assert (batch.image[~batch.mask] == 0).all()
  assert batch.image[batch.mask].mean() > 0.1
  for points, mask in zip(batch.landmarks, batch.mask, strict=True):
    hull = landmarks.hull_mask(jnp.asarray(points), height=_SIZE, width=_SIZE)
    assert not (mask & ~np.asarray(hull)).any()
    assert mask.sum() > 0.9 * np.asarray(hull).sum()


def test_labels_include_the_noise_of_the_bank(scene):
  model, bank = scene
  noisy = code_bank.create(bank.centers[:1], jnp.full(_LAYOUT.size, 0.01))
  batch = _batch((model, noisy), range(6))
  offsets = batch.code - np.asarray(bank.centers[:1])
  assert 0.005 < offsets.std() < 0.02
  assert len(np.unique(offsets[:, 0])) == 6


def test_a_code_without_pose_and_light(scene):
  model, _ = scene
  layout = dataclasses.replace(
    _LAYOUT,
    rotation=0,
    translation=0,
    illumination=0,
    default_translation=(0.0, 35.0, -590.0),
  )
  bank = code_bank.create(np.zeros((2, layout.size)))
  make = functools.partial(
    synthesis.synthesize, layout=layout, image_size=_SIZE, options=_PLAIN
  )
  example = jax.jit(make)(jax.random.key(0), model, bank)
  center, side = landmarks.framing(example.landmarks)
  np.testing.assert_allclose(center, _SIZE / 2, atol=1.5)
  assert float(side) == pytest.approx(_SIZE, rel=0.05)


@pytest.mark.parametrize(
  ("fields", "message"),
  [
    (
      {"field_of_view": 70.0},
      r"^synthesis: field of view 70.0 and limits \(8.0, 60.0\), wanted 0 < ",
    ),
    ({"hair_share": 1.5}, "^synthesis: hair_share is 1.5, wanted 0 to 1$"),
    ({"noise": -0.1}, "^synthesis: noise is -0.1, wanted 0 or more$"),
  ],
)
def test_options_are_checked(fields, message):
  with pytest.raises(ValueError, match=message):
    synthesis.Options(**fields)


def test_options_from_a_config_are_hashable():
  options = synthesis.Options(field_of_view_limits=[10.0, 50.0])
  assert options.field_of_view_limits == (10.0, 50.0)
  assert hash(options) != hash(synthesis.DEFAULT)


@pytest.mark.parametrize(
  "options, message",
  [
    (dict(supersampling=1.5), "supersampling is 1.5, wanted a whole number"),
    (dict(rasterizer="gl"), "rasterizer is 'gl', wanted one of auto, xla"),
  ],
)
def test_wrong_options_of_rendering_are_refused(options, message):
  with pytest.raises(ValueError, match=message):
    synthesis.Options(**options)
