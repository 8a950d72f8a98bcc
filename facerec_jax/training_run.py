"""One training of an encoder: from its scene and work folder to the end."""

from __future__ import annotations

import functools
import pathlib

from absl import logging
import jax

from facerec_jax import experiment as experiments
from facerec_jax import sample_sheet
from facerec_jax import scenes
from facerec_jax.results import figures
from facerec_jax.training import checkpoint
from facerec_jax.training import config_changes
from facerec_jax.training import evaluation
from facerec_jax.training import loop
from facerec_jax.training import metric_writer
from facerec_jax.training import parallel
from facerec_jax.training import steps
from facerec_jax.training import stopping


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
    scene = scenes.training_scene(experiment)
    checkpointer = checkpoint.Checkpointer(
      workdir,
      keep_latest=experiment.keep_checkpoints,
      facts=experiments.facts(experiment),
    )
    state = _first_state(experiment, checkpointer, scene, accept_changes)
    writer = metric_writer.MetricWriter(workdir, resumed_at=int(state.step))
    held_out = functools.cache(
      lambda: parallel.replicate(
        scenes.held_out_scene(experiment, scene.space.mean, scene.space.std)
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
        evaluate=lambda state: evaluate(experiment, state, held_out()),
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
    state = resume(experiment, checkpointer, accept_changes=accept_changes)
  else:
    state = scenes.initial_state(experiment, scene.space.mean, scene.space.std)
  return parallel.from_first_process(state)


def resume(
  experiment: experiments.Experiment,
  checkpointer: checkpoint.Checkpointer,
  *,
  accept_changes: bool = False,
) -> steps.TrainState:
  """The state of the newest checkpoint.

  Args:
    experiment: what is trained.
    checkpointer: of a folder with checkpoints.
    accept_changes: whether they may be of another config.

  Raises:
    ConfigChangedError: they are of another run.
    CheckpointError: they are damaged.
  """
  if not accept_changes:
    config_changes.check(
      checkpointer,
      experiment.config,
      experiments.facts(experiment),
      free_keys=experiments.FREE_KEYS,
    )
  state = checkpointer.restore(scenes.state_template(experiment))
  logging.info("resumed at step %d", int(state.step))
  return state


def evaluate(
  experiment: experiments.Experiment,
  state: steps.TrainState,
  scene: steps.Scene,
) -> dict[str, float]:
  """Errors on held-out faces, see `evaluation.evaluate`.

  Args:
    experiment: with `eval` settings.
    state: of the encoder, replicated.
    scene: held-out, replicated.
  """
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


def evaluate_each(
  experiment: experiments.Experiment,
  state: steps.TrainState,
  scene: steps.Scene,
  count: int,
) -> evaluation.Readings:
  """Errors on the first held-out faces one by one, of this host's devices.

  Args:
    experiment: whose faces and encoder these are.
    state: of the encoder, of one device.
    scene: held-out, of one device.
    count: of faces.
  """
  found = evaluation.evaluate_each(
    *parallel.replicate((state, scene)),
    encoder=experiment.encoder,
    layout=experiment.layout,
    make_examples=experiment.make_examples,
    image_size=experiment.image_size,
    num_batches=-(-count // experiment.batch_size),
  )
  return jax.tree.map(lambda values: values[:count], found)


def _write_samples(workdir, writer, step, sheet):
  if not parallel.is_first_process():
    return
  figures.save_image(workdir / "samples" / f"step_{step:08d}.png", sheet)
  writer.image(step, "faces", sheet)
