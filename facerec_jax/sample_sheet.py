"""Pictures of progress: images, and what the encoder reads in them."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np

from facerec_jax import experiment as experiments
from facerec_jax.render import color
from facerec_jax.render import renderer
from facerec_jax.results import figures
from facerec_jax.training import parallel
from facerec_jax.training import steps

_LABELS = ("image", "true face", "read face", "difference")


def sample_sheet(
  experiment: experiments.Experiment,
  state: steps.TrainState,
  scene: steps.Scene,
  *,
  count: int = 8,
) -> np.ndarray:
  """Rows of image, true face, read face and their difference.

  Args:
    experiment: what is trained.
    state: of the encoder, replicated.
    scene: whose first images are shown, replicated.
    count: rows, at most one device's share of a batch.

  Returns:
    [H, W, 3] uint8.
  """
  first_step = parallel.replicate(jnp.int32(0))
  examples = parallel.parallelize(experiment.make_examples)(scene, first_step)
  images, codes = (
    parallel.unreplicate(leaf)[:count]
    for leaf in (examples.image, examples.code)
  )
  state, scene = parallel.unreplicate((state, scene))
  true, read = _draw(
    state,
    scene,
    images,
    codes,
    encoder=experiment.encoder,
    layout=experiment.layout,
  )
  columns = [images, true, read, jnp.abs(true - read)]
  columns = [np.asarray(jax.device_get(column)) for column in columns]
  rows = [list(row) for row in zip(*columns, strict=True)]
  return figures.contact_sheet(rows, column_labels=_LABELS)


@functools.partial(jax.jit, static_argnames=("encoder", "layout"))
def _draw(state, scene, images, codes, *, encoder, layout):
  size = images.shape[1]

  def face(flat):
    rendering = renderer.render(
      scene.model,
      scene.space.camera,
      layout.unflatten(flat),
      height=size,
      width=size,
    )
    return color.linear_to_srgb(rendering.image)

  read = steps.predict(encoder, state, images)
  faces = jax.vmap(face)(jnp.concatenate([codes, read]))
  return jnp.split(faces, 2)
