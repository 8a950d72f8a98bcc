"""Edits change their group, and nothing else by a single bit."""

import dataclasses

from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
import numpy as np
import pytest

from facerec_jax.face import code_vector
from facerec_jax.face import edits

LAYOUT = code_vector.CodeLayout(5, 4, 3)


def draw(seed):
  rng = np.random.default_rng(seed)
  flat = rng.uniform(0, 1, LAYOUT.size).astype(np.float32)
  return LAYOUT.unflatten(flat)


def changed(before, after):
  return {
    field.name
    for field in dataclasses.fields(before)
    if np.asarray(getattr(before, field.name)).tobytes()
    != np.asarray(getattr(after, field.name)).tobytes()
  }


SEEDS = st.integers(0, 2**32 - 1)


@settings(max_examples=20, deadline=None)
@given(SEEDS, SEEDS)
def test_transferred_expression_is_the_drivers(first, second):
  code, driver = draw(first), draw(second + 1)
  edited = edits.transfer_expression(code, driver)
  np.testing.assert_array_equal(edited.expression, driver.expression)
  assert changed(code, edited) <= {"expression"}


@settings(max_examples=20, deadline=None)
@given(SEEDS)
def test_transferred_difference(seed):
  code, driver, rest, neutral = (draw(seed + k) for k in range(4))
  edited = edits.transfer_expression(
    code, driver, driver_neutral=rest, neutral=neutral
  )
  np.testing.assert_allclose(
    np.asarray(edited.expression) - np.asarray(neutral.expression),
    np.asarray(driver.expression) - np.asarray(rest.expression),
    atol=1e-6,
  )
  onto_itself = edits.transfer_expression(code, driver, driver_neutral=driver)
  assert not changed(code, onto_itself)


def test_a_constant_error_of_the_encoder_cancels():
  """What is read of both faces of the driver alike is not transferred."""
  code, driver, rest = draw(0), draw(1), draw(2)
  bias = np.array([0.3, -0.2, 0.1, 0.4], np.float32)
  plain = edits.transfer_expression(code, driver, driver_neutral=rest)
  biased = edits.transfer_expression(
    code,
    driver.replace(expression=driver.expression + bias),
    driver_neutral=rest.replace(expression=rest.expression + bias),
  )
  np.testing.assert_allclose(plain.expression, biased.expression, atol=1e-6)


def test_blendshapes_stay_within_their_limits():
  code, driver, rest = draw(0), draw(1), draw(2)
  driver = driver.replace(expression=driver.expression + 5)
  edited = edits.transfer_expression(
    code, driver, driver_neutral=rest, kind="blendshape"
  )
  np.testing.assert_array_equal(edited.expression, np.ones(4))
  shown = edits.show_expression(code, [2.0, -1.0, 0.5, 0.0], kind="blendshape")
  np.testing.assert_array_equal(shown.expression, [1.0, 0.0, 0.5, 0.0])
  assert changed(code, shown) == {"expression"}


def test_named_expressions_go_on_top_of_the_neutral_face():
  code, neutral = draw(0), draw(1)
  shown = edits.show_expression(code, np.zeros(4), neutral=neutral)
  np.testing.assert_array_equal(shown.expression, neutral.expression)


def test_identity_mixes_from_end_to_end():
  code, other = draw(0), draw(1)
  assert not changed(code, edits.mix_identity(code, other, 0.0))
  whole = edits.mix_identity(code, other, 1.0)
  np.testing.assert_array_equal(whole.identity, other.identity)
  half = edits.mix_identity(code, other, 0.5)
  middle = (np.asarray(code.identity) + np.asarray(other.identity)) / 2
  np.testing.assert_allclose(half.identity, middle, rtol=1e-6)
  assert changed(code, half) == {"identity"}


def test_tone_turn_and_take():
  code, other = draw(0), draw(1)
  toned = edits.set_tone(code, -1.5)
  np.testing.assert_array_equal(toned.albedo, [-1.5, *code.albedo[1:]])
  assert changed(code, toned) == {"albedo"}
  turned = edits.turn(code, [0, 90, -45])
  np.testing.assert_allclose(turned.rotation, [0, np.pi / 2, -np.pi / 4])
  assert changed(code, turned) == {"rotation"}
  lit = edits.take(code, other, "illumination")
  assert not changed(lit, code.replace(illumination=other.illumination))


def test_between_keeps_what_both_share():
  code = draw(0)
  other = code.replace(expression=draw(1).expression)
  middle = edits.between(code, other, 1 / 3)
  assert changed(code, middle) == {"expression"}
  mixed = (2 * np.asarray(code.expression) + np.asarray(other.expression)) / 3
  np.testing.assert_allclose(middle.expression, mixed, rtol=1e-5)


@pytest.mark.parametrize(
  "edit, group",
  [
    (edits.transfer_expression, "expression"),
    (lambda a, b: edits.mix_identity(a, b, 0.5), "identity"),
    (lambda a, b: edits.take(a, b, "albedo"), "albedo"),
  ],
)
def test_codes_of_other_sizes_are_refused(edit, group):
  other = code_vector.CodeLayout(6, 7, 8).neutral()
  wanted = np.size(getattr(draw(0), group))
  got = np.size(getattr(other, group))
  with pytest.raises(ValueError, match=f"^{group}: got {got} numbers, wanted"):
    edit(draw(0), other)
  assert got != wanted


def test_codes_without_albedo_have_no_tone():
  code = code_vector.CodeLayout(5, 4, 0).neutral()
  with pytest.raises(ValueError, match="have no albedo"):
    edits.set_tone(code, 1.0)
