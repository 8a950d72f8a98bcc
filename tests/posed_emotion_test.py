import jax
import numpy as np
import pytest

from facerec_jax.synthesis import emotions
from facerec_jax.synthesis import expression_units
from facerec_jax.synthesis.posed_emotion import emotion

SIDED = (1, 2, 5, 6, 7, 10, 12, 15, 20, 43)
WHOLE = (4, 9, 16, 17, 23, 24, 25, 26, 27)
NAMES = tuple(f"AU{u:02d}_{side}" for u in SIDED for side in "LR")
NAMES += tuple(f"AU{u:02d}" for u in WHOLE)


def named(weights):
  return {
    name: pytest.approx(float(w), abs=1e-6)
    for name, w in zip(NAMES, weights, strict=True)
    if w
  }


def test_happiness_is_cheeks_corners_and_parted_lips():
  got = emotion(NAMES, "happiness", intensity=0.5, variant=0)
  assert named(got) == {
    "AU06_L": 0.3, "AU06_R": 0.3, "AU12_L": 0.4, "AU12_R": 0.4, "AU25": 0.4,
  }  # fmt: skip


def test_the_most_frequent_variant_is_the_usual_one():
  got = emotion(NAMES, "surprise", intensity=0.7)
  np.testing.assert_array_equal(
    got, emotion(NAMES, "surprise", intensity=0.7, variant=0)
  )
  assert not emotion(NAMES, "surprise", variant=1)[NAMES.index("AU26")]


@pytest.mark.parametrize("name", emotions.CLASSES)
def test_every_variant_works_and_grows_with_intensity(name):
  for variant in range(len(emotions.EMOTIONS[name])):
    weak, strong = (
      emotion(NAMES, name, intensity=i, variant=variant) for i in (0.3, 1.0)
    )
    assert weak.shape == (len(NAMES),)
    assert strong.min() >= 0 and strong.max() <= 1
    assert (strong.sum() > weak.sum()) == (name != "neutral")
    assert not emotion(NAMES, name, intensity=0.0, variant=variant).any()


def test_keys_draw_variants_by_their_shares():
  drawn = [
    emotion(NAMES, "happiness", key=key)
    for key in jax.random.split(jax.random.key(0), 40)
  ]
  parted = np.mean([d[NAMES.index("AU25")] > 0 for d in drawn])
  assert parted == pytest.approx(0.55, abs=0.2)
  assert len({tuple(d) for d in drawn}) == 4


def test_keys_draw_optional_units():
  drawn = np.array(
    [
      emotion(NAMES, "disgust", variant=0, key=key)
      for key in jax.random.split(jax.random.key(1), 40)
    ]
  )
  assert not emotion(NAMES, "disgust", variant=0)[NAMES.index("AU06_L")]
  share = (drawn[:, NAMES.index("AU06_L")] > 0).mean()
  assert share == pytest.approx(0.35, abs=0.2)


def test_conflicts_are_resolved():
  # Parted lips leave nothing of the tightened ones.
  got = emotion(NAMES, "fear", variant=0)
  units = expression_units.find_units(NAMES, len(NAMES))
  assert units.find(4) is not None
  assert got[NAMES.index("AU04")] == pytest.approx(0.6 * (1 - 0.4 * 0.8))


@pytest.mark.parametrize(
  "arguments, options, message",
  [
    (
      (NAMES, "joy"),
      {},
      r"no emotion 'joy': choose one of anger, disgust, fear, happiness, "
      r"neutral, sadness, surprise",
    ),
    (
      (NAMES, "fear"),
      {"variant": 4},
      r"'fear' has no variant 4: it has 4, 0 to 3",
    ),
    (
      (NAMES, "fear"),
      {"intensity": 1.5},
      r"intensity of 'fear' is 1.5, want 0 to 1",
    ),
    (
      (("jawOpen", "smile"), "fear"),
      {},
      r"emotions need a model with action units \(AU12_L, ...\): its 2 "
      r"expressions are \('jawOpen', 'smile'\)",
    ),
    (
      (("AU12",), "surprise"),
      {},
      r"'surprise' needs AU01, which the model lacks",
    ),
  ],
)
def test_bad_requests_get_one_clear_line(arguments, options, message):
  with pytest.raises(ValueError, match=f"^{message}$"):
    emotion(*arguments, **options)
