"""Lights come from where they say, as bright as before."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facerec_jax.face import code_vector
from facerec_jax.render import color
from facerec_jax.render import geometry
from facerec_jax.render import illumination
from facerec_jax.render import renderer
from facerec_jax.synthesis import light_presets
from tests import fake_model

NORMALS = {
  "right": [0.8, 0.0, 0.6],
  "left": [-0.8, 0.0, 0.6],
  "above": [0.0, 0.8, 0.6],
  "below": [0.0, -0.8, 0.6],
}


@functools.partial(jax.jit, static_argnames=("height", "width"))
def _render(model, camera, code, *, height, width):
  return renderer.render(model, camera, code, height=height, width=width)


@pytest.fixture(scope="module")
def model():
  return fake_model.make(num_rings=8, identity=2, expression=2, albedo=1)


def brightness(light, normal):
  shade = illumination.shading(jnp.array(normal), light)
  return float(color.luminance(shade))


@pytest.mark.parametrize("name", NORMALS)
def test_a_preset_is_brightest_where_it_is_called_after(name):
  light = light_presets.by_name(name)
  shades = {key: brightness(light, n) for key, n in NORMALS.items()}
  assert max(shades, key=shades.get) == name


def test_directions():
  right = light_presets.from_direction(60.0, 0.0)
  assert brightness(right, NORMALS["right"]) > 2 * brightness(
    right, NORMALS["left"]
  )
  mirrored = light_presets.from_direction(-60.0, 0.0)
  for first, second in (("left", "right"), ("above", "above")):
    a = brightness(right, NORMALS[first])
    assert a == pytest.approx(brightness(mirrored, NORMALS[second]), rel=1e-5)


@pytest.mark.parametrize("name", light_presets.PRESETS)
def test_exposed_faces_are_as_bright_as_before(model, name):
  code = code_vector.CodeLayout(2, 2, 1, default_translation=(0, 0, -600.0))
  code = code.neutral()
  code = code.replace(illumination=0.6 * light_presets.by_name("left"))
  wanted = light_presets.expose(
    light_presets.by_name(name), model, code, strength=1.0
  )
  camera = geometry.reference_camera(48)

  def mean(light):
    full = _render(
      model, camera, code.replace(illumination=light), height=48, width=48
    )
    white = full.image / np.maximum(full.albedo, 1e-6)
    return np.asarray(color.luminance(white))[np.asarray(full.mask)].mean()

  # The face's brightness is metered on the mean head: nearly what is seen.
  assert mean(wanted) == pytest.approx(mean(code.illumination), rel=0.15)
  double = light_presets.expose(
    light_presets.by_name(name), model, code, strength=2.0
  )
  np.testing.assert_allclose(double, 2 * wanted, rtol=1e-5)


def test_an_unknown_light_is_refused():
  with pytest.raises(ValueError, match="^no light 'noon': choose one of front"):
    light_presets.by_name("noon")
