"""Determinism, resuming and devices: the promises of a training run."""

import json
import os
import pathlib
import subprocess
import sys

import jax
import numpy as np
import pytest
import tiny_experiment

from facerec_jax import config_sections
from facerec_jax import experiment as experiments
from facerec_jax import trained_encoder
from facerec_jax import training_run
from facerec_jax.training import checkpoint
from facerec_jax.training import loop

_TESTS = pathlib.Path(__file__).parent


def _train(config, workdir):
  return training_run.train(experiments.build(config), workdir)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
  """One uninterrupted run: (config, workdir, state)."""
  folder = tmp_path_factory.mktemp("run")
  config = tiny_experiment.config(folder)
  return config, folder / "work", _train(config, folder / "work")


def test_same_config_same_parameters_bit_for_bit(finished, tmp_path):
  config, _, state = finished
  again = _train(config, tmp_path)
  assert checkpoint.fingerprint(again) == checkpoint.fingerprint(state)


def test_another_seed_gives_other_parameters(finished, tmp_path):
  config, _, state = finished
  other = _train({**config, "seed": 1}, tmp_path)
  assert checkpoint.fingerprint(other.params) != checkpoint.fingerprint(
    state.params
  )


def test_interrupted_and_resumed_is_uninterrupted(
  finished, tmp_path, monkeypatch
):
  config, _, state = finished
  experiment = experiments.build(config)
  calls = []

  def breaks_after_three(state, scene):
    calls.append(1)
    if len(calls) > 3:
      raise KeyboardInterrupt
    return experiment.train_step(state, scene)

  real = loop.train
  with monkeypatch.context() as patch:
    patch.setattr(
      loop,
      "train",
      lambda state, _, *rest, **named: real(
        state, breaks_after_three, *rest, **named
      ),
    )
    with pytest.raises(KeyboardInterrupt):
      training_run.train(experiment, tmp_path)
  resumed = training_run.train(experiment, tmp_path)
  assert checkpoint.fingerprint(resumed) == checkpoint.fingerprint(state)


def test_a_finished_run_stays_as_it_is(finished):
  config, workdir, state = finished
  again = _train(config, workdir)
  assert checkpoint.fingerprint(again) == checkpoint.fingerprint(state)


def test_several_steps_in_one_call_are_the_same_steps(finished, tmp_path):
  config, _, state = finished
  scanned = _train({**config, "steps_per_call": 2, "log_every": 2}, tmp_path)
  for one, other in zip(
    jax.tree.leaves(state.params), jax.tree.leaves(scanned.params), strict=True
  ):
    # Fusion may differ inside a loop; mistakes would be far larger.
    np.testing.assert_allclose(one, other, atol=1e-4)


_SCRIPT = """
import json, sys
import jax
sys.path.insert(0, {tests!r})
import conftest
conftest.pytest_configure(None)
from facerec_jax import experiment, training_run
from facerec_jax.training import checkpoint
config = json.loads(sys.argv[1])
assert jax.device_count() == int(sys.argv[3])
workdir = __import__("pathlib").Path(sys.argv[2])
training_run.train(experiment.build(config), workdir)
"""


def test_two_devices_learn_what_one_does(finished, tmp_path):
  config, workdir, _ = finished
  flags = "--xla_force_host_platform_device_count=2"
  subprocess.run(
    [
      sys.executable,
      "-c",
      _SCRIPT.format(tests=str(_TESTS)),
      json.dumps(config),
      str(tmp_path),
      "2",
    ],
    env={**os.environ, "XLA_FLAGS": flags},
    check=True,
    capture_output=True,
  )
  one, two = (
    [
      json.loads(line)
      for line in (folder / "metrics.jsonl").read_text().splitlines()
    ]
    for folder in (workdir, tmp_path)
  )
  assert len(one) >= len(two) > 4
  for first, second in zip(one, two, strict=False):
    assert first["step"] == second["step"]
    for name in first.keys() - {"kind", "images_per_second"}:
      assert first[name] == pytest.approx(second[name], rel=2e-3, abs=1e-4)


def test_the_checkpoint_reads_faces(finished):
  config, workdir, state = finished
  encoder = trained_encoder.load(workdir)
  assert encoder.experiment.config == experiments.build(config).config
  assert encoder.image_size == 32 and not encoder.face_mask
  images = np.random.default_rng(0).uniform(size=(3, 32, 32, 3))
  codes = encoder.predict(images)
  assert codes.shape == (3, encoder.layout.size)
  jax.tree.map(np.testing.assert_array_equal, encoder.state, state)


def test_workdir_holds_what_a_person_looks_at(finished):
  _, workdir, _ = finished
  lines = (workdir / "metrics.jsonl").read_text().splitlines()
  kinds = [json.loads(line)["kind"] for line in lines]
  assert kinds[:5] == ["train"] * 4 + ["eval"]
  assert (workdir / "samples" / "step_00000004.png").stat().st_size > 1000
  assert list((workdir / "tensorboard").glob("events*"))


def test_divergence_stops_and_keeps_the_checkpoint(tmp_path):
  config = tiny_experiment.config(tmp_path)
  config["optimizer"] = {
    **config["optimizer"],
    "learning_rate": 1e30,
    "warmup_steps": 0,
    "max_gradient_norm": 0.0,
  }
  with pytest.raises(loop.NotFiniteError, match=r"step \d: .*loss.*not finite"):
    _train(config, tmp_path / "work")


def test_missing_checkpoint_says_what_to_do(tmp_path):
  with pytest.raises(
    checkpoint.CheckpointError, match="holds no checkpoint; train one with"
  ):
    trained_encoder.load(tmp_path)


@pytest.mark.parametrize(
  "changes, message",
  [
    (dict(extra=1), "config.extra is read by nobody; known: seed, "),
    (dict(image_size=0), "config.image_size is 0, wanted a whole number >= 1"),
    (dict(morphable_model="nobody"), "nobody"),
    (dict(eval={"seed": 1}), "config.eval lacks num_examples"),
    (
      dict(eval={"seed": 1, "num_examples": 1, "x": 2}),
      "config.eval.x is read",
    ),
    (dict(loss={"terms": {"l3": 1}}), "config.loss: loss 'l3' is none of"),
    (dict(prior={"neutral_share": 2.0}), "config.prior: .*neutral_share"),
    (
      dict(encoder={"name": "vgg", "dtype": "float32"}),
      "encoder 'vgg' is none",
    ),
    (dict(steps_per_call=3), "num_steps 4 is no multiple of steps_per_call 3"),
  ],
)
def test_bad_configs_are_refused(tmp_path, changes, message):
  config = tiny_experiment.config(tmp_path, **changes)
  with pytest.raises(config_sections.ConfigError, match=message):
    experiments.build(config)


def test_missing_key_is_named(tmp_path):
  config = tiny_experiment.config(tmp_path)
  del config["num_steps"]
  with pytest.raises(
    config_sections.ConfigError, match="config lacks num_steps"
  ):
    experiments.build(config)
