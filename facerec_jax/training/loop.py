"""The loop of all trainings: steps, metrics, evaluation, checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
import dataclasses
import functools
import time
from typing import Any

from absl import logging
import tqdm

from facerec_jax.training import checkpoint
from facerec_jax.training import metric_writer
from facerec_jax.training import parallel
from facerec_jax.training import watching

NotFiniteError = watching.NotFiniteError


@dataclasses.dataclass(frozen=True)
class Schedule:
  """What a loop does when, in steps; 0 means never but at the end.

  Attributes:
    num_steps: of the whole training.
    steps_per_call: of one device call; divides all other numbers.
    log_every: metrics of training.
    eval_every: evaluation on held-out data.
    checkpoint_every: saving.
    sample_every: sample images.
    max_skipped_steps: steps in a row that may be skipped because their loss is
      NaN or infinite; need not be a multiple of steps_per_call.
  """

  num_steps: int
  steps_per_call: int = 1
  log_every: int = 100
  eval_every: int = 0
  checkpoint_every: int = 0
  sample_every: int = 0
  max_skipped_steps: int = 0

  def __post_init__(self):
    if self.num_steps < 1 or self.steps_per_call < 1:
      raise ValueError(
        f"schedule: num_steps {self.num_steps} and steps_per_call "
        f"{self.steps_per_call} must be at least 1"
      )
    if self.max_skipped_steps < 0:
      raise ValueError(
        f"schedule: max_skipped_steps is {self.max_skipped_steps}, wanted 0 "
        "or more"
      )
    for name, value in dataclasses.asdict(self).items():
      if name == "max_skipped_steps":
        continue
      if value < 0 or value % self.steps_per_call:
        raise ValueError(
          f"schedule: {name} {value} is no multiple of steps_per_call "
          f"{self.steps_per_call}"
        )

  def is_due(self, name: str, step: int) -> bool:
    """Whether an action of this name is due after `step` steps."""
    every = getattr(self, name)
    return step == self.num_steps or bool(every and step % every == 0)


def train(
  state: Any,
  parallel_step: Callable,
  constants: tuple,
  schedule: Schedule,
  *,
  checkpointer: checkpoint.Checkpointer,
  config: Mapping[str, Any],
  writer: metric_writer.MetricWriter,
  evaluate: Callable[[Any], Mapping[str, float]],
  write_samples: Callable[[Any, int], None],
  batch_size: int,
  stop: Callable[[], bool] = lambda: False,
) -> Any:
  """Trains from state.step to schedule.num_steps.

  Args:
    state: pytree with `step`, of one device.
    parallel_step: (replicated state, *constants) -> (state, metrics), takes
      schedule.steps_per_call steps; metrics are scalars, or [steps_per_call].
    constants: replicated.
    schedule: what happens when.
    checkpointer: saves states.
    config: saved beside them.
    writer: of metrics.
    evaluate: replicated state -> held-out metrics.
    write_samples: (replicated state, step) -> None.
    batch_size: examples per step over all devices, for the rate.
    stop: asked before each call; True saves and ends, see `stopping`.

  Returns:
    The final state, of one device; its `step` is smaller than
    schedule.num_steps if it was stopped.

  Raises:
    NotFiniteError: a metric is NaN or infinite; the last checkpoint is kept.
    CheckpointError: a checkpoint cannot be written.
  """
  step = int(state.step)
  replicated = parallel.replicate(state)
  watch = watching.FiniteWatch(schedule.max_skipped_steps)
  speed = watching.Speed(step, schedule.num_steps, batch_size)
  save = functools.partial(checkpointer.save, config=config)
  with _progress_bar(schedule, step, batch_size) as progress:
    while step < schedule.num_steps and not stop():
      with parallel.no_transfers():
        replicated, metrics = parallel_step(replicated, *constants)
      step += schedule.steps_per_call
      watch.add(step, metrics)
      if schedule.is_due("log_every", step):
        _log(writer, progress, step, watch.values(), speed)
      progress.update(schedule.steps_per_call * batch_size)
      due = _due(schedule, step)
      if due:
        # Nothing broken is evaluated or saved.
        watch.values()
        start = time.monotonic()
        _after_step(
          due, replicated, step, evaluate, write_samples, writer, save
        )
        speed.pause(time.monotonic() - start)
  final = parallel.unreplicate(replicated)
  if step < schedule.num_steps:
    watch.values()
    save(step, final)
    logging.info(
      "stopped at step %d of %d; the same command goes on from there",
      step,
      schedule.num_steps,
    )
  return final


def _progress_bar(schedule, step, batch_size):
  return tqdm.tqdm(
    total=schedule.num_steps * batch_size,
    initial=step * batch_size,
    unit="img",
    unit_scale=True,
    mininterval=1.0,
    # A bar is for terminals; files get the lines of the log.
    disable=None if parallel.is_first_process() else True,
  )


def _log(writer, progress, step, values, speed):
  if "loss" in values:
    progress.set_postfix_str(f"loss {values['loss']:.3f}")
  rate, note = speed.measure(step)
  writer.scalars(step, "train", {**values, "images_per_second": rate}, note)


def _due(schedule, step):
  names = ("eval_every", "sample_every", "checkpoint_every")
  return {name for name in names if schedule.is_due(name, step)}


def _after_step(due, replicated, step, evaluate, write_samples, writer, save):
  held_out = None
  if "eval_every" in due:
    held_out = evaluate(replicated)
    writer.scalars(step, "eval", held_out)
  if "sample_every" in due:
    write_samples(replicated, step)
  if "checkpoint_every" in due:
    save(step, parallel.unreplicate(replicated), metrics=held_out)
