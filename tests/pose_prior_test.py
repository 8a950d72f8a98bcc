import fake_model
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facerec_jax.face import landmarks
from facerec_jax.render import geometry
from facerec_jax.synthesis import pose_prior

_MODEL = fake_model.make(num_rings=3)
_POINTS = np.asarray(_MODEL.mean)[np.asarray(_MODEL.landmarks)]


def _draw(function, count=4000):
  keys = jax.random.split(jax.random.key(0), count)
  return np.asarray(jax.jit(jax.vmap(function))(keys))


def _degrees(**shares):
  return np.rad2deg(
    _draw(lambda key: pose_prior.sample_rotation(key, **shares))
  )


def test_near_frontal_poses():
  near = _degrees(wide_share=0.0)
  np.testing.assert_allclose(near.mean(axis=0), [-3, 0, 0], atol=0.7)
  # Cut at 2.7 standard deviations.
  np.testing.assert_allclose(
    near.std(axis=0), 0.97 * np.array([9, 17, 7]), rtol=0.04
  )
  assert np.corrcoef(near[:, 1], near[:, 2])[0, 1] == pytest.approx(
    0.2, abs=0.05
  )


def test_wide_and_profile_poses():
  wide = _degrees(wide_share=1.0)
  assert 55 < np.abs(wide[:, 1]).max() <= 60
  assert wide[:, 1].std() == pytest.approx(60 / np.sqrt(3), rel=0.04)
  profile = _degrees(wide_share=0.0, profile_share=1.0)
  limits = np.abs(profile).max(axis=0)
  assert (limits <= [30, 90, 30]).all() and (limits > [29, 87, 29]).all()


def test_shares_of_the_mixture():
  # The near-frontal kind ends at 2.7 * 17 = 46 degrees.
  far = (np.abs(_degrees(wide_share=0.5)[:, 1]) > 46).mean()
  assert far == pytest.approx(0.5 * (60 - 46) / 60, abs=0.02)


@settings(max_examples=40, deadline=None)
@given(
  pitch=st.floats(-40, 40),
  yaw=st.floats(-90, 90),
  roll=st.floats(-60, 60),
  size=st.floats(0.8, 1.25),
  center=st.tuples(st.floats(-0.08, 0.08), st.floats(-0.08, 0.08)),
  image_size=st.sampled_from([32, 112, 224]),
)
def test_a_face_stands_where_the_framing_wants_it(
  pitch, yaw, roll, size, center, image_size
):
  camera = geometry.reference_camera(image_size)
  rotation = jnp.deg2rad(jnp.array([pitch, yaw, roll]))
  translation = _framed(
    camera, rotation, jnp.asarray(center), jnp.asarray(size)
  )
  pixels = geometry.project(
    camera, geometry.to_camera(_POINTS, rotation, translation)
  )
  got_center, got_side = landmarks.framing(pixels)
  wanted = image_size * (0.5 + np.array(center))
  np.testing.assert_allclose(got_center, wanted, atol=1e-3 * image_size)
  np.testing.assert_allclose(got_side, size * image_size, rtol=1e-3)


@jax.jit
def _framed(camera, rotation, center, size):
  return pose_prior.framed_translation(
    camera, _POINTS, rotation, center=center, size=size
  )


def test_jitter_has_the_given_spread():
  camera = geometry.reference_camera(100)

  def frame(key):
    translation = pose_prior.sample_translation(
      key, camera, _POINTS, jnp.zeros(3), center_spread=0.03, size_spread=0.1
    )
    pixels = geometry.project(
      camera, geometry.to_camera(_POINTS, jnp.zeros(3), translation)
    )
    center, side = landmarks.framing(pixels)
    return jnp.concatenate([center / 100 - 0.5, jnp.log(side / 100)[None]])

  drawn = _draw(frame)
  np.testing.assert_allclose(drawn.mean(axis=0), 0, atol=0.006)
  np.testing.assert_allclose(
    drawn.std(axis=0), 0.955 * np.array([0.03, 0.03, 0.1]), rtol=0.05
  )


def test_fields_of_view():
  degrees = np.rad2deg(_draw(pose_prior.sample_field_of_view))
  assert np.median(degrees) == pytest.approx(22, abs=0.7)
  assert degrees.min() >= 8 and degrees.max() <= 60
