"""Shows a face model: contact sheets of all that it can do.

python -m facerec_jax.show_model --output=DIR [--model=builtin] [--people=64]

Writes the mean from five sides, its landmarks, every mode at both ends, every
expression, the seven emotions, and random people in random light.
"""

from __future__ import annotations

import pathlib

from absl import flags
from absl import logging
import numpy as np

from facerec_jax import app
from facerec_jax import model_files
from facerec_jax.model_files import expression_fitting
from facerec_jax.results import figures
from facerec_jax.results import model_sheets
from facerec_jax.results import people
from facerec_jax.synthesis import emotions
from facerec_jax.synthesis import posed_emotion

_OUTPUT = app.define_output()
_MODEL = flags.DEFINE_string(
  "model", model_files.BUILTIN, "Name or file of the model."
)
_PEOPLE = flags.DEFINE_integer(
  "people", 64, "Number of random people.", lower_bound=1
)
_SEED = flags.DEFINE_integer("people_seed", 0, "Of the random people.")


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
  sheet = people.people_sheet(model, _PEOPLE.value, _SEED.value)
  files.append(figures.save_image(folder / "people.png", sheet))
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


if __name__ == "__main__":
  app.run(main)
