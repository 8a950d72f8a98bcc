"""Trains (or evaluates) an encoder on synthetic faces.

python -m facerec_jax.main --config=configs/resnet.py --workdir=DIR
"""

from __future__ import annotations

from collections.abc import Mapping
import functools
import json
import pathlib

from absl import flags
from absl import logging

from facerec_jax import app
from facerec_jax import experiment as experiments
from facerec_jax import sample_sheet
from facerec_jax import trained_encoder
from facerec_jax.results import figures
from facerec_jax.training import checkpoint
from facerec_jax.training import config_changes
from facerec_jax.training import evaluation
from facerec_jax.training import loop
from facerec_jax.training import metric_writer
from facerec_jax.training import parallel
from facerec_jax.training import steps
from facerec_jax.training import stopping

_CONFIG = app.define_config("configs/resnet.py")
_WORKDIR = app.define_workdir()
_MODE = flags.DEFINE_enum(
  "mode",
  "train",
  ["train", "eval"],
  "train: train, or resume where the workdir has a checkpoint. eval: print and "
  "save the metrics of its newest checkpoint.",
)
_EVAL_STEPS = flags.DEFINE_string(
  "eval_steps",
  "newest",
  "With --mode=eval: newest, all, or the steps of saved checkpoints, such as "
  "2000,4000.",
)
_ACCEPT_CHANGES = flags.DEFINE_bool(
  "accept_changes",
  False,
  "Resume although the checkpoint was made with another config; what was "
  "learned must fit the new one.",
)


def main() -> None:
  """The app."""
  workdir = pathlib.Path(app.required("workdir", _WORKDIR.value))
  if _MODE.value == "eval":
    try:
      evaluate(workdir, _EVAL_STEPS.value)
    except checkpoint.CheckpointError as error:
      raise app.UsageError(error) from error
    return
  try:
    experiment = experiments.build(app.read_config(_CONFIG))
    state = train(experiment, workdir, accept_changes=_ACCEPT_CHANGES.value)
  except experiments.ConfigError as error:
    raise app.UsageError(error) from error
  except config_changes.ConfigChangedError as error:
    raise app.UsageError(
      f"{workdir} has a checkpoint of another run: {error}; choose another "
      "--workdir, or go on with the changes by --accept_changes"
    ) from error
  except loop.NotFiniteError as error:
    raise app.WorkError(_advice(error, workdir)) from error
  except (checkpoint.CheckpointError, OSError) as error:
    raise app.WorkError(error) from error
  if parallel.is_first_process():
    print(_summary(workdir, state))


def train(
  experiment: experiments.Experiment,
  workdir: pathlib.Path,
  *,
  accept_changes: bool = False,
) -> steps.TrainState:
  """Trains an encoder, from the newest checkpoint of the folder if it has one.

  SIGTERM or SIGINT saves and returns early.

  Args:
    experiment: what to train.
    workdir: of checkpoints, metrics and sample images.
    accept_changes: whether to continue a checkpoint of another config.

  Returns:
    The final state.

  Raises:
    ConfigError: the batch does not divide among the devices.
    ConfigChangedError: the checkpoint is of another run.
    CheckpointError: checkpoints are damaged, or cannot be written.
    NotFiniteError: training diverged.
  """
  train_step = experiment.train_step
  with stopping.StopRequest() as request:
    scene = experiments.training_scene(experiment)
    checkpointer = checkpoint.Checkpointer(
      workdir,
      keep_latest=experiment.keep_checkpoints,
      facts=experiments.facts(experiment),
    )
    state = _first_state(experiment, checkpointer, scene, accept_changes)
    writer = metric_writer.MetricWriter(workdir, resumed_at=int(state.step))
    held_out = functools.cache(
      lambda: parallel.replicate(
        experiments.held_out_scene(
          experiment, scene.space.mean, scene.space.std
        )
      )
    )
    try:
      return loop.train(
        state,
        train_step,
        (parallel.replicate(scene),),
        experiment.schedule,
        checkpointer=checkpointer,
        config=experiment.config,
        writer=writer,
        evaluate=lambda state: _evaluate(experiment, state, held_out()),
        write_samples=lambda state, step: _write_samples(
          workdir,
          writer,
          step,
          sample_sheet.sample_sheet(experiment, state, held_out()),
        ),
        batch_size=experiment.batch_size,
        stop=stopping.agreement(request),
      )
    finally:
      writer.close()
      checkpointer.close()


