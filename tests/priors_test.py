import dataclasses
import functools

import fake_model
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facerec_jax.face import code_vector
from facerec_jax.face import landmarks
from facerec_jax.face import morphable_model
from facerec_jax.render import geometry
from facerec_jax.render import renderer
from facerec_jax.synthesis import priors

_LAYOUT = code_vector.CodeLayout(6, 4, 3)
_CAMERA = geometry.reference_camera(64)


@pytest.fixture(scope="module")
def model():
  names = ("sex", *(f"mode_{i}" for i in range(5)))
  return fake_model.make(num_rings=6, identity_names=names)


@pytest.fixture(scope="module")
def bank(model):
  return priors.make_bank(
    jax.random.key(0), model, _LAYOUT, camera=_CAMERA, size=3000
  )


@functools.partial(jax.jit, static_argnames="prior")
def _sample(key, model, camera=_CAMERA, *, prior=priors.DEFAULT):
  return priors.sample_code(key, model, camera=camera, prior=prior)


@jax.jit
def _frames(model, codes):
  """Framing of each code in the reference camera."""
  project = functools.partial(renderer.project_landmarks, model, _CAMERA)
  return landmarks.framing(jax.vmap(project)(codes))


def test_coefficients_are_cut_normal_numbers(bank):
  codes = _LAYOUT.unflatten(bank.centers)
  values = np.concatenate([codes.identity[:, 1:], codes.albedo], axis=1)
  for part, limit, spread in (
    (codes.identity[:, 1:], 2.7, 0.97),
    (codes.albedo[:, :1], 2.0, 0.88),
  ):
    assert limit - 0.05 < np.abs(part).max() <= limit
    np.testing.assert_allclose(part.std(axis=0), spread, atol=0.04)
  np.testing.assert_allclose(values.mean(axis=0), 0, atol=0.07)
  correlation = np.corrcoef(values.T) - np.eye(values.shape[1])
  assert np.abs(correlation).max() < 0.08


def test_colour_varies_less_on_dark_skin():
  """By how much darker the first mode makes it, and not below a quarter."""
  plain = fake_model.make(num_rings=4)
  flat = jnp.full_like(plain.albedo_mean, 0.4)
  tone = jnp.full_like(flat, 0.16)
  model = plain.replace(
    albedo_mean=flat, albedo=plain.albedo.at[..., 0].set(tone)
  )
  keys = jax.random.split(jax.random.key(1), 2000)
  codes = jax.vmap(lambda key: _sample(key, model))(keys)
  first, rest = np.asarray(codes.albedo[:, 0]), np.asarray(codes.albedo[:, 1:])
  for low, high in ((-2.0, -1.6), (-1.1, -0.9), (0.0, 2.0)):
    here = (first > low) & (first < high)
    share = np.clip(1 + 0.4 * first[here], 0.25, 1)
    wanted = 0.88 * np.sqrt((share**2).mean())
    assert rest[here].std() == pytest.approx(wanted, rel=0.07)


def test_sex_has_two_peaks(bank):
  sex = np.asarray(bank.centers[:, 0])
  assert (sex > 0).mean() == pytest.approx(0.5, abs=0.04)
  assert np.abs(sex).mean() == pytest.approx(1.03, abs=0.05)
  assert (np.abs(sex) < 0.2).mean() < 0.12


def test_faces_are_framed(model, bank):
  codes = _LAYOUT.unflatten(bank.centers)
  center, side = _frames(model, codes)
  np.testing.assert_allclose(center.mean(axis=0) / 64, 0.5, atol=0.003)
  np.testing.assert_allclose(center.std(axis=0) / 64, 0.024, atol=0.002)
  assert float(jnp.log(side / 64).std()) == pytest.approx(0.057, abs=0.004)
  assert abs(float(jnp.log(side / 64).mean())) < 0.005


def test_rows_depend_on_the_key_and_their_index_alone(model, bank):
  short = priors.make_bank(
    jax.random.key(0), model, _LAYOUT, camera=_CAMERA, size=7
  )
  # Batched matrix products of another shape may add up in another order.
  np.testing.assert_allclose(
    short.centers, bank.centers[:7], rtol=1e-4, atol=1e-4
  )
  single = _sample(jax.random.fold_in(jax.random.key(0), 5), model)
  np.testing.assert_allclose(
    _LAYOUT.flatten(single), bank.centers[5], rtol=1e-4, atol=1e-4
  )
  other = priors.make_bank(
    jax.random.key(1), model, _LAYOUT, camera=_CAMERA, size=7
  )
  assert (np.abs(other.centers - short.centers) > 1e-6).all(axis=0).mean() > 0.9


