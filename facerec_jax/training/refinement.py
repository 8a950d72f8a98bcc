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
from facerec_jax.training import lenses
from facerec_jax.training import self_supervision

# What changes in the first stage, with the lens: a wrong pose or light would be
# explained by the wrong shape or skin.
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
    lens: that it goes with; None where none was fitted.
    before: {name: [...]} the terms of `self_supervision.energy` at the start,
      and their sum as `energy`.
    after: {name: [...]} of `flat`.
  """

  flat: jax.Array
  lens: lenses.Lens | None
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
  trust: float = 1.0,
  fit_lens: bool = False,
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
    whitening: [n, n] of the start's mistakes, see `code_prior.Reading`: it
      then holds shape and expression. None: a start that means nothing.
    trust: by which such a start counts.
    fit_lens: whether perspective and blur of the photograph are fitted, too;
      otherwise the scene's camera took it, in focus.

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
    (flat, lenses.usual() if fit_lens else None),
    None if whitening is None else code_prior.Reading(flat, whitening, trust),
    schedule.step_size * decay,
    index >= round(schedule.first_stage * count),
    layout=layout,
    objective=objective,
  )


@functools.partial(jax.jit, static_argnames=("layout", "objective"))
def _descend(
  scene, photo, start, reading, sizes, all_groups, *, layout, objective
):
  """Adam over numbers in standard deviations, in which all groups are alike.

  Args:
    scene: constants.
    photo: to explain.
    start: ([D] code, its lens or None).
    reading: an encoder's answer, or None.
    sizes: [n] step sizes.
    all_groups: [n] whether all groups move, or the first ones alone.
    layout: of the code.
    objective: knobs.
  """
  adam = optax.scale_by_adam(b2=0.9)
  scale = (scene.prior.std, jax.tree.map(jnp.ones_like, start[1]))
  first = (_first_groups(layout), jax.tree.map(lambda _: True, start[1]))

  def energy(point):
    flat, lens = point
    total, terms = self_supervision.energy(
      scene,
      photo,
      flat,
      layout=layout,
      objective=objective,
      reading=reading,
      lens=lens,
    )
    return total, terms | {"energy": total}

  def step(carry, now):
    point, state, best, before = carry
    size, everything = now
    (total, terms), gradient = jax.value_and_grad(energy, has_aux=True)(point)
    keep = functools.partial(jnp.where, total < best[1]["energy"])
    best = jax.tree.map(keep, (point, terms), best)
    is_first = jnp.isinf(before["energy"])
    before = jax.tree.map(
      lambda new, old: jnp.where(is_first, new, old), terms, before
    )
    active = jax.tree.map(lambda early: early | everything, first)
    slope = _where(active, jax.tree.map(jnp.multiply, gradient, scale))
    updates, state = adam.update(slope, state)
    updates = _where(active, jax.tree.map(jnp.multiply, updates, scale))
    point = jax.tree.map(lambda x, update: x - size * update, point, updates)
    return (_clip(scene.prior, *point), state, best, before), None

  unknown = jax.tree.map(
    lambda term: jnp.full(term.shape, jnp.inf), jax.eval_shape(energy, start)[1]
  )
  carry = start, adam.init(start), (start, unknown), unknown
  (_, _, best, before), _ = jax.lax.scan(step, carry, (sizes, all_groups))
  return Refined(*best[0], before, best[1])


def _first_groups(layout):
  """[D] whether a number moves in the first stage."""
  first = jnp.zeros(layout.size, bool)
  for name in _FIRST_GROUPS:
    first = first.at[layout.slices[name]].set(True)
  return first


def _where(chosen, tree):
  """A tree with zeros where it is not chosen."""
  return jax.tree.map(lambda c, x: jnp.where(c, x, 0.0), chosen, tree)


def _clip(prior, flat, lens):
  flat = code_prior.clip(prior, flat)
  return flat, None if lens is None else lenses.clip(lens)
