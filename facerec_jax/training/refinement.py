"""Fits the code of one photograph, starting from what an encoder read."""

from __future__ import annotations

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from facerec_jax.face import code_vector
from facerec_jax.training import self_supervision

# What changes in the first stage: a wrong pose or light would be explained by
# the wrong shape or skin.
_FIRST_GROUPS = ("rotation", "translation", "illumination")


@dataclasses.dataclass(frozen=True)
class Schedule:
  """How a code is fitted; hashable.

  Attributes:
    steps: of gradient descent (Adam).
    step_size: of the first steps, standard deviations of the prior; falls to 0
      along a cosine.
    first_stage: share of the steps that change pose, place and light alone.
  """

  steps: int
  step_size: float = 0.2
  first_stage: float = 0.2

  def __post_init__(self):
    if not isinstance(self.steps, int) or self.steps < 1:
      raise ValueError(
        f"refinement: steps is {self.steps!r}, wanted a whole number >= 1"
      )
    if self.step_size <= 0:
      raise ValueError(
        f"refinement: step_size is {self.step_size}, wanted more than 0"
      )
    if not 0 <= self.first_stage < 1:
      raise ValueError(
        f"refinement: first_stage is {self.first_stage}, wanted 0 to below 1"
      )


class Refined(NamedTuple):
  """A fitted code; leading axes, if any, are batch axes.

  Attributes:
    flat: [..., D] the code of the lowest energy on the way.
    before: {name: [...]} the terms of `self_supervision.energy` at the start,
      and their sum as `energy`.
    after: {name: [...]} of `flat`.
  """

  flat: jax.Array
  before: dict[str, jax.Array]
  after: dict[str, jax.Array]


@functools.partial(jax.jit, static_argnames=("layout", "schedule", "objective"))
def refine(
  scene: self_supervision.FittingScene,
  photo: self_supervision.Photo,
  flat,
  *,
  layout: code_vector.CodeLayout,
  schedule: Schedule,
  objective: self_supervision.Objective = self_supervision.DEFAULT,
) -> Refined:
  """Lowers the energy of a code; never returns a worse one than it got.

  Args:
    scene: constants.
    photo: without batch axes.
    flat: [D] start.
    layout: of the code.
    schedule: steps.
    objective: knobs.

  Returns:
    The best code that was met.
  """
  scale, low, high = scene.prior.std, scene.prior.low, scene.prior.high

  def energy(flat):
    return self_supervision.energy(
      scene, photo, flat, layout=layout, objective=objective
    )

  value_and_grad = jax.value_and_grad(energy, has_aux=True)
  optimizer = optax.adam(
    optax.cosine_decay_schedule(schedule.step_size, schedule.steps), b2=0.99
  )
  first = jnp.zeros(layout.size, bool)
  for name in _FIRST_GROUPS:
    first = first.at[layout.slices[name]].set(True)
  first_steps = round(schedule.first_stage * schedule.steps)

  def step(carry, index):
    flat, state, best_flat, best = carry
    (value, _), gradient = value_and_grad(flat)
    better = value < best
    best_flat = jnp.where(better, flat, best_flat)
    best = jnp.where(better, value, best)
    active = first | (index >= first_steps)
    # In standard deviations, numbers of all groups move alike.
    updates, state = optimizer.update(
      jnp.where(active, gradient * scale, 0.0), state
    )
    flat = jnp.clip(flat + jnp.where(active, updates, 0.0) * scale, low, high)
    return (flat, state, best_flat, best), None

  before = energy(flat)
  start = (flat, optimizer.init(flat), flat, before[0])
  (last, _, best_flat, best), _ = jax.lax.scan(
    step, start, jnp.arange(schedule.steps)
  )
  after = energy(last)
  flat, after = jax.tree.map(
    lambda new, old: jnp.where(after[0] < best, new, old),
    (last, after),
    (best_flat, energy(best_flat)),
  )
  return Refined(
    flat, before[1] | {"energy": before[0]}, after[1] | {"energy": after[0]}
  )