def test_given_expressions_are_kept_and_framed(model):
  layout = dataclasses.replace(_LAYOUT, rotation=0)
  prior = priors.Prior(center_spread=0.0, size_spread=0.0)
  shown = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
  banks = [
    priors.make_bank(
      jax.random.key(0),
      model,
      layout,
      camera=_CAMERA,
      size=20,
      prior=prior,
      expressions=expressions,
    )
    for expressions in (None, shown)
  ]
  codes = layout.unflatten(banks[1].centers)
  np.testing.assert_allclose(codes.expression, shown, rtol=1e-6)
  # All else that does not depend on the expression stays.
  drawn = layout.unflatten(banks[0].centers)
  np.testing.assert_allclose(codes.identity, drawn.identity, atol=1e-6)
  np.testing.assert_allclose(codes.illumination, drawn.illumination, atol=1e-4)
  center, side = _frames(model, codes)
  np.testing.assert_allclose(center, 32, atol=0.02)
  np.testing.assert_allclose(side, 64, atol=0.02)


def test_a_bank_without_rotation_frames_frontal_faces(model):
  layout = dataclasses.replace(_LAYOUT, rotation=0, illumination=0, identity=2)
  prior = priors.Prior(center_spread=0.0, size_spread=0.0)
  bank = priors.make_bank(
    jax.random.key(0), model, layout, camera=_CAMERA, size=20, prior=prior
  )
  assert bank.centers.shape == (20, 2 + 4 + 3 + 3)
  center, side = _frames(model, layout.unflatten(bank.centers))
  np.testing.assert_allclose(center, 32, atol=0.02)
  np.testing.assert_allclose(side, 64, atol=0.02)


def test_scales_are_applied(model):
  prior = priors.Prior(
    identity_scale=0.0, albedo_scale=0.5, expression_scale=2.0, rotation_scale=0
  )
  keys = jax.random.split(jax.random.key(0), 500)
  codes = jax.vmap(lambda key: _sample(key, model, prior=prior))(keys)
  assert (np.asarray(codes.identity) == 0).all()
  assert (np.asarray(codes.rotation) == 0).all()
  assert np.abs(codes.albedo).max() <= 1.35
  assert 3 < np.abs(codes.expression).max() <= 5.4


def test_a_code_is_drawn_on_the_device(model):
  arguments = jax.device_put((jax.random.key(0), model, _CAMERA))
  text = str(jax.make_jaxpr(_sample)(*arguments))
  assert "callback" not in text and "infeed" not in text
  _sample(*arguments)
  with jax.transfer_guard("disallow"):
    code = jax.block_until_ready(_sample(*arguments))
  assert np.isfinite(_LAYOUT.flatten(code)).all()


def test_dark_skin_stays_darker(model):
  """One light, three tones: brightness on the image keeps their order."""
  prior = priors.Prior(
    albedo_scale=0.0, rotation_scale=0.0, exposure_spread=0.0
  )
  render = jax.jit(functools.partial(renderer.render, height=64, width=64))
  luminances = []
  for shade in (0.3, 1.0, 1.6):
    toned = model.replace(albedo_mean=model.albedo_mean * shade)
    code = _sample(jax.random.key(3), toned, prior=prior)
    luminances.append(float(render(toned, _CAMERA, code).image.sum()))
  assert luminances[0] < 0.6 * luminances[1] < 0.6 * luminances[2]


def test_models_without_a_skin_region_are_metered_everywhere(model):
  bare = model.replace(region_names=("a", "b"), identity_names=())
  code = _sample(jax.random.key(0), bare)
  assert np.isfinite(code.illumination).all()
  assert (np.asarray(code.illumination[0]) > 0).all()


def test_a_layout_larger_than_the_model_is_an_error(model):
  small = morphable_model.truncate(model, albedo=1)
  with pytest.raises(ValueError, match=r"^code group albedo: got 1 numbers, w"):
    priors.make_bank(jax.random.key(0), small, _LAYOUT, camera=_CAMERA, size=2)


@pytest.mark.parametrize(
  ("fields", "message"),
  [
    ({"size_spread": -0.1}, "^prior: size_spread is -0.1, wanted 0 or more$"),
    (
      {"wide_share": 0.75, "profile_share": 0.5},
      r"^prior: wide_share \+ profile_share is 1.25, wanted <= 1$",
    ),
  ],
)
def test_ranges_are_checked(fields, message):
  with pytest.raises(ValueError, match=message):
    priors.Prior(**fields)
