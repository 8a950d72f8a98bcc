"""Tests of the released encoder, which reads images and their mirrors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facerec_jax import scenes
from facerec_jax import trained_encoder
from facerec_jax.face import mirroring

_COUNT = 64


@pytest.fixture(scope="module")
def encoder():
  return trained_encoder.load()


@pytest.fixture(scope="module")
def faces(encoder):
  """Held-out examples."""
  experiment, state = encoder.experiment, encoder.state
  scene = scenes.held_out_scene(experiment, state.code_mean, state.code_std)
  return jax.jit(experiment.make_batch)(
    scene.seed_key, 0, jnp.arange(_COUNT), scene.model, scene.bank
  )


def test_mirrored_images_have_mirrored_codes(encoder, faces):
  """Of all but the skin, whose marks have no exact mirror."""
  layout, images = encoder.layout, faces.image[:8]
  code = layout.unflatten(encoder.predict_twice(images))
  mirror = mirroring.create(encoder.model)
  wanted = layout.flatten(mirroring.mirror_code(mirror, code))
  others = np.r_[: layout.size]
  others = np.setdiff1d(others, others[layout.slices["albedo"]])
  twice, once = (
    np.abs((read(images[:, :, ::-1]) - wanted) / encoder.state.code_std)
    for read in (encoder.predict_twice, encoder.predict)
  )
  assert twice[:, others].max() < 1e-3 < 0.1 < once[:, others].max()


def test_reading_twice_errs_less(encoder, faces):
  once, twice = (
    np.sqrt(
      np.mean(
        np.square((read(faces.image) - faces.code) / encoder.state.code_std),
        axis=0,
      )
    )
    for read in (encoder.predict, encoder.predict_twice)
  )
  for name in ("identity", "expression", "rotation", "illumination"):
    part = encoder.layout.slices[name]
    assert twice[part].mean() < once[part].mean(), name
  # The mistakes in pitch are the same of both.
  turns = slice(part := encoder.layout.slices["rotation"].start + 1, part + 2)
  assert twice[turns].mean() < 0.95 * once[turns].mean()
