"""From a config to the objects of a run.

The only reader of configs: every key is an argument of a function or the field
of a dataclass here, so a key that nobody reads is an error.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
import dataclasses
import functools
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp

from facerec_jax import bootstrap_settings
from facerec_jax import config_sections
from facerec_jax import encoders
from facerec_jax import model_files
from facerec_jax.face import code_vector
from facerec_jax.face import morphable_model
from facerec_jax.render import geometry
from facerec_jax.synthesis import pose_prior
from facerec_jax.synthesis import priors
from facerec_jax.synthesis import synthesis as synthesis_lib
from facerec_jax.training import checkpoint
from facerec_jax.training import loop
from facerec_jax.training import losses
from facerec_jax.training import optimizers
from facerec_jax.training import parallel
from facerec_jax.training import steps

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
    encoder_weights: file that its first weights come from; "": random ones.
    optimizer: of its parameters.
    loss: terms and weights.
    schedule: of the loop.
    eval: held-out data.
    bootstrap: of an encoder that is adapted to photographs, or None.
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
  encoder_weights: str
  optimizer: optimizers.Optimizer
  loss: losses.Loss
  schedule: loop.Schedule
  eval: EvalSettings
  bootstrap: bootstrap_settings.Settings | None = None

  @functools.cached_property
  def make_batch(self) -> Callable:
    """(seed_key, step, indices, model, bank) -> examples."""
    return parallel.bind(
      synthesis_lib.synthesize_batch,
      layout=self.layout,
      image_size=self.image_size,
      options=self.options,
    )

  @functools.cached_property
  def make_examples(self) -> Callable:
    """(scene, step) -> this device's examples; one object, one program."""
    return parallel.bind(
      steps.make_examples,
      make_batch=self.make_batch,
      local_batch=parallel.local_batch_size(self.batch_size),
    )

  @functools.cached_property
  def update(self) -> Callable:
    """(state, scene, examples) -> (state, metrics), of one device."""
    return parallel.bind(
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
      raise config_sections.ConfigError(f"config.{error}") from error
    if local_batch % self.accumulate_steps:
      raise config_sections.ConfigError(
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
  return config_sections.build(_build, config)


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
  # Absent from the configs of older checkpoints.
  accumulate_steps=1,
  max_skipped_steps=0,
  encoder_weights="",
  bootstrap=None,
) -> Experiment:
  camera = geometry.reference_camera(
    config_sections.positive("image_size", image_size)
  )
  config_sections.positive("batch_size", batch_size)
  config_sections.positive("bank_size", bank_size)
  model, layout = _model_and_layout(morphable_model, code, camera)
  return Experiment(
    config=plain_config,
    seed=seed,
    image_size=image_size,
    batch_size=batch_size,
    accumulate_steps=config_sections.positive(
      "accumulate_steps", accumulate_steps
    ),
    bank_size=bank_size,
    keep_checkpoints=config_sections.positive(
      "keep_checkpoints", keep_checkpoints
    ),
    model=model,
    layout=layout,
    camera=camera,
    prior=config_sections.call(priors.Prior, "config.prior", prior),
    options=config_sections.call(
      synthesis_lib.Options, "config.synthesis", synthesis
    ),
    encoder=config_sections.call(
      functools.partial(_encoder, layout.size, image_size),
      "config.encoder",
      encoder,
    ),
    encoder_weights=encoder_weights,
    optimizer=config_sections.call(
      functools.partial(optimizers.create, num_steps=num_steps),
      "config.optimizer",
      optimizer,
    ),
    loss=config_sections.call(losses.create, "config.loss", loss),
    schedule=config_sections.call(
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
    eval=config_sections.call(EvalSettings, "config.eval", eval),
    bootstrap=bootstrap
    and config_sections.call(
      bootstrap_settings.create, "config.bootstrap", bootstrap
    ),
  )


def facts(experiment: Experiment) -> dict[str, str]:
  """What the config does not say about a run, for its checkpoints."""
  return {"morphable_model": checkpoint.fingerprint(experiment.model)}


def _model_and_layout(name, code, camera):
  """The model truncated to the code, and the code to the model."""
  model = model_files.load(name)
  layout = config_sections.call(code_vector.CodeLayout, "config.code", code)
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


def _encoder(num_outputs, image_size, *, name, dtype, **options):
  encoder = encoders.create(
    name,
    num_outputs=num_outputs,
    axis_name=parallel.AXIS,
    dtype=jnp.dtype(dtype),
    **options,
  )
  encoder.check(jax.ShapeDtypeStruct((1, image_size, image_size, 3), dtype))
  return encoder
