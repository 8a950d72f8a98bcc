r"""A page of faces: read, seen from the side, neutral, with emotions, relit.

  python experiments/gallery.py --input=FOLDER --output=DIR [--refine=0]

Expressions and lights are edits of the code, drawn over the photograph; what
the photograph hides (mouth, turned eyes) is the model's.
"""

from __future__ import annotations

import pathlib

from facerec_jax import app
from facerec_jax import photo_flags
from facerec_jax import reconstruction
from facerec_jax import refining
from facerec_jax import trained_encoder
from facerec_jax.photos import alignment
from facerec_jax.photos import detection
from facerec_jax.photos import reading
from facerec_jax.results import face_views
from facerec_jax.results import figures
from facerec_jax.results import report
from facerec_jax.synthesis import emotions
from facerec_jax.synthesis import light_presets
from facerec_jax.synthesis import posed_emotion
from facerec_jax.training import checkpoint

_CHECKPOINT = app.define_checkpoint()
_OUTPUT = app.define_output()
photo_flags.define_refine()
_LIGHTS = ("left", "above")


def main() -> None:
  source = app.required("input", photo_flags.INPUT.value)
  output = pathlib.Path(app.required("output", _OUTPUT.value))
  try:
    photos = reading.list_photos(source)
    predictor = photo_flags.load_predictor()
    output.mkdir(parents=True, exist_ok=True)
    encoder = trained_encoder.load(_CHECKPOINT.value)
    refiner = refining.create(encoder, photo_flags.refine_steps())
  except (ValueError, OSError, checkpoint.CheckpointError) as error:
    raise app.UsageError(error) from error
  sections, problems = [], []
  for path in photos:
    try:
      pictures = _pictures(encoder, path, predictor, refiner)
    except (reading.PhotoError, ValueError) as error:
      problems.append(f"{path.name}: {error}")
      continue
    sections.append(_section(output, path, pictures))
    print(f"{path.name}: {len(pictures)} pictures", flush=True)
  report.write_report(
    output / "index.html",
    report.Report(
      title="Gallery", sections=tuple(sections), problems=tuple(problems)
    ),
  )
  print(f"{len(sections)} of {len(photos)} photographs: {output}/index.html")


def _pictures(encoder, path, predictor, refiner):
  """Pictures of the largest face by caption."""
  photo = reading.read_photo(path)
  faces = detection.detect_faces(photo, predictor=predictor)
  if not faces:
    raise ValueError("no face was found")
  face = faces[0]
  read = reconstruction.reconstruct(encoder, photo, face, refiner=refiner)
  around = alignment.Square(
    face.square.center, face.square.side * face_views.VIEW_SIDES
  )
  view = alignment.crop(photo, around, face_views.VIEW_SIZE)
  lens = read.field_of_view
  views = face_views.draw(encoder.model, read.code, lens)
  pictures = {
    "photograph": view,
    "read": views.rendering.over(view),
    "shape": views.geometry.over(),
    "left": views.left.over(),
    "right": views.right.over(),
  }
  for caption, code in _expressions(encoder.model, read.code).items():
    face = face_views.draw_face(encoder.model, code, lens)
    pictures[caption] = face.over(view)
  for caption, code in _lights(encoder.model, read.code).items():
    # Alone: the photograph around it is lit otherwise.
    alone = face_views.draw_rendering(encoder.model, code, lens)
    pictures[caption] = alone.over()
  return pictures


def _expressions(model, code):
  """Codes of the same person by emotion."""
  return {
    name: code.replace(
      expression=posed_emotion.emotion(model.expression_names, name)
    )
    for name in emotions.CLASSES
  }


def _lights(model, code):
  """Codes of the same face by light."""
  return {
    f"light {name}": code.replace(
      illumination=light_presets.expose(
        light_presets.by_name(name), model, code
      )
    )
    for name in _LIGHTS
  }


def _section(output, path, pictures):
  folder = output / path.stem
  folder.mkdir(exist_ok=True)
  shown = []
  for caption, picture in pictures.items():
    name = caption.replace(" ", "_") + ".png"
    figures.save_image(folder / name, picture)
    shown.append(report.Figure(f"{path.stem}/{name}", caption))
  return report.Section(title=path.name, figures=tuple(shown))


if __name__ == "__main__":
  app.run(main)
