"""From a config to the objects of a run.

The only reader of configs: every key is an argument of a function or the field
of a dataclass here, so a key that nobody reads is an error.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
import dataclasses
import functools
import inspect
import json
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp

from facerec_jax import encoders
from facerec_jax import model_files
from facerec_jax.face import code_vector
from facerec_jax.face import morphable_model
from facerec_jax.render import geometry
from facerec_jax.synthesis import code_bank
from facerec_jax.synthesis import pose_prior
from facerec_jax.synthesis import priors
from facerec_jax.synthesis import synthesis as synthesis_lib
from facerec_jax.training import checkpoint
from facerec_jax.training import loop
from facerec_jax.training import losses
from facerec_jax.training import optimizers
from facerec_jax.training import parallel
from facerec_jax.training import steps

# What each use of a run's seed is folded with.
_WEIGHTS, _BANK, _IMAGES = range(3)

# Keys that a resumed run may change: they say how often something is done, or
# what is measured, not what is learned.
FREE_KEYS = (
  "steps_per_call",
  "log_every",
  "sample_every",
  "checkpoint_every",
  "eval_every",
  "keep_checkpoints",
  "max_skipped_steps",
  "eval",
)


class ConfigError(ValueError):
  """A config has a key or a value that does not work."""


@dataclasses.dataclass(frozen=True)
class EvalSettings:
  """Held-out data: number of faces, and the seed that they come from."""

  num_examples: int
  seed: int


@dataclasses.dataclass(frozen=True)
class Experiment:
  """The objects that a config describes; arrays only in `model`, `camera`.

  Attributes:
    config: plain nested dict, as saved in checkpoints.
    seed: of weights and data.
    image_size: px.
    batch_size: over all devices.
    accumulate_steps: parts of a device's batch that are computed in turn.
    bank_size: M.
    keep_checkpoints: newest ones.
    model: truncated to the code's numbers.
    layout: of the code.
    camera: reference camera.
    prior: of the codes.
    options: of the images.
    encoder: images -> outputs.
    optimizer: of its parameters.
    loss: terms and weights.
    schedule: of the loop.
    eval: held-out data.
  """

  config: dict[str, Any]
  seed: int
  image_size: int
  batch_size: int
  accumulate_steps: int
  bank_size: int
  keep_checkpoints: int
  model: morphable_model.MorphableModel
  layout: code_vector.CodeLayout
  camera: geometry.Camera
  prior: priors.Prior
  options: synthesis_lib.Options
  encoder: nn.Module
  optimizer: optimizers.Optimizer
  loss: losses.Loss
  schedule: loop.Schedule
  eval: EvalSettings

  @functools.cached_property
  def make_batch(self) -> Callable:
    """(seed_key, step, indices, model, bank) -> examples."""
    return functools.partial(
      synthesis_lib.synthesize_batch,
      layout=self.layout,
      image_size=self.image_size,
      options=self.options,
    )

  @functools.cached_property
  def make_examples(self) -> Callable:
    """(scene, step) -> this device's examples; one object, one program."""
    return functools.partial(
      steps.make_examples,
      make_batch=self.make_batch,
      local_batch=parallel.local_batch_size(self.batch_size),
    )

  @functools.cached_property
  def update(self) -> Callable:
    """(state, scene, examples) -> (state, metrics), of one device."""
    return functools.partial(
      steps.update,
      encoder=self.encoder,
      optimizer=self.optimizer,
      loss=self.loss,
      layout=self.layout,
      learning_rate=self.optimizer.learning_rate,
      accumulate_steps=self.accumulate_steps,
      skip_not_finite=self.schedule.max_skipped_steps > 0,
    )

  @functools.cached_property
  def train_step(self) -> Callable:
    """(replicated state, scene) -> (state, metrics).

    Raises:
      ConfigError: the batch does not divide among devices and their parts.
    """
    try:
      local_batch = parallel.local_batch_size(self.batch_size)
    except ValueError as error:
      raise ConfigError(f"config.{error}") from error
    if local_batch % self.accumulate_steps:
      raise ConfigError(
        f"config.accumulate_steps: {self.accumulate_steps} does not divide the "
        f"{local_batch} images of a device"
      )
    return steps.train_step(
      make_examples=self.make_examples,
      update=self.update,
      steps_per_call=self.schedule.steps_per_call,
    )


def build(config: Mapping[str, Any]) -> Experiment:
  """Builds all objects of a config.

  Args:
    config: nested dict, keys as in configs/resnet.py.

  Returns:
    The experiment.

  Raises:
    ConfigError: an unknown or missing key, or a value that does not fit.
  """
  # As checkpoints give it back: JSON knows lists, not tuples.
  plain = json.loads(json.dumps(dict(config)))
  return _call(functools.partial(_build, plain), "config", plain)


