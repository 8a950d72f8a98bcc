"""A crowd: random people with random expressions, poses and lights."""

from __future__ import annotations

import functools

import jax
import numpy as np

from facerec_jax.render import geometry
from facerec_jax.render import renderer
from facerec_jax.results import figures
from facerec_jax.results import model_sheets
from facerec_jax.synthesis import priors

_SIZE = 256
_SAMPLES = 2
_COLUMNS = 8
_BATCH = 8
# Ordinary poses only: people are looked at here.
_PRIOR = priors.Prior(wide_share=0.0)


def people_sheet(model, count: int, seed: int) -> np.ndarray:
  """Pictures of random people, [H, W, 3] uint8.

  Args:
    model: the morphable model.
    count: of people; person i depends on the seed and on i alone.
    seed: of the draw.
  """
  key = jax.random.key(seed)
  cells = []
  for start in range(0, count, _BATCH):
    keys = jax.vmap(functools.partial(jax.random.fold_in, key))(
      np.arange(start, start + _BATCH)
    )
    cells.extend(figures.to_bytes(image) for image in _shoot(keys, model))
  rows = [cells[k : k + _COLUMNS] for k in range(0, count, _COLUMNS)]
  rows[-1] = rows[-1][: count - _COLUMNS * (len(rows) - 1)]
  return figures.contact_sheet(rows)


@jax.jit
def _shoot(keys, model):
  size = _SIZE * _SAMPLES
  camera = geometry.reference_camera(size)

  def shoot(key):
    code = priors.sample_code(key, model, camera=camera, prior=_PRIOR)
    picture = renderer.render(model, camera, code, height=size, width=size)
    return model_sheets.developed(picture, _SAMPLES)

  return jax.vmap(shoot)(keys)
