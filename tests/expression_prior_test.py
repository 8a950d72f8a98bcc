import fake_model
import jax
import numpy as np
import pytest

from facerec_jax.synthesis import emotions
from facerec_jax.synthesis import expression_prior
from facerec_jax.synthesis import expression_units

UNITS, NAMES = fake_model.ACTION_UNITS, fake_model.action_unit_names()


@pytest.fixture(scope="module")
def model():
  return fake_model.make(num_rings=3, expression_names=NAMES)


def _draw(function, count=3000, seed=0):
  keys = jax.random.split(jax.random.key(seed), count)
  return np.asarray(jax.jit(jax.vmap(function))(keys))


def _emotion(label, **options):
  return lambda key: (
    expression_prior.sample_emotion(key, NAMES, label, **options).weights
  )


def _unit(drawn, number):
  """The mean of the columns of an action unit, [N]."""
  columns = [i for i, n in enumerate(NAMES) if n.startswith(f"AU{number:02d}")]
  return drawn[:, columns].mean(axis=1)


@pytest.mark.parametrize("name", emotions.CLASSES)
def test_variants_of_an_emotion_add_up(name):
  variants = emotions.EMOTIONS[name]
  assert sum(v.share for v in variants) == pytest.approx(1.0)
  for variant in variants:
    always = {unit for unit, _ in variant.units}
    sometimes = {unit for unit, _ in variant.optional}
    assert always | sometimes <= set(UNITS)
    assert not always & sometimes


def test_units_join_the_sides_but_not_opposite_movements():
  names = ("AU12_L", "AU26", "AU12_R", "AD30_L", "AD30_R", "jawLeft")
  units = expression_units.find_units(names, 6)
  assert units.names == ("AU12", "AU26", "AD30_L", "AD30_R", "jawLeft")
  np.testing.assert_array_equal(units.columns[0], [1, 0, 1, 0, 0, 0])
  np.testing.assert_array_equal(units.side, [1, 0, -1, 0, 0, 0])
  assert units.columns.sum() == 6


@pytest.mark.parametrize("name", emotions.CLASSES)
def test_emotions_move_their_units_and_no_others(model, name):
  label = emotions.CLASSES.index(name)
  drawn = _draw(_emotion(label))
  assert drawn.min() >= 0 and drawn.max() <= 1
  if name == "neutral":
    allowed = set(emotions.NEUTRAL_TRACE_UNITS)
    still = (drawn.max(axis=1) == 0).mean()
    assert still == pytest.approx(1 - emotions.NEUTRAL_TRACE_SHARE, abs=0.03)
    assert drawn.max() < 0.25
    assert ((drawn > 0).sum(axis=1) <= 2).all()
  else:
    allowed = {
      unit
      for variant in emotions.EMOTIONS[name]
      for unit, _ in variant.units + variant.optional
    }
    assert (drawn.max(axis=1) > 0).all()
  moved = {unit for unit in UNITS if _unit(drawn, unit).max() > 0}
  assert moved == allowed


def test_frequencies_of_units_follow_the_table(model):
  label = emotions.CLASSES.index("happiness")
  drawn = _draw(_emotion(label))
  for unit, share in ((12, 1.0), (6, 0.75), (25, 0.55), (26, 0.10)):
    assert (_unit(drawn, unit) > 0).mean() == pytest.approx(share, abs=0.03)
  # Mean weight .73 over the variants, strength .8 on average.
  assert _unit(drawn, 12).mean() == pytest.approx(0.73 * 0.8, abs=0.03)


def test_mixture_holds_its_shares(model):
  def draw(neutral, emotion):
    return _draw(
      lambda key: expression_prior.sample_expression(
        key, model, neutral_share=neutral, emotion_share=emotion
      )
    )

  assert draw(1.0, 0.0).max() < 0.25
  assert draw(0.0, 1.0).max(axis=1).min() > 0.04
  half = draw(0.5, 0.5)
  assert (half.max(axis=1) < 0.25).mean() == pytest.approx(0.5, abs=0.05)
  # Units that no emotion contains come from the random kind alone.
  assert _unit(half, 18).max() == 0
  assert _unit(draw(0.0, 0.0), 18).max() > 0.5


def test_related_units_move_together_in_random_expressions(model):
  drawn = _draw(
    lambda key: expression_prior.sample_expression(
      key, model, neutral_share=0.0, emotion_share=0.0
    ),
    count=8000,
  )
  for first, second, correlation in emotions.TIES:
    pair = np.corrcoef(_unit(drawn, first), _unit(drawn, second))[0, 1]
    # The lid rule caps 7, mobility couples all a little.
    assert pair == pytest.approx(correlation, abs=0.12)
  unrelated = np.corrcoef(_unit(drawn, 9), _unit(drawn, 20))[0, 1]
  assert abs(unrelated) < 0.1
  # A unit that is tied to a resting one may come to rest as well.
  assert (drawn > 0).any(axis=1).mean() > 0.9


