import jax
import jax.numpy as jnp
import numpy as np

from facerec_jax.render import color


def test_known_values():
  # IEC 61966-2-1: mid-grey 18 % is 118 of 255.
  got = color.linear_to_srgb(jnp.array([0.0, 0.0031308, 0.18, 1.0])) * 255
  np.testing.assert_allclose(got, [0.0, 10.31, 117.64, 255.0], atol=0.02)


def test_round_trip():
  values = jnp.linspace(0, 1, 257)
  back = color.linear_to_srgb(color.srgb_to_linear(values))
  np.testing.assert_allclose(back, values, atol=1e-6)


def test_encoding_clips_and_has_finite_slopes():
  slopes = jax.vmap(jax.grad(color.linear_to_srgb))(jnp.array([-1.0, 0.0, 2.0]))
  assert jnp.isfinite(slopes).all()
  np.testing.assert_allclose(
    color.linear_to_srgb(jnp.array([-1.0, 2.0])), [0.0, 1.0], atol=1e-6
  )


def test_luminance_of_white_is_one():
  np.testing.assert_allclose(color.luminance(jnp.ones((2, 3))), 1.0, rtol=1e-6)
