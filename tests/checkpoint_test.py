import hashlib
import resource
import shutil

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
  with pytest.raises(
    checkpoint.CheckpointError,
    match=r"/1 does not fit this config: params.w is \(3, 2\), wanted \(4,",
  ):
    saver.restore(other)
  saver.close()


def _damage(path, how):
  data = bytearray(path.read_bytes())
  if how == "cut":
    path.write_bytes(data[: len(data) // 2])
  elif how == "flipped":
    data[len(data) // 2] ^= 0x11
    path.write_bytes(data)
  else:
    path.unlink()


# Of files that turn out to be damaged orbax forgets some that it had begun.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("how", ["cut", "flipped", "gone"])
def test_damage_to_any_file_never_gives_wrong_values(tmp_path, how):
  saver = checkpoint.Checkpointer(tmp_path / "good")
  for step in (1, 2):
    saver.save(step, _state(step), {"made_at": step}, {"vertex_mm": 1.0})
  saver.close()
  newest = tmp_path / "good" / "checkpoints" / "2"
  names = [p.relative_to(newest) for p in newest.rglob("*") if p.is_file()]
  steps = []
  for index, name in enumerate(names):
    folder = tmp_path / str(index)
    shutil.copytree(tmp_path / "good", folder)
    _damage(folder / "checkpoints" / "2" / name, how)
    reader = checkpoint.Checkpointer(folder)
    state, config = reader.restore(_state(0)), reader.restore_config()
    reader.close()
    steps.append(int(state["step"]))
    jax.tree.map(np.testing.assert_array_equal, state, _state(steps[-1]))
    assert config["made_at"] in (1, 2)
  # Some files do not matter; of the others step 1 has to help.
  assert set(steps) == {1, 2}


def test_a_damaged_checkpoint_gives_way_to_its_successor(tmp_path, caplog):
  saver = checkpoint.Checkpointer(tmp_path)
  for step in (1, 2):
    saver.save(step, _state(step), {})
  saver.close()
  shutil.rmtree(tmp_path / "checkpoints" / "2" / "state")
  saver = checkpoint.Checkpointer(tmp_path)
  assert int(saver.restore(_state(0))["step"]) == 1
  (record,) = caplog.records
  assert record.levelname == "WARNING"
  assert "2 is damaged" in caplog.text and "step 1 is used" in caplog.text
  with pytest.raises(checkpoint.CheckpointError, match="/2 is damaged: "):
    saver.restore(_state(0), step=2)
  saver.save(2, _state(2), {})
  assert saver.all_steps == [1, 2]
  assert int(saver.restore(_state(0), step=2)["step"]) == 2
  saver.close()


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path):
  saver = checkpoint.Checkpointer(tmp_path)
  saver.save(1, _state(1), {})
  noise = np.random.default_rng(0).normal(size=(300, 200))
  old = resource.getrlimit(resource.RLIMIT_FSIZE)
  try:
    # No file may grow beyond that, as on a disk with no more room.
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, old[1]))
    with pytest.raises(
      checkpoint.CheckpointError,
      match="^step 2 cannot be saved in .*: .*; earlier .* make room",
    ):
      saver.save(2, {"w": noise}, {})
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, old)
  saver.close()
  # Nothing is left of the second one.
  assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["1"]
  again = checkpoint.Checkpointer(tmp_path)
  jax.tree.map(
    np.testing.assert_array_equal, again.restore(_state(0)), _state(1)
  )
  again.close()


def test_facts_are_kept(tmp_path):
  saver = checkpoint.Checkpointer(tmp_path, facts={"model": "abc"})
  saver.save(1, _state(1), {})
  assert saver.restore_facts() == {"model": "abc"}
  saver.close()
  # Checkpoints of the first version have none.
  shutil.rmtree(tmp_path / "checkpoints" / "1" / "info")
  old = checkpoint.Checkpointer(tmp_path)
  assert old.restore_facts() == {}
  assert int(old.restore(_state(0))["step"]) == 1
  old.close()


def test_fingerprint_sees_every_bit_and_name():
  tree = {"a": jnp.arange(3.0), "b": jnp.int32(1)}
  same = {"b": jnp.int32(1), "a": jnp.arange(3.0)}
  assert checkpoint.fingerprint(tree) == checkpoint.fingerprint(same)
  nudged = {**tree, "a": tree["a"].at[1].set(np.nextafter(np.float32(1), 2))}
  renamed = {"a": tree["a"], "c": tree["b"]}
  prints = {checkpoint.fingerprint(t) for t in (tree, nudged, renamed)}
  assert len(prints) == 3
  assert len(checkpoint.fingerprint(tree)) == len(hashlib.sha256().hexdigest())
