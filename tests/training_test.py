"""Determinism, resuming and devices: the promises of a training run."""

import dataclasses
import functools
import json
import re
import shutil

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_experiment

from facerec_jax import config_sections
from facerec_jax import experiment as experiments
from facerec_jax import main
from facerec_jax import scenes
from facerec_jax import trained_encoder
from facerec_jax import training_run
from facerec_jax.training import checkpoint
from facerec_jax.training import config_changes
from facerec_jax.training import loop
from facerec_jax.training import parallel


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


def test_a_run_of_another_config_is_refused(finished):
  config, workdir, _ = finished
  changed = {**config, "seed": 5, "log_every": 2}
  changed["loss"] = {**config["loss"], "terms": {"code": 1.0}}
  with pytest.raises(config_changes.ConfigChangedError) as error:
    _train(changed, workdir)
  assert re.fullmatch(
    r"loss.terms.code was 0.0, is 1.0; loss.terms.landmarks was 0.0, is absent;"
    r".*; seed was 0, is 5",
    str(error.value),
  )


def test_a_run_of_another_face_model_is_refused(finished, monkeypatch):
  config, workdir, _ = finished
  other = {"morphable_model": "another fingerprint"}
  monkeypatch.setattr(experiments, "facts", lambda experiment: other)
  with pytest.raises(
    config_changes.ConfigChangedError, match="^morphable_model itself"
  ):
    _train(config, workdir)


def test_accepted_changes_go_on(finished, tmp_path):
  config, workdir, _ = finished
  shutil.copytree(workdir, tmp_path / "work")
  longer = experiments.build({**config, "num_steps": 6})
  state = training_run.train(longer, tmp_path / "work", accept_changes=True)
  assert int(state.step) == 6


class _Plain(nn.Module):
  """An encoder without BatchNorm."""

  num_outputs: int

  @nn.compact
  def __call__(self, images, train):
    del train
    small = images.reshape(-1, 8, 4, 8, 4, 3).mean((2, 4))
    features = nn.tanh(nn.Dense(16)(small.reshape(len(images), -1)))
    return nn.Dense(self.num_outputs)(features)


@pytest.fixture(scope="module")
def plain(finished):
  """An experiment without BatchNorm: (experiment, state, scene, examples)."""
  experiment = experiments.build(finished[0])
  experiment = dataclasses.replace(
    experiment, encoder=_Plain(experiment.layout.size)
  )
  scene = scenes.training_scene(experiment)
  state = scenes.initial_state(experiment, scene.space.mean, scene.space.std)
  state, scene = parallel.replicate((state, scene))
  examples = parallel.parallelize(experiment.make_examples)(scene, state.step)
  return experiment, state, scene, examples


def _one_update(plain, **changes):
  experiment, *arguments = plain
  update = functools.partial(experiment.update, **changes)
  return parallel.to_host(parallel.parallelize(update)(*arguments))


def test_accumulated_parts_are_the_whole_batch(plain):
  whole, metrics = _one_update(plain)
  parts, part_metrics = _one_update(plain, accumulate_steps=4)
  for name, value in metrics.items():
    assert part_metrics[name] == pytest.approx(value, rel=1e-5), name
  # Adam's first moments are proportional to the gradient.
  for one, other in zip(
    jax.tree.leaves(whole.opt_state),
    jax.tree.leaves(parts.opt_state),
    strict=True,
  ):
    np.testing.assert_allclose(one, other, atol=1e-6, rtol=1e-4)


def test_a_broken_step_is_skipped(plain):
  experiment, state, scene, examples = plain
  broken = examples._replace(image=examples.image.at[0, 0].set(jnp.nan))
  plain = experiment, state, scene, broken
  new, metrics = _one_update(plain, skip_not_finite=True)
  assert metrics["skipped"] == 1.0 and np.isnan(metrics["loss"])
  assert new.step == 1
  old = parallel.to_host(state).replace(step=new.step)
  jax.tree.map(np.testing.assert_array_equal, new, old)


def test_metrics_tell_rate_and_norms(finished):
  _, workdir, _ = finished
  lines = (workdir / "metrics.jsonl").read_text().splitlines()
  steps = [json.loads(line) for line in lines if '"train"' in line]
  # One step of warm-up, then a cosine from the peak to zero in three.
  rates = [0.0, 2e-3, 1.5e-3, 0.5e-3]
  assert [step["learning_rate"] for step in steps] == pytest.approx(rates)
  for step in steps:
    assert step["gradient_norm"] > 0 and step["images_per_second"] > 0
    # The first layers' weights alone are larger than 1.
    assert 1 < step["parameter_norm"] < 100


def test_bfloat16_is_for_computation_alone(finished, plain):
  config, (_, _, scene, examples) = finished[0], plain
  half = {**config, "encoder": {**config["encoder"], "dtype": "bfloat16"}}
  experiment = experiments.build(half)
  shapes = jax.tree.map(
    lambda leaf: jax.ShapeDtypeStruct((1, *leaf.shape), leaf.dtype),
    scenes.state_template(experiment),
  )
  update = parallel.parallelize(experiment.update)
  program, results = jax.make_jaxpr(update, return_shape=True)(
    shapes, scene, examples
  )
  assert "bf16[" in str(program)
  types = {leaf.dtype for leaf in jax.tree.leaves(results)}
  assert types == {jnp.dtype("float32"), jnp.dtype("int32")}


def test_the_checkpoint_reads_faces(finished):
  config, workdir, state = finished
  encoder = trained_encoder.load(workdir)
  assert encoder.experiment.config == experiments.build(config).config
  assert encoder.image_size == 32 and not encoder.face_mask
  images = np.random.default_rng(0).uniform(size=(3, 32, 32, 3))
  codes = encoder.predict(images)
  assert codes.shape == (3, encoder.layout.size)
  jax.tree.map(np.testing.assert_array_equal, encoder.state, state)


def test_all_saved_steps_are_evaluated(finished, tmp_path, capsys):
  _, workdir, _ = finished
  shutil.copytree(workdir, tmp_path / "work")
  newest = main.evaluate(tmp_path / "work")
  every = main.evaluate(tmp_path / "work", "all")
  assert every == newest
  results = json.loads((tmp_path / "work" / "eval_steps.json").read_text())
  assert [result["step"] for result in results] == [2, 4]
  assert results[1]["vertex_mm"] == newest["vertex_mm"]
  assert results[0]["vertex_mm"] != newest["vertex_mm"]
  assert "step 2: albedo_sd " in capsys.readouterr().out
  with pytest.raises(checkpoint.CheckpointError, match="or some of 2, 4$"):
    main.evaluate(tmp_path / "work", "2,3")


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
  with pytest.raises(loop.NotFiniteError, match=r"^step \d: .*not finite"):
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