def test_the_sides_of_a_face_differ_a_little(model):
  label = emotions.CLASSES.index("happiness")
  drawn = _draw(_emotion(label))
  left, right = drawn[:, NAMES.index("AU12_L")], drawn[:, NAMES.index("AU12_R")]
  tilt = (left - right) / (left + right)
  assert 0.05 < tilt.std() < 0.1
  assert abs(tilt.mean()) < 0.01


@pytest.mark.parametrize("name", ["happiness", "neutral"])
def test_intensity_is_how_far_the_units_move(name):
  label = emotions.CLASSES.index(name)

  def draw(key):
    return expression_prior.sample_emotion(
      key, NAMES, label, strength_limits=(0.0, 1.0)
    )

  keys = jax.random.split(jax.random.key(3), 2000)
  weights, intensity = map(np.asarray, jax.jit(jax.vmap(draw))(keys))
  if name == "neutral":
    assert weights.max() > 0 and not intensity.any()
    return
  # One unit alone: the share of its mean weight, before the tilt.
  alone = (_unit(weights, 6) == 0) & (_unit(weights, 25) == 0)
  assert alone.mean() == pytest.approx(0.25, abs=0.03)
  smile = _unit(weights, 12)[alone]
  np.testing.assert_allclose(smile, 0.6 * intensity[alone], atol=1e-5)
  # Strength uniform from 0 to 1.
  assert intensity.mean() == pytest.approx(0.5, abs=0.03)


def test_other_blendshapes_get_the_random_prior():
  names = ("browDown_L", "browDown_R", "jawOpen", "mouthSmile_L")
  other = fake_model.make(num_rings=3, expression_names=names)
  drawn = _draw(
    lambda key: expression_prior.sample_expression(
      key, other, neutral_share=0.3
    )
  )
  assert (drawn.max(axis=1) == 0).mean() == pytest.approx(0.3, abs=0.03)
  assert drawn.min() >= 0 and drawn.max() <= 1
  with pytest.raises(
    ValueError, match="need a model with action units .* 4 exp"
  ):
    expression_prior.sample_emotion(jax.random.key(0), names, 0)


def test_gaussian_models_get_cut_normal_numbers():
  gaussian = fake_model.make(num_rings=3, expression=40)
  drawn = _draw(
    lambda key: expression_prior.sample_expression(key, gaussian, scale=2.0)
  )
  assert drawn.std() == pytest.approx(2 * 0.97, abs=0.03)
  assert 5.2 < np.abs(drawn).max() <= 5.4


def test_models_without_expressions_work():
  none = fake_model.make(num_rings=3, expression=0)
  assert expression_prior.sample_expression(jax.random.key(0), none).shape == (
    0,
  )


GAZE = ("AU61", "AU62", "AU63", "AU64")
RARE = ("AD29", "AD30_L", "AD30_R", "AD34")


@pytest.fixture(scope="module")
def later_model():
  return fake_model.make(num_rings=3, expression_names=NAMES + GAZE + RARE)


def test_eyes_wander_mildly(later_model):
  drawn = _draw(
    lambda key: expression_prior.sample_expression(
      key, later_model, neutral_share=0.5, emotion_share=0.25
    )
  )
  gaze = drawn[:, len(NAMES) : len(NAMES) + 4]
  assert (gaze[:, 0] * gaze[:, 1]).max() == 0
  assert (gaze[:, 2] * gaze[:, 3]).max() == 0
  is_open = _unit(drawn, 43) == 0
  for first, spread, full in ((0, 6.0, 25.0), (2, 4.0, 22.0)):
    angle = full * (gaze[:, first] - gaze[:, first + 1])[is_open]
    assert angle.mean() == pytest.approx(0.0, abs=0.4)
    assert angle.std() == pytest.approx(spread, rel=0.08)


def test_gaze_vanishes_with_the_scale(later_model):
  drawn = _draw(
    lambda key: expression_prior.sample_expression(key, later_model, scale=0.0),
    count=50,
  )
  assert drawn.max() == 0


def test_jaw_shifts_and_puffed_cheeks_are_rare(later_model):
  drawn = _draw(
    lambda key: expression_prior.sample_expression(
      key, later_model, neutral_share=0.0, emotion_share=0.0
    )
  )
  usual = (_unit(drawn, 18) > 0).mean()
  rare = (drawn[:, len(NAMES) + 4 :] > 0).mean(axis=0)
  assert (rare > 0).all() and rare.max() < 0.4 * usual
  assert not (drawn[:, -3] * drawn[:, -2]).any()
