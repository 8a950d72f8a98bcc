"""Shows a face model: contact sheets of all that it can do.

python -m facerec_jax.show_model --output=DIR [--model=builtin] [--people=64]

Writes the mean from five sides, its landmarks, every mode at both ends, every
expression, the seven emotions, and random people in random light.
"""

from __future__ import annotations

import functools
import pathlib

from absl import flags
from absl import logging
import jax
import numpy as np

from facerec_jax import app
from facerec_jax import model_files
from facerec_jax.model_files import expression_fitting
from facerec_jax.render import geometry
from facerec_jax.render import renderer
from facerec_jax.results import figures
from facerec_jax.results import model_sheets
from facerec_jax.synthesis import emotions
from facerec_jax.synthesis import posed_emotion
from facerec_jax.synthesis import priors

_OUTPUT = flags.DEFINE_string("output", None, "Folder for the pictures.")
_MODEL = flags.DEFINE_string(
  "model", model_files.BUILTIN, "Name or file of the model."
)
_PEOPLE = flags.DEFINE_integer(
  "people", 64, "Number of random people.", lower_bound=1
)
_SEED = flags.DEFINE_integer("seed", 0, "Of the random people.")

_SIZE = 256
_SAMPLES = 2
_COLUMNS = 8
_BATCH = 8
# Ordinary poses only: people are looked at here.
_PRIOR = priors.Prior(wide_share=0.0)


def main() -> None:
  """The app."""
  folder = pathlib.Path(app.required("output", _OUTPUT.value))
  try:
    model = model_files.load(_MODEL.value)
  except ValueError as error:
    raise app.UsageError(error) from error
  files = model_sheets.write_sheets(
    folder, model, expressions=seven_emotions(model), modes=None
  )
  people = people_sheet(model, _PEOPLE.value, _SEED.value)
  files.append(figures.save_image(folder / "people.png", people))
  for file in files:
    logging.info("%s", file)
  print(f"{len(files)} sheets of {model.name!r} in {folder}")


def seven_emotions(model) -> list[tuple[str, np.ndarray]]:
  """(name, expression coefficients [Ke]) of the emotions, at full strength."""
  if not model.expression.shape[-1]:
    return []
  try:
    return [
      (name, posed_emotion.emotion(model.expression_names, name))
      for name in emotions.CLASSES
    ]
  except ValueError:  # no action units of its own
    coefficients = expression_fitting.emotion_coefficients(model)
    return list(zip(emotions.CLASSES, coefficients, strict=True))


def people_sheet(model, count: int, seed: int) -> np.ndarray:
  """Random people with random expressions, poses and lights, [H, W, 3] uint8.

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


if __name__ == "__main__":
  app.run(main)
