"""A trained encoder, ready to read faces: what a work folder holds."""

from __future__ import annotations

import dataclasses
import functools
import pathlib

import jax
import jax.numpy as jnp

from facerec_jax import experiment as experiments
from facerec_jax import scenes
from facerec_jax.face import code_vector
from facerec_jax.face import morphable_model
from facerec_jax.render import geometry
from facerec_jax.training import checkpoint
from facerec_jax.training import steps


@dataclasses.dataclass(frozen=True)
class TrainedEncoder:
  """Reads codes from framed face images.

  Attributes:
    experiment: the config's objects.
    state: of the encoder.
  """

  experiment: experiments.Experiment
  state: steps.TrainState

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

  def predict(self, images) -> jax.Array:
    """Reads codes.

    Args:
      images: [B, S, S, 3] sRGB in [0, 1], framed by `face.landmarks.framing`.

    Returns:
      [B, D] flat codes.
    """
    return _predict(self.experiment.encoder, self.state, jnp.asarray(images))


@functools.partial(jax.jit, static_argnums=0)
def _predict(encoder, state, images):
  return steps.predict(encoder, state, images)


def load(workdir) -> TrainedEncoder:
  """Loads the newest checkpoint of a work folder with its own config.

  Args:
    workdir: of `facerec_jax.main`.

  Returns:
    The encoder.

  Raises:
    CheckpointError: the folder holds no usable checkpoint.
  """
  workdir = pathlib.Path(workdir)
  if not checkpoint.exists(workdir):
    raise checkpoint.CheckpointError(
      f"{workdir} holds no checkpoint; train one with "
      f"python -m facerec_jax.main --workdir={workdir}"
    )
  checkpointer = checkpoint.Checkpointer(workdir)
  try:
    experiment = experiments.build(checkpointer.restore_config())
    state = checkpointer.restore(scenes.state_template(experiment))
  finally:
    checkpointer.close()
  return TrainedEncoder(experiment=experiment, state=state)
