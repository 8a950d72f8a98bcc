"""The lens of a photograph: its prior, and that fits find it."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facerec_jax.render import color
from facerec_jax.render import geometry
from facerec_jax.render import renderer
from facerec_jax.synthesis import camera_noise
from facerec_jax.synthesis import pose_prior
from facerec_jax.training import lenses
from facerec_jax.training import refinement
from facerec_jax.training import self_supervision
from tests import rendered_photos


def _lens(perspective, softness):
  return lenses.Lens(jnp.float32(perspective), jnp.float32(softness))


def test_the_usual_lens_is_the_reference_camera():
  view = lenses.field_of_view(lenses.usual())
  assert float(view) == pytest.approx(geometry.REFERENCE_FIELD_OF_VIEW)
  assert float(lenses.energy(lenses.usual())) == 0


def test_fields_of_view_are_as_synthetic_faces_have_them():
  keys = jax.random.split(jax.random.key(1), 4096)
  drawn = np.log(np.asarray(jax.vmap(pose_prior.sample_field_of_view)(keys)))
  deviates = np.random.default_rng(0).normal(size=4096)
  ours = np.log(
    [float(lenses.field_of_view(_lens(z, 0))) for z in deviates[:512]]
  )
  assert ours.mean() == pytest.approx(drawn.mean(), abs=0.05)
  assert ours.std() == pytest.approx(drawn.std(), rel=0.08)
  ends = [
    float(lenses.field_of_view(lenses.clip(_lens(z, 0)))) for z in (-9, 9)
  ]
  np.testing.assert_allclose(np.rad2deg(ends), [8, 60], rtol=0.02)


def test_blur_is_even_up_to_the_largest():
  z = jnp.asarray(np.random.default_rng(0).normal(size=2048), jnp.float32)
  widths = np.asarray(lenses.blur_width(lenses.Lens(z, z), 224))
  largest = lenses.largest_blur(224)
  assert widths.min() >= 0 and widths.max() <= largest
  np.testing.assert_allclose(
    np.quantile(widths / largest, [0.25, 0.5, 0.75]),
    [0.25, 0.5, 0.75],
    atol=0.04,
  )
  # A share of the image: half the pixels, half the width.
  half = lenses.blur_width(_lens(0, 0.7), 112)
  assert 2 * half == pytest.approx(lenses.blur_width(_lens(0, 0.7), 224))


@pytest.fixture(scope="module")
def world():
  return rendered_photos.make_world()


def _photograph(world, flat, degrees, blur):
  return _expose(
    world.scene,
    world.photo(flat),
    flat,
    jnp.deg2rad(degrees),
    blur,
    layout=world.layout,
  )


@functools.partial(jax.jit, static_argnames="layout")
def _expose(scene, photo, flat, field_of_view, blur, *, layout):
  """As a camera of our own takes it, without the functions of `lenses`."""
  size = rendered_photos.SIZE
  camera, code = geometry.dolly_zoom(
    scene.camera, layout.unflatten(flat), field_of_view
  )
  face = renderer.render(scene.model, camera, code, height=size, width=size)
  image = jnp.where(face.mask[..., None], face.image, 0.5)
  image = camera_noise.gaussian_blur(image, blur, largest=2.0)
  return photo._replace(
    image=color.linear_to_srgb(image),
    mask=photo.mask & face.mask,
    landmarks=renderer.project_landmarks(scene.model, camera, code),
  )


def test_a_fit_finds_the_lens_and_a_better_shape(world):
  """From the truth, which a wrong perspective spoils, and so repairs."""
  found, errors = [], []
  for flat, degrees, blur in (
    (world.bank.centers[0], 10.0, 0.2),
    (world.bank.centers[1], 45.0, 0.2),
    (world.bank.centers[2], 22.0, 0.6),
  ):
    photo = _photograph(world, flat, degrees, blur)
    fits = [
      refinement.refine(
        world.scene,
        photo,
        flat,
        layout=world.layout,
        schedule=refinement.Schedule(60),
        fit_lens=fit_lens,
      )
      for fit_lens in (True, False)
    ]
    assert fits[1].lens is None
    lens = fits[0].lens
    found.append(
      [
        np.rad2deg(lenses.field_of_view(lens)),
        lenses.blur_width(lens, rendered_photos.SIZE),
      ]
    )
    true = world.vertices(flat)
    errors.append(
      [
        np.linalg.norm(world.vertices(f.flat) - true, axis=1).mean()
        for f in fits
      ]
    )
    assert float(fits[0].after["energy"]) < float(fits[1].after["energy"])
  found, errors = np.asarray(found), np.asarray(errors)
  assert found[0, 0] < 16 < found[2, 0] < 30 < found[1, 0]
  assert found[:2, 1].max() < found[2, 1]
  # What differs from the reference camera gains most.
  assert errors[:2, 0].mean() < 0.85 * errors[:2, 1].mean()


def test_the_true_lens_is_likeliest(world):
  flat = world.bank.centers[3]
  photo = _photograph(world, flat, 40.0, 0.3)
  true = np.log(40.0 / 22.0) / 0.4

  @jax.jit
  def energy(perspective):
    total, _ = self_supervision.energy(
      world.scene,
      photo,
      flat,
      layout=world.layout,
      lens=_lens(perspective, 0.0),
    )
    return total

  values = [
    energy(jnp.float32(step)) for step in (-1.0, 0.0, 0.5 * true, true, 2.4)
  ]
  assert int(np.argmin(values)) == 3
