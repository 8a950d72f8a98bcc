import hypothesis
from hypothesis import strategies as st
import jax.numpy as jnp
import numpy as np
from scipy.spatial import transform

from facerec_jax.face import alignment


@hypothesis.given(st.integers(0, 10**6))
@hypothesis.settings(max_examples=30, deadline=None)
def test_undoes_a_rigid_motion(seed):
  rng = np.random.default_rng(seed)
  points = rng.normal(0, 50, (40, 3))
  rotation = transform.Rotation.random(random_state=seed).as_matrix()
  moved = points @ rotation.T + rng.normal(0, 100, 3)
  got = alignment.align_rigidly(jnp.asarray(moved), jnp.asarray(points))
  np.testing.assert_allclose(got, points, atol=2e-3)


def test_equals_scipy_on_noisy_weighted_points():
  rng = np.random.default_rng(0)
  points, target = rng.normal(0, 30, (2, 50, 3))
  weights = rng.uniform(0.1, 1, 50)
  center = weights @ points / weights.sum()
  target_center = weights @ target / weights.sum()
  rotation, _ = transform.Rotation.align_vectors(
    target - target_center, points - center, weights=weights
  )
  wanted = rotation.apply(points - center) + target_center
  got = alignment.align_rigidly(
    jnp.asarray(points), jnp.asarray(target), jnp.asarray(weights)
  )
  np.testing.assert_allclose(got, wanted, atol=1e-3)


def test_never_mirrors():
  rng = np.random.default_rng(1)
  points = rng.normal(0, 30, (30, 3))
  mirrored = points * [-1, 1, 1]
  got = np.asarray(
    alignment.align_rigidly(jnp.asarray(points), jnp.asarray(mirrored))
  )
  volume = np.linalg.det(points[:3] - points[3])
  got_volume = np.linalg.det(got[:3] - got[3])
  np.testing.assert_allclose(got_volume, volume, rtol=1e-3)
