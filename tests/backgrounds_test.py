from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facerec_jax.face import code_vector
from facerec_jax.render import geometry
from facerec_jax.synthesis import backgrounds

_SIZE = 48


@pytest.fixture(scope="module")
def patterns():
  keys = jax.random.split(jax.random.key(0), 400)
  draw = jax.vmap(
    lambda key: backgrounds.pattern(key, height=_SIZE, width=_SIZE)
  )
  return np.asarray(jax.jit(draw)(keys))


def test_patterns_are_colours_of_all_kinds(patterns):
  assert np.isfinite(patterns).all()
  assert patterns.min() >= 0 and patterns.max() <= 1
  contrast = patterns.std(axis=(1, 2)).max(axis=1)
  plain = (1 - 0.5) * (1 - 0.6) * (1 - 0.2) * (1 - 0.12)
  even = np.ptp(patterns, axis=(1, 2)).max(axis=1) == 0
  assert even.mean() == pytest.approx(plain, abs=0.05)
  assert (contrast > 0.1).mean() > 0.2
  brightness = patterns.mean(axis=(1, 2, 3))
  assert brightness.min() < 0.1 and brightness.max() > 0.6
  # No two alike.
  assert len(np.unique(patterns.reshape(400, -1), axis=0)) == 400


def test_patterns_are_as_likely_upright_as_mirrored(patterns):
  difference = patterns.mean(axis=0) - patterns.mean(axis=0)[:, ::-1]
  assert np.abs(difference).max() < 0.15
  assert abs(difference[:, : _SIZE // 2].mean()) < 0.03


@settings(max_examples=40, deadline=None)
@given(size=st.integers(1, 90), cells=st.integers(1, 40), smooth=st.booleans())
def test_enlarging_keeps_constants_and_limits(size, cells, smooth):
  weights = backgrounds._interpolation(size, cells, smooth)
  np.testing.assert_allclose(weights.sum(axis=1), 1.0, rtol=1e-6)
  assert (weights >= 0).all()
  ramp = weights @ np.arange(cells)
  assert (np.diff(ramp) >= -1e-5).all()


def test_enlarging_is_linear_between_cells():
  ramp = backgrounds._interpolation(40, 5, True) @ np.arange(5.0)
  np.testing.assert_allclose(np.diff(ramp[4:36]), 1 / 8, rtol=1e-5)


_add_person = jax.jit(
  backgrounds.add_person, static_argnames=("hair_share", "body_share")
)


def _person(roll=0.0, **shares):
  camera = geometry.reference_camera(_SIZE)
  code = code_vector.CodeLayout(0, 0, 0).neutral()
  code = code.replace(
    translation=jnp.array([0.0, 30.0, -600.0]),
    rotation=jnp.array([0.0, 0.0, roll]),
  )
  before = jnp.full((_SIZE, _SIZE, 3), 2.0)
  after = _add_person(jax.random.key(4), before, camera, code, **shares)
  return np.asarray((after != before).any(axis=-1)), np.asarray(after)


def test_without_hair_and_body_nothing_is_drawn():
  drawn, _ = _person(hair_share=0.0, body_share=0.0)
  assert not drawn.any()


def test_hair_surrounds_the_head_and_follows_roll():
  hair, image = _person(hair_share=1.0, body_share=0.0)
  assert hair[_SIZE // 4, _SIZE // 2]
  assert not hair[:, 0].any() and not hair[:, -1].any()
  assert (image[hair] >= 0).all() and (image[hair] < 1).all()
  tilted, _ = _person(hair_share=1.0, body_share=0.0, roll=0.5)
  columns = np.arange(_SIZE)
  rows = slice(0, 8)
  center = [(m[rows] * columns).sum() / m[rows].sum() for m in (hair, tilted)]
  # Positive roll is counter-clockwise: the top goes to the left.
  assert center[1] < center[0] - 2


def test_shoulders_are_below():
  body, _ = _person(hair_share=0.0, body_share=1.0)
  assert body[-1, _SIZE // 2]
  assert not body[: _SIZE // 2].any()
  highest = body.argmax(axis=0)
  assert highest[0] >= highest[_SIZE // 2]
