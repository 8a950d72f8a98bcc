"""The loop of all trainings: steps, metrics, evaluation, checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
import dataclasses
import math
import time
from typing import Any

from absl import logging
import jax
import tqdm

from facerec_jax.training import checkpoint
from facerec_jax.training import metric_writer
from facerec_jax.training import parallel


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
  """

  num_steps: int
  steps_per_call: int = 1
  log_every: int = 100
  eval_every: int = 0
  checkpoint_every: int = 0
  sample_every: int = 0

  def __post_init__(self):
    if self.num_steps < 1 or self.steps_per_call < 1:
      raise ValueError(
        f"schedule: num_steps {self.num_steps} and steps_per_call "
        f"{self.steps_per_call} must be at least 1"
      )
    for name, value in dataclasses.asdict(self).items():
      if value < 0 or value % self.steps_per_call:
        raise ValueError(
          f"schedule: {name} {value} is no multiple of steps_per_call "
          f"{self.steps_per_call}"
        )

  def is_due(self, name: str, step: int) -> bool:
    """Whether an action of this name is due after `step` steps."""
    every = getattr(self, name)
    return step == self.num_steps or bool(every and step % every == 0)


class NotFiniteError(Exception):
  """Training diverged."""


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
) -> Any:
  """Trains from state.step to schedule.num_steps.

  Args:
    state: pytree with `step`, of one device.
    parallel_step: (replicated state, *constants) -> (state, metrics), takes
      schedule.steps_per_call steps.
    constants: replicated.
    schedule: what happens when.
    checkpointer: saves states.
    config: saved beside them.
    writer: of metrics.
    evaluate: replicated state -> held-out metrics.
    write_samples: (replicated state, step) -> None.
    batch_size: examples per step over all devices, for the rate.

  Returns:
    The final state, of one device.

  Raises:
    NotFiniteError: a metric is NaN or infinite; the last checkpoint is kept.
  """
  step = int(state.step)
  replicated = parallel.replicate(state)
  progress = tqdm.tqdm(
    total=schedule.num_steps * batch_size,
    initial=step * batch_size,
    unit="img",
    unit_scale=True,
    mininterval=1.0,
    # A bar is for terminals; files get the lines of the log.
    disable=None,
  )
  rate = _Rate(step * batch_size)
  while step < schedule.num_steps:
    # Nothing but the arguments crosses to the devices, and nothing implicitly.
    with jax.transfer_guard("disallow"):
      replicated, metrics = parallel_step(replicated, *constants)
    step += schedule.steps_per_call
    if schedule.is_due("log_every", step):
      values = _finite(jax.device_get(parallel.unreplicate(metrics)), step)
      progress.set_postfix_str(f"loss {values['loss']:.3f}")
      values["images_per_second"] = rate(step * batch_size)
      writer.scalars(step, "train", values)
    progress.update(schedule.steps_per_call * batch_size)
    _after_step(
      replicated,
      step,
      schedule,
      evaluate=evaluate,
      write_samples=write_samples,
      writer=writer,
      save=lambda state, held_out, step=step: checkpointer.save(
        step, state, config, held_out
      ),
    )
  progress.close()
  return parallel.unreplicate(replicated)


def _after_step(
  replicated, step, schedule, *, evaluate, write_samples, writer, save
):
  due = {
    name: schedule.is_due(name, step)
    for name in ("eval_every", "sample_every", "checkpoint_every")
  }
  if not any(due.values()):
    return
  held_out = None
  if due["eval_every"]:
    held_out = evaluate(replicated)
    writer.scalars(step, "eval", held_out)
  if due["sample_every"]:
    write_samples(replicated, step)
  if due["checkpoint_every"]:
    save(parallel.unreplicate(replicated), held_out)


class _Rate:
  """Images per second since the last call."""

  def __init__(self, count):
    self._count, self._time = count, time.monotonic()

  def __call__(self, count):
    now = time.monotonic()
    rate = (count - self._count) / max(now - self._time, 1e-9)
    self._count, self._time = count, now
    return rate


def _finite(metrics, step):
  values = {name: float(value) for name, value in metrics.items()}
  bad = [name for name, value in values.items() if not math.isfinite(value)]
  if bad:
    logging.error("step %d: %s", step, metric_writer.format_metrics(values))
    raise NotFiniteError(
      f"step {step}: {', '.join(bad)} not finite; lower "
      "config.optimizer.learning_rate and resume from the last checkpoint"
    )
  return values
