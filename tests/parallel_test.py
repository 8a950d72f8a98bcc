"""Devices and processes: however many, the training is the same."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import several_processes
import toy_training

from facerec_jax.training import checkpoint
from facerec_jax.training import parallel

_SCRIPT = pathlib.Path(several_processes.__file__)


def _start(*arguments, devices=1):
  flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count="
  return subprocess.Popen(
    [sys.executable, str(_SCRIPT), *map(str, arguments)],
    env={**os.environ, "XLA_FLAGS": flags + str(devices)},
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )


def _start_two(what, path):
  with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
  return [_start(what, path, port, 2, index) for index in range(2)]


def _output(process):
  output, errors = process.communicate(timeout=600)
  assert process.returncode == 0, errors
  return output.splitlines()[-1]


def test_devices_and_processes_learn_the_same(tmp_path):
  path = tmp_path / "config.json"
  config = several_processes.config(tmp_path)
  path.write_text(json.dumps(config))
  others = [_start("losses", path, devices=8), *_start_two("losses", path)]
  one = several_processes.losses(config)
  assert len(set(one)) == several_processes.NUM_STEPS
  for process in others:
    # Sums in another order; a face that differs would show in the first digit.
    np.testing.assert_allclose(json.loads(_output(process)), one, rtol=2e-3)


def test_one_signal_stops_all_processes_at_the_same_step(tmp_path):
  processes = _start_two("toy", tmp_path)
  log = tmp_path / "metrics.jsonl"
  while not (log.exists() and len(log.read_text().splitlines()) > 3):
    assert processes[0].poll() is None, processes[0].communicate()
    time.sleep(0.01)
  processes[1].send_signal(signal.SIGTERM)
  steps = {_output(process) for process in processes}
  (step,) = map(int, steps)
  saver = checkpoint.Checkpointer(tmp_path)
  assert saver.latest_step == step < 10_000
  saver.close()
  # One process goes on where two have stopped, with metrics of one writer.
  toy_training.train(tmp_path, num_steps=step + 1)
  lines = [json.loads(line) for line in log.read_text().splitlines()]
  steps = [line["step"] for line in lines if line["kind"] == "train"]
  assert steps == list(range(1, step + 2))


def test_equal_arguments_bind_to_one_function():
  def function(first, *, size):
    return first + size

  assert parallel.bind(function, size=2) is parallel.bind(function, size=2)
  assert parallel.bind(function, size=2)(1) == 3
  assert parallel.bind(function, size=3) is not parallel.bind(function, size=2)


def test_the_first_argument_is_donated():
  learn = parallel.parallelize(lambda state: state + 1, donate=True)
  state = parallel.replicate(jnp.zeros(1000))
  jax.block_until_ready(learn(state))
  assert state.is_deleted()


def test_to_host_is_the_first_copy():
  tree = {"a": jnp.arange(3), "b": jnp.float32(2)}
  host = parallel.to_host(parallel.replicate(tree))
  assert isinstance(host["a"], np.ndarray) and host["b"].shape == ()
  jax.tree.map(np.testing.assert_array_equal, host, tree)


def test_batches_divide_among_devices(monkeypatch):
  monkeypatch.setattr(jax, "device_count", lambda: 3)
  assert parallel.local_batch_size(6) == 2
  with pytest.raises(ValueError, match="8 does not divide among 3 devices"):
    parallel.local_batch_size(8)
