"""Watching a training: are its numbers finite, how fast is it, how long yet?"""

from __future__ import annotations

import collections
import datetime
import time
from typing import Any

from absl import logging
import numpy as np

from facerec_jax.training import metric_writer
from facerec_jax.training import parallel

# Calls that may be under way before the numbers of the oldest are looked at:
# enough to keep devices busy, few enough that a broken run stops soon.
_CALLS_UNDER_WAY = 8


class NotFiniteError(Exception):
  """Training diverged."""


class FiniteWatch:
  """Looks at the metrics of every step, a few calls behind the devices."""

  def __init__(self, max_skipped_steps: int = 0):
    """Starts without numbers.

    Args:
      max_skipped_steps: steps in a row that may have been skipped, see
        `steps.update`.
    """
    self._max_skipped = max_skipped_steps
    self._under_way = collections.deque()
    self._in_a_row = 0
    self._skipped = 0
    self._values = {}

  def add(self, step: int, metrics: Any) -> None:
    """Takes the metrics of one call.

    Args:
      step: finished steps after it.
      metrics: scalars by name, or [steps] of several steps; still on devices,
        with their axis.

    Raises:
      NotFiniteError: an older call's metric is NaN or infinite.
    """
    self._under_way.append((step, metrics))
    if len(self._under_way) > _CALLS_UNDER_WAY:
      self._look()

  def values(self) -> dict[str, float]:
    """Waits for all calls; the metrics of the last step that was not skipped.

    Returns:
      Numbers by name; `skipped` counts the steps that were skipped so far.

    Raises:
      NotFiniteError: a metric is NaN or infinite.
    """
    while self._under_way:
      self._look()
    values = dict(self._values)
    if self._max_skipped:
      values["skipped"] = self._skipped
    return values

  def _look(self):
    last, metrics = self._under_way.popleft()
    columns = {
      name: np.atleast_1d(value)
      for name, value in parallel.to_host(metrics).items()
    }
    (count,) = {len(column) for column in columns.values()}
    for index in range(count):
      values = {name: float(values[index]) for name, values in columns.items()}
      self._check(last - count + 1 + index, values)

  def _check(self, step, values):
    bad = [name for name, value in values.items() if not np.isfinite(value)]
    skipped = values.pop("skipped", 0.0)
    if skipped:
      self._skipped += 1
      self._in_a_row += 1
      logging.warning("step %d skipped: %s not finite", step, ", ".join(bad))
      if self._in_a_row <= self._max_skipped:
        return
    elif not bad:
      self._in_a_row = 0
      self._values = values
      return
    logging.error("step %d: %s", step, metric_writer.format_metrics(values))
    raise NotFiniteError(f"step {step}: {', '.join(bad)} not finite")


class Speed:
  """Rate of training without its pauses, and the time that is left."""

  def __init__(self, step: int, num_steps: int, batch_size: int):
    """Starts the clock.

    Args:
      step: finished steps.
      num_steps: of the whole training.
      batch_size: images of a step.
    """
    self._num_steps = num_steps
    self._batch_size = batch_size
    self._step, self._start = step, time.monotonic()

  def pause(self, seconds: float) -> None:
    """Leaves out time that was not spent on training."""
    self._start += seconds

  def measure(self, step: int) -> tuple[float, str]:
    """Measures since the last call.

    Args:
      step: finished steps.

    Returns:
      (images per second, such as "5 %, 0:02:31 left").
    """
    now = time.monotonic()
    seconds = max(now - self._start, 1e-9) / max(step - self._step, 1)
    self._step, self._start = step, now
    left = datetime.timedelta(seconds=round((self._num_steps - step) * seconds))
    note = f"{100 * step // self._num_steps} %, {left} left"
    return self._batch_size / seconds, note
