import hypothesis
from hypothesis import strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facerec_jax.face import code_vector

_LAYOUTS = st.builds(
  code_vector.CodeLayout,
  identity=st.integers(0, 9),
  expression=st.integers(0, 9),
  albedo=st.integers(0, 9),
  rotation=st.sampled_from([0, 3]),
  translation=st.sampled_from([0, 3]),
  illumination=st.sampled_from([0, 27]),
)


@hypothesis.given(_LAYOUTS, st.lists(st.integers(1, 3), max_size=2))
@hypothesis.settings(max_examples=50, deadline=None)
def test_unflatten_inverts_flatten(layout, batch):
  rng = np.random.default_rng(0)
  flat = jnp.asarray(rng.normal(size=(*batch, layout.size)), jnp.float32)
  code = jax.jit(layout.unflatten)(flat)
  assert code.illumination.shape == (*batch, 9, 3)
  assert code.identity.shape == (*batch, layout.identity)
  np.testing.assert_array_equal(jax.jit(layout.flatten)(code), flat)


def test_default_and_thesis_sizes():
  assert code_vector.CodeLayout().size == 257
  thesis = code_vector.CodeLayout(64, 64, 100, 3, 0, 0)
  assert thesis.size == 231


def test_slices_tile_the_flat_code_in_order():
  layout = code_vector.CodeLayout(2, 0, 4)
  slices = layout.slices
  assert tuple(slices) == code_vector.GROUPS
  stops = [part.stop for part in slices.values()]
  starts = [part.start for part in slices.values()]
  assert starts == [0, *stops[:-1]]
  assert stops[-1] == layout.size


def test_missing_groups_are_neutral():
  layout = code_vector.CodeLayout(
    1, 1, 1, 0, 0, 0, default_translation=(1.0, 2.0, -3.0)
  )
  code = layout.unflatten(jnp.ones((2, 3)))
  np.testing.assert_array_equal(code.rotation, np.zeros((2, 3)))
  np.testing.assert_array_equal(code.translation, [[1, 2, -3]] * 2)
  np.testing.assert_array_equal(
    code.illumination, np.stack([code_vector.white_light()] * 2)
  )


def test_flatten_truncates_to_the_layout():
  code = code_vector.CodeLayout(5, 4, 3).neutral()
  code = code.replace(identity=jnp.arange(5.0))
  flat = code_vector.CodeLayout(2, 4, 3).flatten(code)
  np.testing.assert_array_equal(flat[:3], [0, 1, 0])


def test_errors_say_what_was_wanted():
  layout = code_vector.CodeLayout(5, 4, 3)
  with pytest.raises(
    ValueError, match="code group identity: got 2 numbers, wanted 5"
  ):
    layout.flatten(code_vector.CodeLayout(2, 4, 3).neutral())
  with pytest.raises(ValueError, match="got length 3, wanted 45"):
    layout.unflatten(jnp.zeros(3))
  with pytest.raises(ValueError, match=r"rotation: size 2 is none of \(0, 3\)"):
    code_vector.CodeLayout(rotation=2)
  with pytest.raises(ValueError, match="albedo: size -1 < 0"):
    code_vector.CodeLayout(albedo=-1)
