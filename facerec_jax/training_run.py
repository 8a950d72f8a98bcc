"""One training of an encoder: from its scene and work folder to the end."""

from __future__ import annotations

import functools
import pathlib

from absl import logging

from facerec_jax import experiment as experiments
from facerec_jax import sample_sheet
from facerec_jax import scenes
from facerec_jax.results import figures
from facerec_jax.training import checkpoint
from facerec_jax.training import evaluation
from facerec_jax.training import loop
from facerec_jax.training import metric_writer
from facerec_jax.training import parallel
from facerec_jax.training import steps


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
  scene = scenes.training_scene(experiment)
  checkpointer = checkpoint.Checkpointer(
    workdir, keep_latest=experiment.keep_checkpoints
  )
  if checkpointer.latest_step is None:
    state = scenes.initial_state(experiment, scene.space.mean, scene.space.std)
  else:
    state = checkpointer.restore(scenes.state_template(experiment))
    logging.info("resumed at step %d", int(state.step))
  writer = metric_writer.MetricWriter(workdir)
  held_out = functools.cache(
    lambda: parallel.replicate(
      scenes.held_out_scene(experiment, scene.space.mean, scene.space.std)
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
    evaluate=lambda state: evaluate(experiment, state, held_out()),
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


def _write_samples(workdir, writer, step, sheet):
  figures.save_image(workdir / "samples" / f"step_{step:08d}.png", sheet)
  writer.image(step, "faces", sheet)
