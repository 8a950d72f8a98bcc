"""Where the faces of a run come from: code banks, scenes, first states."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from facerec_jax import config_sections
from facerec_jax import experiment as experiments
from facerec_jax.encoders import pretrained
from facerec_jax.synthesis import code_bank
from facerec_jax.synthesis import priors
from facerec_jax.training import losses
from facerec_jax.training import parallel
from facerec_jax.training import steps

# What each use of a run's seed is folded with.
_WEIGHTS, _BANK, _IMAGES = range(3)


def make_bank(
  experiment: experiments.Experiment, seed: int
) -> code_bank.CodeBank:
  """Draws the code bank of a seed from the prior."""
  return priors.make_bank(
    _key(seed, _BANK),
    experiment.model,
    experiment.layout,
    camera=experiment.camera,
    size=experiment.bank_size,
    prior=experiment.prior,
  )


def training_scene(experiment: experiments.Experiment) -> steps.Scene:
  """The constants of training."""
  bank = make_bank(experiment, experiment.seed)
  return _scene(experiment, bank, experiment.seed, *code_bank.statistics(bank))


def held_out_scene(
  experiment: experiments.Experiment, code_mean, code_std
) -> steps.Scene:
  """Held-out faces: a bank and images of their own seed.

  Args:
    experiment: with `eval` settings.
    code_mean: [D] of the training codes, see `steps.TrainState`.
    code_std: [D].

  Returns:
    Constants as for training.
  """
  seed = experiment.eval.seed
  return _scene(
    experiment, make_bank(experiment, seed), seed, code_mean, code_std
  )


def _scene(experiment, bank, seed, mean, std):
  space = losses.code_space(
    experiment.model, experiment.layout, experiment.camera, mean, std
  )
  return steps.Scene(
    model=experiment.model,
    bank=bank,
    space=space,
    seed_key=_key(seed, _IMAGES),
  )


def initial_state(
  experiment: experiments.Experiment, code_mean, code_std
) -> steps.TrainState:
  """The state before the first step.

  Args:
    experiment: with `encoder_weights`, which only the first process reads.
    code_mean: [D] of the bank.
    code_std: [D].

  Returns:
    The state.

  Raises:
    ConfigError: the weights cannot be used.
  """
  state = _random_state(experiment, code_mean, code_std)
  if not experiment.encoder_weights or not parallel.is_first_process():
    return state
  try:
    variables = pretrained.load(
      experiment.encoder_weights,
      experiment.encoder,
      {"params": state.params, "batch_stats": state.batch_stats},
    )
  except pretrained.WeightsError as error:
    raise config_sections.ConfigError(
      f"config.encoder_weights: {error}"
    ) from error
  return state.replace(
    opt_state=experiment.optimizer.init(variables["params"]), **variables
  )


def _random_state(experiment, code_mean, code_std):
  return steps.create_state(
    _key(experiment.seed, _WEIGHTS),
    experiment.encoder,
    experiment.optimizer,
    image_size=experiment.image_size,
    code_mean=code_mean,
    code_std=code_std,
  )


def state_template(experiment: experiments.Experiment) -> steps.TrainState:
  """Shapes and types of a state, to restore one without computing one."""
  statistics = jnp.zeros(experiment.layout.size)
  shapes = jax.eval_shape(
    lambda: _random_state(experiment, statistics, statistics)
  )
  device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
  return jax.tree.map(
    lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=device),
    shapes,
  )


def _key(seed, use):
  return jax.random.fold_in(jax.random.key(seed), use)
