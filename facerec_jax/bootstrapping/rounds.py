"""The rounds: read, make a bank, learn, read again."""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
import functools
import pathlib

from absl import logging
import jax.numpy as jnp
import numpy as np

from facerec_jax import experiment as experiments
from facerec_jax import training_run
from facerec_jax.bootstrapping import guards
from facerec_jax.bootstrapping import learning
from facerec_jax.bootstrapping import readings
from facerec_jax.training import checkpoint
from facerec_jax.training import metric_writer
from facerec_jax.training import steps
from facerec_jax.training import stopping

FOLDER = "rounds"


class NothingFitsError(Exception):
  """No photograph is left to adapt to."""


def run(
  experiment: experiments.Experiment,
  start: steps.TrainState,
  photos: readings.Photos,
  workdir: pathlib.Path,
) -> list[readings.Reading]:
  """Adapts an encoder; goes on where the work folder shows an earlier run.

  Args:
    experiment: with `bootstrap` settings; `schedule.num_steps` is the length of
      a round.
    start: state of the encoder to start from.
    photos: to adapt to, and held-out ones.
    workdir: of checkpoints, metrics and readings.

  Returns:
    Readings before the first round and after each; fewer than rounds + 1 if it
    was asked to stop.

  Raises:
    NothingFitsError: no photograph is left.
    CollapseError: see `guards.check`.
    ReadingError: see `readings.load`.
    ConfigChangedError: the work folder is of another run.
    CheckpointError: checkpoints are damaged, or cannot be written.
    NotFiniteError: see `loop.train`.
  """
  with stopping.StopRequest() as request:
    context = learning.create_context(experiment, start, photos)
    checkpointer = checkpoint.Checkpointer(
      workdir,
      keep_latest=experiment.keep_checkpoints,
      facts=experiments.facts(experiment),
    )
    state = _first_state(experiment, checkpointer, start)
    writer = metric_writer.MetricWriter(workdir, resumed_at=int(state.step))
    learn = functools.partial(
      learning.learn,
      context,
      checkpointer=checkpointer,
      writer=writer,
      stop=stopping.agreement(request),
    )
    try:
      return _rounds(context, state, workdir / FOLDER, learn, writer)
    finally:
      writer.close()
      checkpointer.close()


def _first_state(experiment, checkpointer, start):
  if checkpointer.latest_step is None:
    return learning.begin(
      experiment, start.replace(step=jnp.zeros((), jnp.int32))
    )
  return training_run.resume(experiment, checkpointer)


def _rounds(context, state, folder, learn: Callable, writer):
  experiment, found = context.experiment, []
  length = experiment.schedule.num_steps
  for number in range(experiment.bootstrap.rounds + 1):
    path = folder / f"round_{number}.npz"
    if path.exists():
      found.append(readings.load(path, context.photos))
    elif int(state.step) > number * length:
      raise readings.ReadingError(
        f"{path} is missing; start anew with another --workdir"
      )
    else:
      found.append(_read(context, state, number, writer))
      readings.save(path, found[-1], context.photos)
    _check(context, found, number)
    end = (number + 1) * length
    if number == experiment.bootstrap.rounds or int(state.step) >= end:
      continue
    state = learn(state, found[-1], number)
    if int(state.step) < end:
      # Asked to stop; what is left of the round waits for the next run.
      break
  return found


def _read(context, state, number, writer):
  experiment = context.experiment
  reading = readings.read(experiment, state, context.photos, context.fitting)
  reading = dataclasses.replace(reading, synthetic=context.judge(state))
  step = number * experiment.schedule.num_steps
  writer.scalars(step, "photos", photo_scalars(reading, context.photos))
  writer.scalars(step, "codes", guards.scalars(_statistics(context, reading)))
  return reading


def photo_scalars(
  reading: readings.Reading, photos: readings.Photos
) -> dict[str, float]:
  """Mean errors of photographs that were adapted to, and of the others."""
  values: dict[str, float] = {}
  parts = {"adapted": ~photos.held_out, "held_out": photos.held_out}
  for name, part in parts.items():
    if part.any():
      values[f"{name}/color"] = float(reading.color[part].mean())
      known = reading.landmark[part]
      known = known[np.isfinite(known)]
      if len(known):
        values[f"{name}/landmark_nme"] = float(known.mean())
  values["kept"] = int(reading.kept.sum())
  values["left_out"] = int((~photos.held_out & ~reading.kept).sum())
  return values


def _statistics(context, reading):
  prior, layout = context.fitting.prior, context.experiment.layout
  adapted = reading.codes[~context.photos.held_out]
  return guards.measure(adapted, prior.mean, prior.std, layout)


def _check(context, found, number):
  limits = context.experiment.bootstrap.guards
  count = int((~context.photos.held_out).sum())
  kept = int(found[-1].kept.sum())
  guards.check(
    _statistics(context, found[-1]),
    _statistics(context, found[0]),
    limits,
    count=count,
    number=number,
  )
  if kept < count:
    logging.warning(
      "after round %d: %d of %d photographs are left out, whose rendering does "
      "not fit",
      number,
      count - kept,
      count,
    )
  if not kept and context.experiment.bootstrap.prior_share < 1:
    raise NothingFitsError(
      f"after round {number} the rendering fits none of {count} photographs; "
      "look at them, or raise config.bootstrap.guards.max_color and "
      "max_landmark"
    )
