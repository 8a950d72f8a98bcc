import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from facerec_jax.render import color
from facerec_jax.synthesis import camera_noise

_OFF = {
  "blur": 0.0,
  "gain_spread": 0.0,
  "cast_spread": 0.0,
  "noise": 0.0,
  "grey_share": 0.0,
}


def _scene(size=40, seed=0):
  return np.random.default_rng(seed).uniform(0, 1.3, (size, size, 3))


_jitted = jax.jit(camera_noise.expose, static_argnames=tuple(_OFF))


def _expose(scene, seed=0, **options):
  return np.asarray(
    _jitted(
      jax.random.key(seed),
      jnp.asarray(scene, jnp.float32),
      **{**_OFF, **options},
    )
  )


def test_a_perfect_camera_only_encodes():
  scene = _scene()
  np.testing.assert_allclose(
    _expose(scene), color.linear_to_srgb(jnp.asarray(scene)), atol=1e-6
  )


@pytest.mark.parametrize("sigma", [0.0, 0.4, 1.0, 2.0])
def test_blur_is_gaussian(sigma):
  scene = _scene()
  got = camera_noise.gaussian_blur(
    jnp.asarray(scene, jnp.float32), sigma, largest=2.0
  )
  expected = ndimage.gaussian_filter(
    scene, (sigma, sigma, 0), mode="nearest", radius=5
  )
  np.testing.assert_allclose(got, expected, atol=1e-5)


def test_blur_keeps_light_and_constants():
  spot = np.zeros((21, 21, 3))
  spot[10, 10] = 1.0
  blurred = camera_noise.gaussian_blur(jnp.asarray(spot), 1.5, largest=1.5)
  np.testing.assert_allclose(blurred.sum(axis=(0, 1)), 1.0, rtol=1e-5)
  even = _expose(np.full((30, 30, 3), 0.4), blur=1.2)
  np.testing.assert_allclose(even, even[0, 0, 0], atol=1e-6)


def test_blur_grows_with_the_image():
  """The same scene at twice the size is blurred twice as far in pixels."""
  small = np.zeros((112, 112, 3))
  small[:, 56:] = 0.8
  large = np.repeat(np.repeat(small, 2, axis=0), 2, axis=1)

  def width(image):
    slope = np.abs(np.diff(image[5, :, 0]))
    return slope.sum() / slope.max()

  wide = [width(_expose(large, seed, blur=2.4)) for seed in range(6)]
  narrow = [width(_expose(small, seed, blur=2.4)) for seed in range(6)]
  assert max(wide) > 1.4 * max(narrow)


def test_nearly_normal_numbers():
  drawn = np.asarray(camera_noise.nearly_normal(jax.random.key(0), (200_000,)))
  assert drawn.mean() == pytest.approx(0, abs=0.01)
  assert drawn.std() == pytest.approx(1, abs=0.01)
  assert (drawn**4).mean() == pytest.approx(2.7, abs=0.03)
  assert np.corrcoef(drawn[1:], drawn[:-1])[0, 1] == pytest.approx(0, abs=0.01)


def test_noise_is_even_and_at_most_the_given_one():
  grey = np.full((64, 64, 3), 0.2)
  clean = _expose(grey)
  spreads = np.array(
    [(_expose(grey, seed, noise=0.05) - clean).std() for seed in range(12)]
  )
  assert spreads.max() <= 0.051
  assert spreads.std() > 0.005


def test_results_are_colours_for_any_light():
  extreme = np.array([[[-1.0, 0.0, 1e4]], [[np.inf, 0.5, 2.0]]]).repeat(2, 1)
  image = _expose(
    np.nan_to_num(extreme, posinf=1e30), noise=0.5, gain_spread=1.0
  )
  assert np.isfinite(image).all()
  assert image.min() >= 0 and image.max() <= 1


def test_gain_and_cast_scale_light():
  scene = np.full((4, 4, 3), 0.1)

  def gains(**options):
    images = np.stack([_expose(scene, s, **options) for s in range(60)])
    return np.log(np.asarray(color.srgb_to_linear(images[:, 0, 0])) / 0.1)

  gain = gains(gain_spread=0.2)
  np.testing.assert_allclose(gain, gain[:, :1].repeat(3, axis=1), atol=1e-4)
  assert gain.std() == pytest.approx(0.19, abs=0.05)
  cast = gains(cast_spread=0.2)
  assert cast.std() == pytest.approx(0.19, abs=0.05)
  assert np.abs(np.corrcoef(cast.T)[0, 1]) < 0.4


def test_some_images_lose_their_colour():
  scene = _scene(6)
  images = np.stack([_expose(scene, s, grey_share=0.5) for s in range(40)])
  grey = (images.max(axis=-1) - images.min(axis=-1)).max(axis=(1, 2)) < 1e-6
  assert 0.25 < grey.mean() < 0.75
  expected = color.linear_to_srgb(color.luminance(jnp.asarray(scene)))
  np.testing.assert_allclose(images[grey][0, ..., 1], expected, atol=1e-5)


def test_blur_wants_a_square():
  with pytest.raises(ValueError, match=r"^blur: got shape \(3, 4, 3\), wanted"):
    camera_noise.gaussian_blur(jnp.zeros((3, 4, 3)), 1.0, largest=1.0)
