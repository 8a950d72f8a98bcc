"""Trains (or evaluates) an encoder on synthetic faces.

python -m facerec_jax.main --config=configs/resnet.py --workdir=DIR
"""

from __future__ import annotations

from collections.abc import Mapping
import functools
import json
import pathlib

from absl import logging

from facerec_jax import app
from facerec_jax import experiment as experiments
from facerec_jax import sample_sheet
from facerec_jax import trained_encoder
from facerec_jax.results import figures
from facerec_jax.training import checkpoint
from facerec_jax.training import evaluation
from facerec_jax.training import loop
from facerec_jax.training import metric_writer
from facerec_jax.training import parallel
from facerec_jax.training import steps

_CONFIG = app.define_config("configs/resnet.py")
_WORKDIR = app.define_workdir()
_MODE = app.define_mode()


def main() -> None:
  """The app."""
  workdir = pathlib.Path(app.required("workdir", _WORKDIR.value))
  if _MODE.value == "predict":
    raise app.UsageError(
      "--mode=predict is of facerec_jax.expression; faces are read by "
      "facerec_jax.reconstruct"
    )
  if _MODE.value == "eval":
    try:
      evaluate(workdir)
    except checkpoint.CheckpointError as error:
      raise app.UsageError(error) from error
    return
  try:
    experiment = experiments.build(app.read_config(_CONFIG))
  except experiments.ConfigError as error:
    raise app.UsageError(error) from error
  try:
    state = train(experiment, workdir)
  except (loop.NotFiniteError, checkpoint.CheckpointError) as error:
    raise app.WorkError(error) from error
  print(_summary(workdir, state))


def train(
  experiment: experiments.Experiment, workdir: pathlib.Path
) -> steps.TrainState:
  """Trains an encoder, from the newest checkpoint of the folder if it has one.

  Args:
    experiment: what to train.
    workdir: of checkpoints, metrics and sample images.

  Returns:
    The final state.
  """
  scene = experiments.training_scene(experiment)
  checkpointer = checkpoint.Checkpointer(
    workdir, keep_latest=experiment.keep_checkpoints
  )
  if checkpointer.latest_step is None:
    state = experiments.initial_state(
      experiment, scene.space.mean, scene.space.std
    )
  else:
    state = checkpointer.restore(experiments.state_template(experiment))
    logging.info("resumed at step %d", int(state.step))
  writer = metric_writer.MetricWriter(workdir)
  held_out = functools.cache(
    lambda: parallel.replicate(
      experiments.held_out_scene(experiment, scene.space.mean, scene.space.std)
    )
  )
  final = loop.train(
    state,
    experiment.train_step,
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
  )
  writer.close()
  checkpointer.close()
  return final


def evaluate(workdir: pathlib.Path) -> dict[str, float]:
  """Evaluates the newest checkpoint of a folder; writes eval.json there."""
  encoder = trained_encoder.load(workdir)
  state = encoder.state
  scene = experiments.held_out_scene(
    encoder.experiment, state.code_mean, state.code_std
  )
  metrics = _evaluate(encoder.experiment, *parallel.replicate((state, scene)))
  path = workdir / "eval.json"
  result = {"step": int(state.step), **metrics}
  path.write_text(json.dumps(result, indent=2) + "\n")
  print(format_table(metrics))
  print(f"step {int(state.step)}, written to {path}")
  return metrics


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
  figures.save_image(workdir / "samples" / f"step_{step:08d}.png", sheet)
  writer.image(step, "faces", sheet)


def _summary(workdir, state):
  """The last line of a run: what it reached, and which parameters exactly."""
  metrics = metric_writer.last_scalars(workdir, "train")
  text = metric_writer.format_metrics(metrics)
  digest = checkpoint.fingerprint(state.params)
  return f"step {int(state.step)}  {text}  sha256 {digest}"


if __name__ == "__main__":
  app.run(main)
