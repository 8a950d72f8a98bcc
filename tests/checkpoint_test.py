import hashlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facerec_jax.training import checkpoint


def _state(value):
  return {"params": {"w": jnp.full((3, 2), value)}, "step": jnp.int32(value)}


def test_restores_what_was_saved_with_its_config(tmp_path):
  saver = checkpoint.Checkpointer(tmp_path)
  config = {"seed": 1, "prior": {"scale": 0.5, "name": "x", "none": None}}
  saver.save(3, _state(3), config)
  saver.close()
  reader = checkpoint.Checkpointer(tmp_path)
  assert reader.latest_step == 3
  restored = reader.restore(_state(0))
  jax.tree.map(np.testing.assert_array_equal, restored, _state(3))
  assert reader.restore_config() == config
  reader.close()


def test_keeps_the_latest_and_the_best(tmp_path):
  saver = checkpoint.Checkpointer(tmp_path, keep_latest=2)
  errors = {1: 5.0, 2: 1.0, 3: 4.0, 4: 3.0, 5: 2.0}
  for step, error in errors.items():
    saver.save(step, _state(step), {}, {"vertex_mm": error})
  saver.close()
  steps = {
    int(path.name)
    for path in (tmp_path / "checkpoints").iterdir()
    if path.name.isdigit()
  }
  assert steps == {2, 4, 5}


def test_checkpoints_without_metrics_are_kept_as_latest(tmp_path):
  saver = checkpoint.Checkpointer(tmp_path, keep_latest=1)
  saver.save(1, _state(1), {}, {"vertex_mm": 1.0})
  for step in (2, 3):
    saver.save(step, _state(step), {})
  assert saver.latest_step == 3
  assert int(saver.restore(_state(0), step=1)["step"]) == 1
  saver.close()


def test_exists_creates_nothing(tmp_path):
  folder = tmp_path / "none"
  assert not checkpoint.exists(folder)
  assert not folder.exists()
  saver = checkpoint.Checkpointer(folder)
  assert not checkpoint.exists(folder)
  saver.save(1, _state(1), {})
  saver.close()
  assert checkpoint.exists(folder)


def test_missing_or_misfit_checkpoints_say_so(tmp_path):
  saver = checkpoint.Checkpointer(tmp_path)
  with pytest.raises(checkpoint.CheckpointError, match="no checkpoint in"):
    saver.restore(_state(0))
  saver.save(1, _state(1), {})
  other = {"params": {"w": jnp.zeros((4, 2))}, "step": jnp.int32(0)}
  with pytest.raises(checkpoint.CheckpointError, match="does not fit"):
    saver.restore(other)
  saver.close()


def test_fingerprint_sees_every_bit_and_name():
  tree = {"a": jnp.arange(3.0), "b": jnp.int32(1)}
  same = {"b": jnp.int32(1), "a": jnp.arange(3.0)}
  assert checkpoint.fingerprint(tree) == checkpoint.fingerprint(same)
  nudged = {**tree, "a": tree["a"].at[1].set(np.nextafter(np.float32(1), 2))}
  renamed = {"a": tree["a"], "c": tree["b"]}
  prints = {checkpoint.fingerprint(t) for t in (tree, nudged, renamed)}
  assert len(prints) == 3
  assert len(checkpoint.fingerprint(tree)) == len(hashlib.sha256().hexdigest())