def _build(
  plain_config,
  *,
  seed,
  morphable_model,
  image_size,
  batch_size,
  num_steps,
  steps_per_call,
  code,
  bank_size,
  prior,
  synthesis,
  encoder,
  optimizer,
  loss,
  log_every,
  sample_every,
  checkpoint_every,
  eval_every,
  keep_checkpoints,
  eval,  # The name of the section, as in main's --mode=eval.
  accumulate_steps=1,
  max_skipped_steps=0,
) -> Experiment:
  camera = geometry.reference_camera(_positive("image_size", image_size))
  _positive("batch_size", batch_size)
  _positive("bank_size", bank_size)
  model, layout = _model_and_layout(morphable_model, code, camera)
  return Experiment(
    config=plain_config,
    seed=seed,
    image_size=image_size,
    batch_size=batch_size,
    accumulate_steps=_positive("accumulate_steps", accumulate_steps),
    bank_size=bank_size,
    keep_checkpoints=_positive("keep_checkpoints", keep_checkpoints),
    model=model,
    layout=layout,
    camera=camera,
    prior=_call(priors.Prior, "config.prior", prior),
    options=_call(synthesis_lib.Options, "config.synthesis", synthesis),
    encoder=_call(
      functools.partial(_encoder, layout.size), "config.encoder", encoder
    ),
    optimizer=_call(
      functools.partial(optimizers.create, num_steps=num_steps),
      "config.optimizer",
      optimizer,
    ),
    loss=_call(losses.create, "config.loss", loss),
    schedule=_call(
      loop.Schedule,
      "config",
      dict(
        num_steps=num_steps,
        steps_per_call=steps_per_call,
        log_every=log_every,
        eval_every=eval_every,
        checkpoint_every=checkpoint_every,
        sample_every=sample_every,
        max_skipped_steps=max_skipped_steps,
      ),
    ),
    eval=_call(EvalSettings, "config.eval", eval),
  )


def _call(function, name, section):
  """Calls function(**section); wrong keys are named with the known ones."""
  parameters = inspect.signature(function).parameters.values()
  open_ended = any(p.kind == p.VAR_KEYWORD for p in parameters)
  known = [p.name for p in parameters if p.kind != p.VAR_KEYWORD]
  unknown = [key for key in section if key not in known]
  if unknown and not open_ended:
    raise ConfigError(
      f"{name}.{unknown[0]} is read by nobody; known: {', '.join(known)}"
    )
  required = [p.name for p in parameters if p.default is p.empty]
  missing = [key for key in required if key in known and key not in section]
  if missing:
    raise ConfigError(f"{name} lacks {', '.join(missing)}")
  try:
    return function(**section)
  except ConfigError:
    raise
  except (TypeError, ValueError) as error:
    raise ConfigError(f"{name}: {error}") from error


def facts(experiment: Experiment) -> dict[str, str]:
  """What the config does not say about a run, for its checkpoints."""
  return {"morphable_model": checkpoint.fingerprint(experiment.model)}


def _positive(name, value):
  if not isinstance(value, int) or value < 1:
    raise ConfigError(f"config.{name} is {value!r}, wanted a whole number >= 1")
  return value


def _model_and_layout(name, code, camera):
  """The model truncated to the code, and the code to the model."""
  model = model_files.load(name)
  layout = _call(code_vector.CodeLayout, "config.code", code)
  sizes = {
    group: min(getattr(model, group).shape[-1], getattr(layout, group))
    for group in ("identity", "expression", "albedo")
  }
  model = morphable_model.truncate(model, **sizes)
  if not layout.translation:
    # Without a place of their own, faces stand where the mean face fills the
    # image as in any crop.
    place = pose_prior.framed_translation(
      camera, model.mean[model.landmarks], jnp.zeros(3)
    )
    sizes["default_translation"] = tuple(map(float, place))
  return model, dataclasses.replace(layout, **sizes)


def _encoder(num_outputs, *, name, dtype, **options):
  return encoders.create(
    name,
    num_outputs=num_outputs,
    axis_name=parallel.AXIS,
    dtype=jnp.dtype(dtype),
    **options,
  )


def make_bank(experiment: Experiment, seed: int) -> code_bank.CodeBank:
  """Draws the code bank of a seed from the prior."""
  return priors.make_bank(
    _key(seed, _BANK),
    experiment.model,
    experiment.layout,
    camera=experiment.camera,
    size=experiment.bank_size,
    prior=experiment.prior,
  )


def training_scene(experiment: Experiment) -> steps.Scene:
  """The constants of training."""
  bank = make_bank(experiment, experiment.seed)
  return _scene(experiment, bank, experiment.seed, *code_bank.statistics(bank))


def held_out_scene(experiment: Experiment, code_mean, code_std) -> steps.Scene:
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
  experiment: Experiment, code_mean, code_std
) -> steps.TrainState:
  """The state before the first step; the statistics [D] are of the bank."""
  return steps.create_state(
    _key(experiment.seed, _WEIGHTS),
    experiment.encoder,
    experiment.optimizer,
    image_size=experiment.image_size,
    code_mean=code_mean,
    code_std=code_std,
  )


def state_template(experiment: Experiment) -> steps.TrainState:
  """Shapes and types of a state, to restore one without computing one."""
  statistics = jnp.zeros(experiment.layout.size)
  shapes = jax.eval_shape(
    lambda: initial_state(experiment, statistics, statistics)
  )
  device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
  return jax.tree.map(
    lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=device),
    shapes,
  )


def _key(seed, use):
  return jax.random.fold_in(jax.random.key(seed), use)