def _first_state(experiment, checkpointer, scene, accept_changes):
  """The newest checkpoint's state, or a new one; equal on all processes."""
  # Only the first process needs to see the folder.
  if parallel.is_first_process() and checkpointer.latest_step is not None:
    if not accept_changes:
      config_changes.check(
        checkpointer,
        experiment.config,
        experiments.facts(experiment),
        free_keys=experiments.FREE_KEYS,
      )
    state = checkpointer.restore(experiments.state_template(experiment))
    logging.info("resumed at step %d", int(state.step))
  else:
    state = experiments.initial_state(
      experiment, scene.space.mean, scene.space.std
    )
  return parallel.from_first_process(state)


def evaluate(workdir: pathlib.Path, which: str = "newest") -> dict[str, float]:
  """Evaluates checkpoints of a folder.

  Writes eval.json, and of several steps also eval_steps.json.

  Args:
    workdir: the folder.
    which: "newest", "all", or steps such as "100,200".

  Returns:
    The metrics of the last one.

  Raises:
    CheckpointError: there is none, or not of these steps.
  """
  encoder = trained_encoder.load(workdir)
  experiment = encoder.experiment
  scene = parallel.replicate(
    experiments.held_out_scene(
      experiment, encoder.state.code_mean, encoder.state.code_std
    )
  )
  results = []
  for state in _saved_states(workdir, which, encoder):
    metrics = _evaluate(experiment, parallel.replicate(state), scene)
    results.append({"step": int(state.step), **metrics})
    if which != "newest":
      print(f"step {int(state.step)}: {metric_writer.format_metrics(metrics)}")
  path = workdir / "eval.json"
  path.write_text(json.dumps(results[-1], indent=2) + "\n")
  if which != "newest":
    path = workdir / "eval_steps.json"
    path.write_text(json.dumps(results, indent=2) + "\n")
  print(format_table(metrics))
  print(f"step {results[-1]['step']}, written to {path}")
  return metrics


def _saved_states(workdir, which, encoder):
  """Yields the states of the chosen checkpoints."""
  if which == "newest":
    yield encoder.state
    return
  checkpointer = checkpoint.Checkpointer(workdir)
  try:
    for step in _chosen_steps(which, checkpointer.all_steps):
      yield checkpointer.restore(
        experiments.state_template(encoder.experiment), step
      )
  finally:
    checkpointer.close()


def _chosen_steps(which, saved):
  if which == "all":
    return saved
  names = which.split(",")
  chosen = [int(name) for name in names if name.strip().isdecimal()]
  if len(chosen) < len(names) or not set(chosen) <= set(saved):
    raise checkpoint.CheckpointError(
      f"--eval_steps={which}: wanted newest, all, or some of "
      f"{', '.join(map(str, saved))}"
    )
  return sorted(set(chosen))


def format_table(metrics: Mapping[str, float]) -> str:
  """Errors of the encoder beside those of the mean face."""
  names = [name for name in metrics if not name.startswith("mean_face/")]
  lines = [f"{'error':18}{'encoder':>10}{'mean face':>11}"]
  lines += [
    f"{name:18}{metrics[name]:10.4g}{metrics['mean_face/' + name]:11.4g}"
    for name in names
  ]
  return "\n".join(lines)


def _evaluate(experiment, state, scene):
  num_batches = -(-experiment.eval.num_examples // experiment.batch_size)
  return evaluation.evaluate(
    state,
    scene,
    encoder=experiment.encoder,
    layout=experiment.layout,
    make_examples=experiment.make_examples,
    image_size=experiment.image_size,
    num_batches=num_batches,
  )


def _write_samples(workdir, writer, step, sheet):
  if not parallel.is_first_process():
    return
  figures.save_image(workdir / "samples" / f"step_{step:08d}.png", sheet)
  writer.image(step, "faces", sheet)


def _advice(error, workdir):
  step = checkpoint.Checkpointer(workdir).latest_step
  kept = "no checkpoint yet" if step is None else f"step {step} is kept"
  return (
    f"{error}; {kept}. Lower config.optimizer.learning_rate and resume with "
    "--accept_changes, or allow config.max_skipped_steps"
  )


def _summary(workdir, state):
  """The last line of a run: what it reached, and which parameters exactly."""
  metrics = metric_writer.last_scalars(workdir, "train")
  text = metric_writer.format_metrics(metrics)
  digest = checkpoint.fingerprint(state.params)
  return f"step {int(state.step)}  {text}  sha256 {digest}"


if __name__ == "__main__":
  app.run(main)
