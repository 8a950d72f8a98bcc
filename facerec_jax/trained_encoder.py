"""A trained encoder, ready to read faces."""

from __future__ import annotations

import dataclasses
import functools
import pathlib

from absl import logging
import jax
import jax.numpy as jnp
import numpy as np

from facerec_jax import encoder_files
from facerec_jax import experiment as experiments
from facerec_jax import scenes
from facerec_jax.face import code_vector
from facerec_jax.face import mirroring
from facerec_jax.face import morphable_model
from facerec_jax.render import geometry
from facerec_jax.training import checkpoint
from facerec_jax.training import code_prior
from facerec_jax.training import config_changes
from facerec_jax.training import steps

# What is used where none is asked for.
DEFAULT = "small"
# Draws of the prior that its statistics are measured on.
_PRIOR_DRAWS = 4096
# Held-out faces that errors are measured on, several for each number of a code.
# Read in parts.
_ERROR_FACES, _ERROR_BATCH = 1024, 64
# Mistakes that were not seen are still possible: this share of the variance of
# each number's mistakes, and this share of its standard deviation among faces.
_LEAST_SHARE, _LEAST_ERROR = 1e-2, 1e-3


@dataclasses.dataclass(frozen=True)
class TrainedEncoder:
  """Reads codes from framed face images.

  Attributes:
    experiment: the config's objects.
    state: of the encoder.
    measured: what is known of it beforehand.
  """

  experiment: experiments.Experiment
  state: steps.TrainState
  measured: encoder_files.Measured | None = None

  @property
  def model(self) -> morphable_model.MorphableModel:
    """The morphable model that the codes refer to."""
    return self.experiment.model

  @property
  def layout(self) -> code_vector.CodeLayout:
    """Of the flat codes."""
    return self.experiment.layout

  @property
  def image_size(self) -> int:
    """Side of the images, px."""
    return self.experiment.image_size

  @property
  def camera(self) -> geometry.Camera:
    """The camera that the codes refer to."""
    return self.experiment.camera

  @property
  def face_mask(self) -> bool:
    """Whether images are cut out by the hull of the landmarks."""
    return self.experiment.options.face_mask

  @functools.cached_property
  def prior(self) -> code_prior.CodePrior:
    """Of the codes that the encoder was trained on."""
    if self.measured is not None:
      return self.measured.prior
    # Rows do not depend on how many there are: these are the first of the bank.
    size = min(self.experiment.bank_size, _PRIOR_DRAWS)
    few = dataclasses.replace(self.experiment, bank_size=size)
    bank = scenes.make_bank(few, few.seed)
    return code_prior.measure(self.model, self.layout, bank)

  @functools.cached_property
  def error_covariance(self) -> jax.Array:
    """[n, n] of the mistakes of `predict_twice`, `code_prior.read_part`.

    Measured on synthetic faces.
    """
    if self.measured is not None:
      return self.measured.covariance
    logging.info("measuring how this encoder errs")
    few = dataclasses.replace(self.experiment, bank_size=_ERROR_FACES)
    mean, std = self.state.code_mean, self.state.code_std
    scene = scenes.held_out_scene(few, mean, std)
    make_batch = jax.jit(few.make_batch)
    indices = jnp.arange(_ERROR_BATCH)
    part = code_prior.read_part(self.layout)
    mistakes = []
    for step in range(_ERROR_FACES // _ERROR_BATCH):
      examples = make_batch(
        scene.seed_key, step, indices, scene.model, scene.bank
      )
      read = self.predict_twice(examples.image)
      mistakes.append(np.asarray((read - examples.code)[:, part], np.float64))
    mistakes = np.concatenate(mistakes)
    covariance = mistakes.T @ mistakes / _ERROR_FACES
    least = _LEAST_SHARE * np.diag(covariance)
    least += np.square(_LEAST_ERROR * np.asarray(std[part]))
    return jnp.asarray(covariance + np.diag(least), jnp.float32)

  @functools.cached_property
  def mirror(self) -> mirroring.Mirror:
    """Of the codes."""
    if self.measured is not None:
      return self.measured.mirror
    return mirroring.create(self.model)

  def predict_twice(self, images) -> jax.Array:
    """Reads images and their mirrors: both answers together err less.

    Args:
      images: as of `predict`, which takes half the time.

    Returns:
      [B, D] flat codes, the means of both.
    """
    images = jnp.asarray(images)
    mirrored = _mirror(
      self.layout, self.mirror, self.predict(images[:, :, ::-1])
    )
    return 0.5 * (self.predict(images) + mirrored)

  def predict(self, images) -> jax.Array:
    """Reads codes.

    Args:
      images: [B, S, S, 3] sRGB in [0, 1], framed by `face.landmarks.framing`.

    Returns:
      [B, D] flat codes.
    """
    # What a checkpoint knows of its optimizer would travel into exports.
    state = self.state.replace(opt_state=())
    return _predict(self.experiment.encoder, state, jnp.asarray(images))


@functools.partial(jax.jit, static_argnums=0)
def _predict(encoder, state, images):
  return steps.predict(encoder, state, images)


@functools.partial(jax.jit, static_argnums=0)
def _mirror(layout, mirror, flat):
  """Flat codes [B, D] of the mirrored images."""
  code = layout.unflatten(flat)
  return layout.flatten(mirroring.mirror_code(mirror, code))


def load(source=None) -> TrainedEncoder:
  """Loads an encoder with its own config.

  Args:
    source: the work folder of a training, whose newest checkpoint counts; or a
      file of `encoder_files.save`; or one of `encoder_files.NAMES`. None or "":
      DEFAULT.

  Returns:
    The encoder.

  Raises:
    CheckpointError: there is no usable encoder.
  """
  source = source or DEFAULT
  path = pathlib.Path(source)
  if not path.exists() and str(source) in encoder_files.NAMES:
    path = encoder_files.path_of(str(source))
  if path.suffix == encoder_files.SUFFIX:
    return TrainedEncoder(*encoder_files.load(path))
  return _load_newest(path)


def _load_newest(workdir):
  if not checkpoint.exists(workdir):
    raise checkpoint.CheckpointError(
      f"{workdir} holds no checkpoint; train one with "
      f"python -m facerec_jax.main --workdir={workdir}, or use one of "
      f"{', '.join(encoder_files.NAMES)}"
    )
  checkpointer = checkpoint.Checkpointer(workdir)
  try:
    experiment = experiments.build(checkpointer.restore_config())
    state = checkpointer.restore(scenes.state_template(experiment))
    changed = config_changes.changed_facts(
      checkpointer.restore_facts(), experiments.facts(experiment)
    )
  finally:
    checkpointer.close()
  if changed:
    logging.warning(
      "%s: %s has changed since this encoder was trained; its codes may mean "
      "other faces",
      workdir,
      ", ".join(changed),
    )
  return TrainedEncoder(experiment=experiment, state=state)
