"""Runs that are killed, stopped or broken: what they leave, how they resume."""

import json
import multiprocessing
import os
import random
import signal
import time

import conftest
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy_training

from facerec_jax.training import checkpoint
from facerec_jax.training import loop
from facerec_jax.training import parallel

_PATIENCE_S = 120
# Processes forked from one that has imported JAX: each starts in a moment.
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["toy_training"])


def _start(workdir, **options):
  process = _CONTEXT.Process(
    target=toy_training.train_in_process,
    args=(conftest.CACHE, workdir),
    kwargs=options,
  )
  process.start()
  return process


def _saved(workdir):
  """Names in the folder of checkpoints, unfinished ones too."""
  folder = workdir / "checkpoints"
  return {path.name for path in folder.iterdir()} if folder.exists() else set()


def _wait_for(condition, process):
  deadline = time.monotonic() + _PATIENCE_S
  while not condition() and process.is_alive():
    assert time.monotonic() < deadline
    time.sleep(0.002)


def _end(process):
  process.join(_PATIENCE_S)
  assert process.exitcode is not None
  return process.exitcode


def _text(workdir):
  path = workdir / "metrics.jsonl"
  return path.read_text().splitlines() if path.exists() else []


def _lines(workdir, kind="train"):
  return [
    line for line in map(json.loads, _text(workdir)) if line["kind"] == kind
  ]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
  """An uninterrupted run of 40 steps: (workdir, fingerprint)."""
  workdir = tmp_path_factory.mktemp("whole")
  state = toy_training.train(workdir, num_steps=40, checkpoint_every=0)
  return workdir, checkpoint.fingerprint(state)


def test_killed_again_and_again_it_ends_as_if_never(whole, tmp_path):
  moments, kills, while_saving = random.Random(0), 0, 0
  for _ in range(12):
    before = _saved(tmp_path)
    process = _start(tmp_path, num_steps=40)
    # The beginning of a save, and a little: while saving as well as after.
    _wait_for(lambda before=before: _saved(tmp_path) - before, process)
    time.sleep(moments.uniform(0.0, 0.1))
    process.kill()
    kills += _end(process) == -signal.SIGKILL
    while_saving += any("tmp" in name for name in _saved(tmp_path))
  assert kills >= 10
  assert while_saving
  assert _end(_start(tmp_path, num_steps=40)) == 0
  saver = checkpoint.Checkpointer(tmp_path)
  assert saver.latest_step == 40
  state = saver.restore(toy_training.first_state())
  saver.close()
  workdir, fingerprint = whole
  assert checkpoint.fingerprint(state) == fingerprint
  # Nothing half written is left, and every step is told once.
  assert not any("tmp" in name for name in _saved(tmp_path))
  losses = [[line["loss"] for line in _lines(w)] for w in (tmp_path, workdir)]
  assert losses[0] == losses[1] and len(losses[0]) == 40


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_ends_well(whole, tmp_path, number):
  process = _start(tmp_path, num_steps=40, checkpoint_every=0, pause=0.05)
  _wait_for(lambda: len(_text(tmp_path)) > 3, process)
  _send(process, number)
  assert _end(process) == 0
  (step,) = map(int, _saved(tmp_path))
  assert 3 <= step < 40 and step == _lines(tmp_path)[-1]["step"]
  resumed = toy_training.train(tmp_path, num_steps=40, checkpoint_every=0)
  assert checkpoint.fingerprint(resumed) == whole[1]


def _send(process, number):
  os.kill(process.pid, number)


def test_a_second_signal_ends_at_once(tmp_path):
  process = _start(tmp_path, pause=10 * _PATIENCE_S)
  _wait_for(lambda: len(_text(tmp_path)) >= 2, process)
  # Until it pauses; before that, the first signal ends it well.
  time.sleep(1.0)
  _send(process, signal.SIGTERM)
  time.sleep(0.3)
  assert process.is_alive()
  _send(process, signal.SIGTERM)
  assert _end(process) == 128 + signal.SIGTERM


def test_handlers_return(tmp_path):
  before = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)]
  toy_training.train(tmp_path, num_steps=1)
  after = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)]
  assert after == before


def _breaks_at(bad_steps, *, skip=False, name="loss"):
  """The toy's step with a NaN in some steps."""

  def step(state, key):
    bad = jnp.isin(state.step + 1, jnp.array(bad_steps))
    new, metrics = toy_training.step(state, key)
    metrics["other"] = jnp.float32(1.0)
    metrics[name] = jnp.where(bad, jnp.nan, metrics[name])
    if skip:
      new = jax.tree.map(lambda n, o: jnp.where(bad, o, n), new, state)
      new = new.replace(step=state.step + 1)
      metrics["skipped"] = jnp.float32(bad)
    return new, metrics

  return parallel.parallelize(step)


@pytest.mark.parametrize("bad, kept", [(7, 4), (8, 4), (9, 8), (20, 16)])
def test_not_finite_is_named_with_its_step(tmp_path, bad, kept):
  with pytest.raises(loop.NotFiniteError, match=f"^step {bad}: other not fini"):
    toy_training.train(
      tmp_path,
      parallel_step=_breaks_at([bad], name="other"),
      checkpoint_every=4,
    )
  saver = checkpoint.Checkpointer(tmp_path)
  assert saver.latest_step == kept
  saver.close()


def test_steps_are_skipped_and_counted(tmp_path):
  step = _breaks_at([3, 4, 9], skip=True)
  state = toy_training.train(
    tmp_path, num_steps=10, parallel_step=step, max_skipped_steps=2
  )
  assert int(state.step) == 10 and np.isfinite(state.params).all()
  assert [line["skipped"] for line in _lines(tmp_path)] == [
    *(0, 0, 1, 2, 2, 2, 2, 2, 3, 3)
  ]
  assert all(np.isfinite(line["loss"]) for line in _lines(tmp_path))


def test_too_many_skipped_in_a_row_stop(tmp_path):
  step = _breaks_at([3, 4, 5], skip=True)
  with pytest.raises(loop.NotFiniteError, match="^step 5: loss not finite"):
    toy_training.train(tmp_path, parallel_step=step, max_skipped_steps=2)


def test_a_damaged_run_resumes_from_the_checkpoint_before(tmp_path, caplog):
  whole, tmp_path = tmp_path / "whole", tmp_path / "damaged"
  state = toy_training.train(whole, num_steps=5, checkpoint_every=0)
  toy_training.train(tmp_path, num_steps=4)
  data = tmp_path / "checkpoints" / "4" / "state" / "d"
  (file,) = data.iterdir()
  file.write_bytes(file.read_bytes()[:-40])
  resumed = toy_training.train(tmp_path, num_steps=5)
  assert "4 is damaged" in caplog.text and "step 3 is used" in caplog.text
  assert checkpoint.fingerprint(resumed) == checkpoint.fingerprint(state)
  # The good checkpoint of the same step has taken its place.
  caplog.clear()
  saver = checkpoint.Checkpointer(tmp_path)
  saver.restore(toy_training.first_state(), step=4)
  assert not caplog.text
  saver.close()


def test_metrics_of_a_resumed_run_have_no_gap_and_no_double(tmp_path):
  toy_training.train(tmp_path, num_steps=3)
  path = tmp_path / "metrics.jsonl"
  late = json.dumps({"step": 9, "kind": "train", "loss": 1.0})
  path.write_text(path.read_text() + late + '\n{"step": 10, "ki')
  toy_training.train(tmp_path, num_steps=5)
  assert [line["step"] for line in _lines(tmp_path)] == [1, 2, 3, 4, 5]
