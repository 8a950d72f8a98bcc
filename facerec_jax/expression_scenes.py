"""Where the codes of an expression training come from, and its first state."""

from __future__ import annotations

import jax

from facerec_jax import expression_data
from facerec_jax import expression_experiment as experiments
from facerec_jax.recognition import labelled_codes
from facerec_jax.recognition import network as networks

# What each use of a run's seed is folded with.
_WEIGHTS, _BANK, _DRAWS = range(3)


def make_banks(
  experiment: experiments.ExpressionExperiment,
) -> tuple[labelled_codes.Bank, labelled_codes.Bank]:
  """The codes to learn from, and held-out ones of the same kinds."""
  bank, errors = expression_data.make_bank(
    _key(experiment.seed, _BANK),
    experiment.basis,
    experiment.bank,
    encoder=experiment.encoder,
  )
  held_out, _ = expression_data.make_bank(
    _key(experiment.eval.seed, _BANK),
    experiment.basis,
    experiment.bank.scaled(experiment.eval.num_examples),
    encoder=experiment.encoder,
    errors=errors,
  )
  return bank, held_out


def held_out_key(experiment: experiments.ExpressionExperiment):
  """Randomness of evaluations."""
  return _key(experiment.eval.seed, _DRAWS)


def draw_key(experiment: experiments.ExpressionExperiment):
  """Root of the training's draws."""
  return _key(experiment.seed, _DRAWS)


def initial_state(
  experiment: experiments.ExpressionExperiment, bank: labelled_codes.Bank
) -> networks.State:
  """The state before the first step."""
  mean, std = networks.statistics(bank)
  return networks.create_state(
    _key(experiment.seed, _WEIGHTS),
    experiment.network,
    experiment.optimizer,
    mean=mean,
    std=std,
  )


def state_template(
  experiment: experiments.ExpressionExperiment,
) -> networks.State:
  """Shapes and types of a state, to restore one without computing one."""
  return experiments.saved_network(
    experiment.config, experiment.basis.low.size
  )[1]


def _key(seed, use):
  return jax.random.fold_in(jax.random.key(seed), use)
