"""Figure: several people with the expressions of several others.

python experiments/figure_transfer.py --output=FIGURE.png [--checkpoint=DIR] \
    --people=A.jpg,B.jpg --drivers=C_neutral.jpg:C_smile.jpg,D.jpg \
    [--emotions=surprise:0.8,anger:0.8] [--refine=0]

The first row shows the drivers, each row below one person: the photograph, then
the person with each expression. A driver is a photograph, or two of the same
person, NEUTRAL:EXPRESSION, whose difference is transferred. A person or driver
that cannot be used is named and left out.
"""

from __future__ import annotations

import pathlib

from absl import flags
from absl import logging
import numpy as np

from facerec_jax import app
from facerec_jax import edit_requests
from facerec_jax import edit_sources
from facerec_jax import editing
from facerec_jax import face_files
from facerec_jax import photo_editor
from facerec_jax import photo_flags
from facerec_jax import refining
from facerec_jax import trained_encoder
from facerec_jax.photos import alignment
from facerec_jax.results import figures
from facerec_jax.training import checkpoint

_CHECKPOINT = app.define_checkpoint()
_OUTPUT = app.define_output()
photo_flags.define_refine()
_PEOPLE = flags.DEFINE_list("people", None, "Photographs to edit.")
_DRIVERS = flags.DEFINE_list("drivers", [], "PHOTO or NEUTRAL:EXPRESSION.")
_EMOTIONS = flags.DEFINE_list("emotions", [], "Such as happiness:0.8.")

_SIZE = 256


def main() -> None:
  """The app."""
  output = pathlib.Path(app.required("output", _OUTPUT.value))
  people = app.required("people", _PEOPLE.value)
  try:
    encoder = trained_encoder.load(_CHECKPOINT.value)
    emotions = {
      text: edit_requests.parse(expression=text) for text in _EMOTIONS.value
    }
    reader = edit_sources.SourceReader(
      encoder,
      predictor=photo_flags.load_predictor(),
      detector=photo_flags.DETECTOR.value,
      refiner=refining.create(encoder, photo_flags.refine_steps()),
    )
  except (ValueError, OSError, checkpoint.CheckpointError) as error:
    raise app.UsageError(error) from error
  drivers = _read_all(reader, _DRIVERS.value)
  rows = [_first_row(drivers.values(), len(emotions))]
  for source in _read_all(reader, people).values():
    rows.append(_row(encoder.model, source[-1], drivers.values(), emotions))
  if len(rows) == 1:
    raise app.WorkError("no person could be read")
  labels = ["photograph", *(pathlib.Path(d).stem for d in drivers), *emotions]
  sheet = figures.contact_sheet(rows, column_labels=labels)
  print(figures.save_image(output, sheet))


def _read_all(reader, texts):
  """{text: faces of its photographs} of those that can be used."""
  found = {}
  for text in texts:
    try:
      found[text] = [reader(pathlib.Path(part)) for part in text.split(":")]
    except (ValueError, OSError, edit_sources.NoFaceError) as error:
      logging.warning("%s", error)
  return found


def _first_row(drivers, num_emotions):
  blank = np.full((_SIZE, _SIZE, 3), 255, np.uint8)
  shown = [_cut(driver[-1].photo, driver[-1].face) for driver in drivers]
  return [blank, *shown, *[blank] * num_emotions]


def _row(model, person, drivers, emotions):
  editor = photo_editor.PhotoEditor(
    model,
    person.photo,
    person.code,
    person.face.square,
    person.face.landmarks,
    person.field_of_view,
  )
  pictures = [_cut(person.photo, person.face)]
  transfer = edit_requests.parse(expression="from:driver")
  for driver in drivers:
    neutral = driver[0].code if len(driver) > 1 else None
    code = editing.edit(
      model,
      person.code,
      transfer,
      lambda path, driver=driver: driver[-1].code,
      driver_neutral=neutral,
    )
    pictures.append(_cut(editor.edited_photo(code), person.face))
  for request in emotions.values():
    code = editing.edit(model, person.code, request, lambda path: None)
    pictures.append(_cut(editor.edited_photo(code), person.face))
  return pictures


def _cut(photo, face):
  return alignment.crop(photo, face_files.surroundings(face), _SIZE)


if __name__ == "__main__":
  app.run(main)
