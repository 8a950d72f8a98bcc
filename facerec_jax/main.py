"""Trains (or evaluates) an encoder on synthetic faces.

python -m facerec_jax.main --config=configs/resnet.py --workdir=DIR
"""

from __future__ import annotations

from collections.abc import Mapping
import json
import pathlib

from absl import flags

from facerec_jax import app
from facerec_jax import config_sections
from facerec_jax import experiment as experiments
from facerec_jax import scenes
from facerec_jax import trained_encoder
from facerec_jax import training_run
from facerec_jax.training import checkpoint
from facerec_jax.training import config_changes
from facerec_jax.training import loop
from facerec_jax.training import metric_writer
from facerec_jax.training import parallel

_CONFIG = app.define_config("configs/resnet.py")
_WORKDIR = app.define_workdir()
_MODE = app.define_mode(
  train="train, or resume where the workdir has a checkpoint",
  eval="print and save the metrics of its checkpoints",
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
    state = training_run.train(
      experiment, workdir, accept_changes=_ACCEPT_CHANGES.value
    )
  except config_sections.ConfigError as error:
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


def evaluate(workdir: pathlib.Path, which: str = "newest") -> dict[str, float]:
  """Evaluates checkpoints of a folder.

  Writes eval.json, and of chosen steps eval_steps.json as well.

  Args:
    workdir: the folder.
    which: "newest", "all", or steps such as "100,200".

  Returns:
    The metrics of the last one.

  Raises:
    CheckpointError: there is none, or not of these steps.
  """
  encoder = trained_encoder.load(workdir)
  scene = scenes.held_out_scene(
    encoder.experiment, encoder.state.code_mean, encoder.state.code_std
  )
  scene, results = parallel.replicate(scene), []
  for state in _saved_states(workdir, which, encoder):
    metrics = training_run.evaluate(
      encoder.experiment, parallel.replicate(state), scene
    )
    results.append({"step": int(state.step), **metrics})
    if which != "newest":
      ours = {name: metrics[name] for name in _own_names(metrics)}
      print(f"step {int(state.step)}: {metric_writer.format_metrics(ours)}")
  path = workdir / "eval.json"
  path.write_text(json.dumps(results[-1], indent=2) + "\n")
  if which != "newest":
    path = workdir / "eval_steps.json"
    path.write_text(json.dumps(results, indent=2) + "\n")
  print(format_table(metrics))
  print(f"step {results[-1]['step']}, written to {path}")
  return metrics


def _saved_states(workdir, which, encoder):
  """Yields the states of the chosen checkpoints, growing steps."""
  if which == "newest":
    yield encoder.state
    return
  checkpointer = checkpoint.Checkpointer(workdir)
  template = scenes.state_template(encoder.experiment)
  try:
    for step in _chosen_steps(which, checkpointer.all_steps):
      yield checkpointer.restore(template, step)
  finally:
    checkpointer.close()


def _chosen_steps(which, saved):
  if which == "all":
    return saved
  names = which.split(",")
  if not set(names) <= set(map(str, saved)):
    raise checkpoint.CheckpointError(
      f"--eval_steps={which}: wanted newest, all, or some of "
      f"{', '.join(map(str, saved))}"
    )
  return sorted(map(int, set(names)))


def _own_names(metrics):
  return [name for name in metrics if not name.startswith("mean_face/")]


def format_table(metrics: Mapping[str, float]) -> str:
  """Errors of the encoder beside those of the mean face."""
  names = _own_names(metrics)
  lines = [f"{'error':18}{'encoder':>10}{'mean face':>11}"]
  lines += [
    f"{name:18}{metrics[name]:10.4g}{metrics['mean_face/' + name]:11.4g}"
    for name in names
  ]
  return "\n".join(lines)


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
