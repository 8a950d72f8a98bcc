from hypothesis import given
from hypothesis import strategies as st
import pytest

from facerec_jax.training import checkpoint
from facerec_jax.training import config_changes

_VALUES = st.one_of(st.integers(), st.booleans(), st.text(max_size=3))
_CONFIGS = st.recursive(
  _VALUES, lambda inner: st.dictionaries(st.sampled_from("abc"), inner)
).filter(lambda value: isinstance(value, dict))


@given(_CONFIGS)
def test_a_config_does_not_differ_from_itself(config):
  assert config_changes.differences(config, config) == []


@given(_CONFIGS, _CONFIGS)
def test_differences_are_found_from_both_sides(one, other):
  there = config_changes.differences(one, other)
  back = config_changes.differences(other, one)
  assert bool(there) == bool(back) == (one != other)
  assert [line.split(" was ")[0] for line in there] == [
    line.split(" was ")[0] for line in back
  ]


def test_keys_are_named_with_their_values():
  saved = {"seed": 1, "optimizer": {"name": "adam", "rate": 0.1}, "old": 2}
  wanted = {"seed": 2, "optimizer": {"name": "adam", "rate": 0.2}, "log": 5}
  assert config_changes.differences(saved, wanted, ignore=["log"]) == [
    "old was 2, is absent",
    "optimizer.rate was 0.1, is 0.2",
    "seed was 1, is 2",
  ]


def test_a_run_must_fit_its_checkpoint(tmp_path):
  facts = {"model": "abc"}
  saver = checkpoint.Checkpointer(tmp_path, facts=facts)
  saver.save(1, {"w": 1}, {"seed": 1, "log_every": 2})
  free = ["log_every"]

  def check(config, facts):
    config_changes.check(saver, config, facts, free_keys=free)

  check({"seed": 1, "log_every": 7}, facts)
  with pytest.raises(
    config_changes.ConfigChangedError,
    match=r"^seed was 1, is 2; model itself \(another file or version\)$",
  ):
    check({"seed": 2}, {"model": "xyz"})
  saver.close()
