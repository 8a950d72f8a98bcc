"""From a config of configs/expression.py to the objects of a run.

Beside `experiment`, the only reader of configs.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import optax

from facerec_jax import config_sections
from facerec_jax import experiment as experiments
from facerec_jax import expression_data
from facerec_jax import model_files
from facerec_jax import trained_encoder
from facerec_jax.face import morphable_model as models
from facerec_jax.model_files import expression_fitting
from facerec_jax.recognition import network as networks
from facerec_jax.synthesis import emotion_basis
from facerec_jax.training import checkpoint
from facerec_jax.training import loop
from facerec_jax.training import optimizers
from facerec_jax.training import parallel

# Of the config: they may differ where a run continues.
FREE_KEYS = (
  "steps_per_call",
  "log_every",
  "eval_every",
  "checkpoint_every",
  "keep_checkpoints",
  "unsure_below",
)


@dataclasses.dataclass(frozen=True)
class ExpressionExperiment:
  """The objects that a config describes.

  Attributes:
    config: plain nested dict, as saved in checkpoints.
    seed: of weights and data.
    batch_size: over all devices.
    keep_checkpoints: newest ones.
    model: with the expressions of the codes.
    basis: its action units.
    encoder: that reads rendered faces, or None.
    bank: what codes are drawn from.
    network: codes -> classes and intensities.
    optimizer: of its parameters.
    intensity_weight: of the loss.
    unsure_below: smallest probability of a class that is named.
    schedule: of the loop.
    eval: held-out data.
  """

  config: dict[str, Any]
  seed: int
  batch_size: int
  keep_checkpoints: int
  model: models.MorphableModel
  basis: emotion_basis.EmotionBasis
  encoder: trained_encoder.TrainedEncoder | None
  bank: expression_data.BankSettings
  network: networks.Network
  optimizer: optax.GradientTransformation
  intensity_weight: float
  unsure_below: float
  schedule: loop.Schedule
  eval: experiments.EvalSettings

  @functools.cached_property
  def train_step(self) -> Callable:
    """(replicated state, bank, seed key) -> (state, metrics)."""
    update = functools.partial(
      networks.update,
      network=self.network,
      optimizer=self.optimizer,
      local_batch=parallel.local_batch_size(self.batch_size),
      intensity_weight=self.intensity_weight,
    )
    return networks.train_step(update, self.schedule.steps_per_call)


def build(config: Mapping[str, Any]) -> ExpressionExperiment:
  """Builds all objects of a config.

  Args:
    config: nested dict, keys as in configs/expression.py.

  Returns:
    The experiment.

  Raises:
    ConfigError: an unknown or missing key, or a value that does not fit.
  """
  return config_sections.build(_build, config)


def _build(
  plain_config,
  *,
  seed,
  morphable_model,
  expression,
  encoder,
  batch_size,
  num_steps,
  steps_per_call,
  bank,
  network,
  optimizer,
  intensity_weight,
  unsure_below,
  log_every,
  eval_every,
  checkpoint_every,
  keep_checkpoints,
  eval,  # The name of the section, as in --mode=eval.
) -> ExpressionExperiment:
  call, positive = config_sections.call, config_sections.positive
  positive("batch_size", batch_size)
  if not 0 <= unsure_below <= 1:
    raise config_sections.ConfigError(
      f"config.unsure_below is {unsure_below}, wanted 0 to 1"
    )
  settings = call(expression_data.BankSettings, "config.bank", bank)
  if settings.read and not encoder:
    raise config_sections.ConfigError(
      "config.bank.read needs an encoder: give its work folder by --checkpoint"
    )
  reader = _encoder(encoder) if encoder else None
  model = _model(morphable_model, positive("expression", expression), reader)
  return ExpressionExperiment(
    config=plain_config,
    seed=seed,
    batch_size=batch_size,
    keep_checkpoints=positive("keep_checkpoints", keep_checkpoints),
    model=model,
    basis=expression_fitting.emotion_units(model),
    encoder=reader,
    bank=settings,
    network=call(network_of, "config.network", network),
    optimizer=call(
      functools.partial(optimizers.create, num_steps=num_steps),
      "config.optimizer",
      optimizer,
    ),
    intensity_weight=intensity_weight,
    unsure_below=unsure_below,
    schedule=call(
      loop.Schedule,
      "config",
      dict(
        num_steps=num_steps,
        steps_per_call=steps_per_call,
        log_every=log_every,
        eval_every=eval_every,
        checkpoint_every=checkpoint_every,
      ),
    ),
    eval=call(experiments.EvalSettings, "config.eval", eval),
  )


def facts(experiment: ExpressionExperiment) -> dict[str, str]:
  """What the config does not say about a run, for its checkpoints."""
  found = {"morphable_model": checkpoint.fingerprint(experiment.model)}
  if experiment.encoder is not None:
    found["encoder"] = checkpoint.fingerprint(experiment.encoder.state.params)
  return found


def saved_network(
  config: Mapping[str, Any], size: int
) -> tuple[networks.Network, networks.State]:
  """The network of a checkpoint's config; needs no face model.

  Args:
    config: as saved.
    size: Ke.

  Returns:
    (the network, shapes and types of its state).
  """
  network = config_sections.call(
    network_of, "config.network", config["network"]
  )
  optimizer = optimizers.create(
    **config["optimizer"], num_steps=config["num_steps"]
  )
  statistics = jnp.zeros(size)
  shapes = jax.eval_shape(
    lambda: networks.create_state(
      jax.random.key(0), network, optimizer, mean=statistics, std=statistics
    )
  )
  return network, jax.tree.map(_on_first_device, shapes)


def saved_model(
  config: Mapping[str, Any], encoder: trained_encoder.TrainedEncoder | None
) -> models.MorphableModel:
  """The face model of a checkpoint's config.

  Raises:
    ConfigError: it is gone, or not the encoder's.
  """
  return config_sections.call(
    functools.partial(_model, encoder=encoder),
    "config",
    dict(name=config["morphable_model"], count=config["expression"]),
  )


def _on_first_device(leaf):
  device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
  return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=device)


def network_of(hidden) -> networks.Network:
  """The network of a config's section.

  Raises:
    ValueError: widths that cannot be.
  """
  if not hidden or any(not isinstance(w, int) or w < 1 for w in hidden):
    raise ValueError(f"hidden is {hidden}, wanted widths >= 1")
  return networks.Network(hidden=tuple(hidden))


def _encoder(folder):
  try:
    return trained_encoder.load(folder)
  except checkpoint.CheckpointError as error:
    raise config_sections.ConfigError(f"config.encoder: {error}") from error


def _model(name, count, encoder):
  """The model truncated to `count` expressions, as the encoder's is."""
  if encoder is None:
    return models.truncate(model_files.load(name), expression=count)
  theirs = encoder.experiment.config["morphable_model"]
  if theirs != name:
    raise config_sections.ConfigError(
      f"config.morphable_model is {name!r}, but the encoder reads {theirs!r}"
    )
  size = encoder.layout.expression
  if min(count, model_size := encoder.model.expression.shape[-1]) != size:
    raise config_sections.ConfigError(
      f"config.expression is {count} of {model_size}, but the encoder reads "
      f"{size}"
    )
  return encoder.model
