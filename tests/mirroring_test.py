"""A mirrored code is rendered as the flipped image."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facerec_jax import model_files
from facerec_jax.face import code_vector
from facerec_jax.face import landmarks
from facerec_jax.face import mirroring
from facerec_jax.face import morphable_model
from facerec_jax.render import geometry
from facerec_jax.render import renderer
from facerec_jax.synthesis import priors

_SIZE = 64


@pytest.fixture(scope="module")
def model():
  """With all identity modes, of which some are antisymmetric."""
  return model_files.load("builtin")


@pytest.fixture(scope="module")
def mirror(model):
  return mirroring.create(model)


@pytest.fixture(scope="module")
def codes(model):
  """Eight random faces."""
  layout = code_vector.CodeLayout(112, 47, 68)
  bank = priors.make_bank(
    jax.random.key(4),
    model,
    layout,
    camera=geometry.reference_camera(_SIZE),
    size=8,
  )
  return layout.unflatten(bank.centers)


def test_named_columns_change_as_their_names_say(model, mirror):
  matrix = np.asarray(mirror.expression)
  names = list(model.expression_names)
  for row, name in enumerate(names):
    if name.startswith("AU61") or name.startswith("AU62"):
      continue
    swapped = name.translate(str.maketrans("LR", "RL"))
    wanted = np.zeros(len(names))
    wanted[names.index(swapped if name[-2:] in ("_L", "_R") else name)] = 1
    np.testing.assert_allclose(matrix[row], wanted, atol=1e-3, err_msg=name)
  # Eyes that turn to the left turn to the right.
  left, right = names.index("AU61"), names.index("AU62")
  assert matrix[left, right] == pytest.approx(1.0, abs=1e-3)
  parity = np.diag(np.asarray(mirror.identity))
  for value, name in zip(parity, model.identity_names, strict=True):
    wanted = -1.0 if name.startswith("asymmetry") else 1.0
    assert value == pytest.approx(wanted, abs=1e-3), name
  np.testing.assert_allclose(mirror.identity_offset, 0.0, atol=1e-3)


def test_twice_mirrored_is_the_code(mirror, codes):
  twice = mirroring.mirror_code(mirror, mirroring.mirror_code(mirror, codes))
  for name in ("identity", "expression", "rotation", "translation"):
    np.testing.assert_allclose(
      getattr(twice, name), getattr(codes, name), atol=2e-3
    )
  np.testing.assert_array_equal(twice.illumination, codes.illumination)


def test_landmarks_are_mirrored(model, mirror, codes):
  few = morphable_model.restrict(model, model.landmarks)
  camera = geometry.reference_camera(_SIZE)
  project = jax.vmap(lambda code: renderer.project_landmarks(few, camera, code))
  wanted = np.array(project(codes))[:, list(landmarks.MIRROR)]
  wanted[..., 0] = _SIZE - wanted[..., 0]
  got = project(mirroring.mirror_code(mirror, codes))
  np.testing.assert_allclose(got, wanted, atol=0.02)


# Marks of the built-in skin, and its measured occlusion, have no exact mirror.
@pytest.mark.parametrize("plain, median", ((True, 1e-5), (False, 0.015)))
def test_images_are_flipped(model, mirror, codes, plain, median):
  camera = geometry.reference_camera(_SIZE)
  if plain:
    model = model.replace(
      albedo_mean=jnp.full_like(model.albedo_mean, 0.4),
      albedo=jnp.zeros_like(model.albedo),
      occlusion=jnp.ones_like(model.occlusion),
    )
  for index in range(3):
    code = jax.tree.map(lambda values, i=index: values[i], codes)
    image, mask = (np.asarray(x)[:, ::-1] for x in _draw(model, camera, code))
    mirrored = mirroring.mirror_code(mirror, code)
    got, got_mask = map(np.asarray, _draw(model, camera, mirrored))
    assert (mask != got_mask).mean() < 0.005
    both = mask & got_mask
    difference = np.abs(got - image)[both]
    assert np.median(difference) < median and difference.mean() < 0.02
    if not plain:
      continue
    # The light is off by far if it stays.
    unlit = mirrored.replace(illumination=code.illumination)
    wrong = np.abs(np.asarray(_draw(model, camera, unlit)[0]) - image)[both]
    assert wrong.mean() > 2 * difference.mean()


@jax.jit
def _draw(model, camera, code):
  face = renderer.render(model, camera, code, height=_SIZE, width=_SIZE)
  return face.image, face.mask


def test_a_model_that_is_not_symmetric_has_the_nearest_mirror():
  """Offsets take over what the mean face has too much on one side."""
  import fake_model

  model = fake_model.make(num_rings=8)
  shifted = model.replace(mean=model.mean + 0.5 * model.identity[..., 0])
  first, second = mirroring.create(model), mirroring.create(shifted)
  for mirror in (first, second):
    assert np.isfinite(mirror.identity).all()
  change = np.asarray(second.identity_offset - first.identity_offset)
  assert np.abs(change).max() > 1e-3
