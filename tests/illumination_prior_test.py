import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facerec_jax.render import color
from facerec_jax.render import illumination
from facerec_jax.synthesis import illumination_prior

_SPHERE = np.random.default_rng(0).normal(size=(500, 3))
_SPHERE /= np.linalg.norm(_SPHERE, axis=1, keepdims=True)
_FRONT = jnp.array([0.0, 0.0, 1.0])


@pytest.fixture(scope="module")
def lights():
  keys = jax.random.split(jax.random.key(0), 2000)
  return np.asarray(jax.jit(jax.vmap(illumination_prior.sample_light))(keys))


def _planck(kelvin):
  """Linear sRGB of luminance 1 by integrating Planck's law.

  Colour matching functions: the fits of Wyman, Sloan & Shirley 2013.
  """
  nm = np.arange(380.0, 781.0, 1.0)

  def lobe(height, peak, left, right):
    width = np.where(nm < peak, left, right)
    return height * np.exp(-0.5 * ((nm - peak) * width) ** 2)

  x = (
    lobe(0.362, 442.0, 0.0624, 0.0374)
    + lobe(1.056, 599.8, 0.0264, 0.0323)
    + lobe(-0.065, 501.1, 0.0490, 0.0382)
  )
  y = lobe(0.821, 568.8, 0.0213, 0.0247) + lobe(0.286, 530.9, 0.0613, 0.0322)
  z = lobe(1.217, 437.0, 0.0845, 0.0278) + lobe(0.681, 459.0, 0.0385, 0.0725)
  power = nm**-5 / np.expm1(1.4387769e7 / (nm * kelvin))
  xyz = np.array([(power * m).sum() for m in (x, y, z)])
  matrix = np.array(
    [
      [3.2406, -1.5372, -0.4986],
      [-0.9689, 1.8758, 0.0415],
      [0.0557, -0.2040, 1.0570],
    ]
  )
  return matrix @ (xyz / xyz[1])


@pytest.mark.parametrize("kelvin", [2800.0, 3900.0, 4100.0, 6500.0, 9000.0])
def test_blackbody_agrees_with_plancks_law(kelvin):
  got = illumination_prior.blackbody(jnp.float32(kelvin))
  np.testing.assert_allclose(got, _planck(kelvin), atol=0.03)
  assert float(color.luminance(got)) == pytest.approx(1.0, abs=1e-3)


def test_direction():
  quarter = jnp.pi / 2
  for azimuth, elevation, expected in (
    (0.0, 0.0, [0, 0, 1]),
    (quarter, 0.0, [1, 0, 0]),
    (0.0, quarter, [0, 1, 0]),
  ):
    got = illumination_prior.direction(
      jnp.float32(azimuth), jnp.float32(elevation)
    )
    np.testing.assert_allclose(got, expected, atol=1e-6)


def test_light_is_hardly_ever_negative(lights):
  basis = np.asarray(illumination.sh_basis(_SPHERE))
  lobe = np.array([1.0, *[2 / 3] * 3, *[1 / 4] * 5])
  shading = np.einsum("sk,nkc->nsc", basis * lobe, lights)
  darkest = shading.min(axis=(1, 2))
  assert (darkest < 0).mean() < 0.02
  assert darkest.min() > -0.05


def test_light_comes_from_above_and_in_front_from_either_side(lights):
  mean = lights.mean(axis=(0, 2))
  assert mean[1] > 0.15 * mean[0]
  assert mean[2] > 0.15 * mean[0]
  assert abs(mean[3]) < 0.03 * mean[0]
  assert lights[:, 3].std() > 0.15 * mean[0]


def test_white_balance_leaves_a_small_cast(lights):
  zeroth = lights[:, 0] / lights[:, 0].mean(axis=1, keepdims=True)
  np.testing.assert_allclose(zeroth.mean(axis=0), 1.0, atol=0.02)
  assert (zeroth.std(axis=0) > 0.02).all()
  assert (zeroth.std(axis=0) < 0.2).all()


def _expose(light, albedo, *, adaptation, spread=0.0, key=None):
  count = 50
  normals = jnp.concatenate(
    [jnp.tile(_FRONT, (count, 1)), jnp.tile(-_FRONT, (count, 1))]
  )
  key = jax.random.key(0) if key is None else key
  return illumination_prior.expose(
    key,
    light,
    jnp.tile(jnp.asarray(albedo), (2 * count, 1)),
    normals,
    jnp.ones(2 * count),
    spread=spread,
    adaptation=adaptation,
  )


def _seen(light, albedo):
  shaded = jnp.asarray(albedo) * illumination.shading(_FRONT, light)
  return float(color.luminance(shaded))


def test_exposure_makes_medium_skin_medium_bright(lights):
  medium = np.full(3, 0.24, np.float32)
  for light in lights[:5]:
    exposed = _expose(light, medium, adaptation=0.5)
    encoded = color.linear_to_srgb(_seen(exposed, medium))
    assert 255 * float(encoded) == pytest.approx(134, abs=1)
    # Brightness of the light before exposure does not matter.
    again = _expose(3.0 * light, medium, adaptation=0.5)
    np.testing.assert_allclose(again, exposed, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("adaptation", [0.0, 0.4, 1.0])
def test_exposure_adapts_in_part_to_skin_tone(lights, adaptation):
  dark, light_skin = (np.full(3, v, np.float32) for v in (0.06, 0.36))
  ratio = _seen(
    _expose(lights[0], light_skin, adaptation=adaptation), light_skin
  ) / _seen(_expose(lights[0], dark, adaptation=adaptation), dark)
  assert ratio == pytest.approx(6.0 ** (1 - adaptation), rel=1e-3)


def test_exposure_varies_by_its_spread(lights):
  keys = jax.random.split(jax.random.key(1), 500)
  albedo = np.full(3, 0.24, np.float32)
  exposed = jax.vmap(
    lambda key: _expose(lights[0], albedo, adaptation=0.5, spread=0.3, key=key)
  )(keys)
  # Cut at 2.5 standard deviations.
  assert float(jnp.log(exposed[:, 0, 0]).std()) == pytest.approx(
    0.3 * 0.955, rel=0.1
  )


def test_exposure_survives_unseen_skin(lights):
  exposed = illumination_prior.expose(
    jax.random.key(0),
    lights[0],
    jnp.full((4, 3), 0.3),
    jnp.tile(-_FRONT, (4, 1)),
    jnp.ones(4),
    spread=0.2,
    adaptation=0.5,
  )
  assert np.isfinite(exposed).all()
