"""Optimizers by name, with their learning-rate schedules."""

from __future__ import annotations

from collections.abc import Callable
import functools
from typing import NamedTuple

import optax

OPTIMIZERS = ("adam", "adamw", "adadelta")
SCHEDULES = ("constant", "cosine")


class Optimizer(NamedTuple):
  """An `optax.GradientTransformation` that knows its learning rate.

  Attributes:
    init: params -> state.
    update: (gradient, state, params) -> (updates, state).
    learning_rate: step -> learning rate.
  """

  init: Callable
  update: Callable
  learning_rate: optax.Schedule


# One object per setting: programs that use it need not be compiled again.
@functools.lru_cache
def create(
  *,
  name: str,
  learning_rate: float,
  schedule: str,
  warmup_steps: int,
  weight_decay: float,
  max_gradient_norm: float,
  num_steps: int,
) -> Optimizer:
  """Makes an optimizer.

  Args:
    name: one of `OPTIMIZERS`.
    learning_rate: at its peak.
    schedule: "constant", or "cosine" down to zero at num_steps.
    warmup_steps: of linear growth from zero.
    weight_decay: of adamw; must be 0 for the others.
    max_gradient_norm: larger gradients are scaled down; 0 is no limit.
    num_steps: of the whole training.

  Returns:
    The optimizer.

  Raises:
    ValueError: an unknown name, or a setting that the optimizer ignores.
  """
  if name not in OPTIMIZERS:
    raise ValueError(f"optimizer {name!r} is none of {', '.join(OPTIMIZERS)}")
  if weight_decay and name != "adamw":
    raise ValueError(
      f"optimizer {name}: weight_decay {weight_decay} has no effect; use adamw"
    )
  rate = learning_rate_schedule(
    learning_rate=learning_rate,
    schedule=schedule,
    warmup_steps=warmup_steps,
    num_steps=num_steps,
  )
  if name == "adamw":
    optimizer = optax.adamw(rate, weight_decay=weight_decay)
  elif name == "adam":
    optimizer = optax.adam(rate)
  else:
    optimizer = optax.adadelta(rate)
  if max_gradient_norm:
    optimizer = optax.chain(
      optax.clip_by_global_norm(max_gradient_norm), optimizer
    )
  return Optimizer(*optimizer, learning_rate=rate)


def learning_rate_schedule(
  *, learning_rate: float, schedule: str, warmup_steps: int, num_steps: int
) -> optax.Schedule:
  """Step -> learning rate.

  Raises:
    ValueError: an unknown schedule, or a warm-up longer than the training.
  """
  if schedule not in SCHEDULES:
    raise ValueError(f"schedule {schedule!r} is none of {', '.join(SCHEDULES)}")
  if warmup_steps >= num_steps:
    raise ValueError(
      f"schedule: warmup_steps {warmup_steps} must be fewer than num_steps "
      f"{num_steps}"
    )
  if schedule == "cosine":
    return optax.warmup_cosine_decay_schedule(
      0.0 if warmup_steps else learning_rate,
      learning_rate,
      warmup_steps,
      num_steps,
    )
  return optax.linear_schedule(
    0.0 if warmup_steps else learning_rate, learning_rate, max(1, warmup_steps)
  )
