"""Fits the code of one photograph, starting from what an encoder read."""

from __future__ import annotations

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from facerec_jax.face import code_vector
from facerec_jax.training import code_prior
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


def refine(
  scene: self_supervision.FittingScene,
  photo: self_supervision.Photo,
  flat,
  *,
  layout: code_vector.CodeLayout,
  schedule: Schedule,
  objective: self_supervision.Objective = self_supervision.DEFAULT,
  whitening=None,
) -> Refined:
  """Lowers the energy of a code; never returns a worse one than it got.

  Compiled once for a number of steps, whatever else changes.

  Args:
    scene: constants.
    photo: without batch axes.
    flat: [D] start.
    layout: of the code.
    schedule: steps.
    objective: knobs.
    whitening: [n, n] of the start's mistakes, see `code_prior.Reading`: shape
      and expression are then held by it instead of by the prior. None: a start
      that means nothing.

  Returns:
    The best code that was met.
  """
  count = schedule.steps
  # One evaluation more than steps: the last code is judged, too.
  index = jnp.arange(count + 1)
  decay = 0.5 * (1.0 + jnp.cos(jnp.pi * index / count))
  return _descend(
    scene,
    photo,
    flat,
    None if whitening is None else code_prior.Reading(flat, whitening),
    schedule.step_size * decay,
    index >= round(schedule.first_stage * count),
    layout=layout,
    objective=objective,
  )


@functools.partial(jax.jit, static_argnames=("layout", "objective"))
def _descend(
  scene, photo, flat, reading, sizes, all_groups, *, layout, objective
):
  """Adam over numbers in standard deviations, in which all groups are alike.

  Args:
    scene: constants.
    photo: to explain.
    flat: [D] start.
    reading: an encoder's answer, or None.
    sizes: [n] step sizes.
    all_groups: [n] whether all groups move, or pose, place and light alone.
    layout: of the code.
    objective: knobs.
  """
  scale = scene.prior.std
  first = jnp.zeros(layout.size, bool)
  for name in _FIRST_GROUPS:
    first = first.at[layout.slices[name]].set(True)
  adam = optax.scale_by_adam(b2=0.99)

  def energy(flat):
    total, terms = self_supervision.energy(
      scene,
      photo,
      flat,
      layout=layout,
      objective=objective,
      reading=reading,
    )
    return total, terms | {"energy": total}

  def step(carry, now):
    flat, state, best, before = carry
    size, everything = now
    (total, terms), gradient = jax.value_and_grad(energy, has_aux=True)(flat)
    keep = functools.partial(jnp.where, total < best[1]["energy"])
    best = jax.tree.map(keep, (flat, terms), best)
    is_first = jnp.isinf(before["energy"])
    before = jax.tree.map(
      lambda new, old: jnp.where(is_first, new, old), terms, before
    )
    active = first | everything
    updates, state = adam.update(
      jnp.where(active, gradient * scale, 0.0), state
    )
    moved = flat - size * jnp.where(active, updates, 0.0) * scale
    return (code_prior.clip(scene.prior, moved), state, best, before), None

  unknown = jax.tree.map(
    lambda term: jnp.full(term.shape, jnp.inf), jax.eval_shape(energy, flat)[1]
  )
  start = flat, adam.init(flat), (flat, unknown), unknown
  (_, _, best, before), _ = jax.lax.scan(step, start, (sizes, all_groups))
  return Refined(best[0], before, best[1])
