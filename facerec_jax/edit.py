"""Changes the face of a photograph: expression, light, colour, person, pose.

python -m facerec_jax.edit --input=PHOTO --output=DIR [--checkpoint=DIR] \
    --expression=happiness:0.8 --light=-60,20

Edits can be combined, and come from other photographs or codes
(`--expression=from:OTHER.jpg`). Writes blended.png (the photograph, edited),
edited.png (the edited reconstruction), strip.png, sweep.gif and sweep.mp4 (from
the photograph to the edit and back), mesh.glb and code.json. A film as driver
(`--expression=from:FILM.mp4`) gives driven.gif and driven.mp4.
"""

from __future__ import annotations

import pathlib

from absl import flags
import numpy as np

from facerec_jax import app
from facerec_jax import edit_files
from facerec_jax import edit_requests
from facerec_jax import edit_sources
from facerec_jax import editing
from facerec_jax import photo_flags
from facerec_jax import refining
from facerec_jax import trained_encoder
from facerec_jax.training import checkpoint

_CHECKPOINT = app.define_checkpoint()
_OUTPUT = app.define_output()
photo_flags.define_refine()
_EXPRESSION = flags.DEFINE_string(
  "expression",
  None,
  "from:PHOTO, from:CODE.json or from:FILM.mp4; or an emotion and its "
  "intensity, such as happiness:0.8; or neutral.",
)
_LIGHT = flags.DEFINE_string(
  "light",
  None,
  "from:PHOTO; or azimuth,elevation[,strength], degrees, the azimuth positive "
  "from the image right; or a name, such as rembrandt.",
)
_ALBEDO = flags.DEFINE_string(
  "albedo", None, "from:PHOTO, or a skin tone in standard deviations."
)
_IDENTITY = flags.DEFINE_string(
  "identity", None, "from:PHOTO:share, a mix with another person."
)
_POSE = flags.DEFINE_string(
  "pose", None, "from:PHOTO, or pitch,yaw,roll in degrees."
)
_NEUTRAL = flags.DEFINE_string(
  "neutral",
  None,
  "A photograph or code of the same person without expression, on top of which "
  "expressions are put.",
)
_DRIVER_NEUTRAL = flags.DEFINE_string(
  "driver_neutral",
  None,
  "A photograph or code of the person whom the expression comes from, without "
  "expression: the difference is transferred.",
)
_PHOTO = flags.DEFINE_string(
  "photo", None, "The photograph that a code.json as --input was read from."
)
_FACE = flags.DEFINE_integer(
  "face", 0, "Which face of the photograph; 0 is the largest.", lower_bound=0
)
_FRAMES = flags.DEFINE_integer(
  "frames", 12, "Pictures of the sweep, one way; 0: no sweep.", lower_bound=0
)
# Of a film as driver.
_MAX_FRAMES = 300


def main() -> None:
  """The app."""
  source = pathlib.Path(app.required("input", photo_flags.INPUT.value))
  output = pathlib.Path(app.required("output", _OUTPUT.value))
  try:
    requests = _requests(source)
    encoder = trained_encoder.load(_CHECKPOINT.value)
    reader = _reader(encoder)
    face = _read(reader, source)
    film, rate = _film(reader, requests)
    frames = _edit(encoder, face.code, requests, reader, film)
    output.mkdir(parents=True, exist_ok=True)
  except edit_sources.NoFaceError as error:
    raise app.WorkError(error) from error
  except (ValueError, OSError, checkpoint.CheckpointError) as error:
    raise app.UsageError(error) from error
  edited = _strongest(face.code, frames)
  writer = edit_files.EditWriter(encoder.model, face)
  writer.write(output, edited, {"edits": _texts()})
  if film is not None:
    writer.write_film(output, frames, rate)
  elif _FRAMES.value:
    writer.write_sweep(output, edited, _FRAMES.value)
  print(f"edited {source.name}: {output / 'strip.png'}")


def _texts():
  named = {
    "expression": _EXPRESSION.value,
    "light": _LIGHT.value,
    "albedo": _ALBEDO.value,
    "identity": _IDENTITY.value,
    "pose": _POSE.value,
  }
  return {name: text for name, text in named.items() if text is not None}


def _requests(source):
  requests = edit_requests.parse(**_texts())
  is_transfer = isinstance(requests.expression, edit_requests.From)
  if _DRIVER_NEUTRAL.value and not is_transfer:
    raise ValueError("--driver_neutral is for --expression=from:...")
  if _NEUTRAL.value and requests.expression is None:
    raise ValueError("--neutral is for --expression")
  if _PHOTO.value and source.suffix != ".json":
    raise ValueError("--photo is for a code.json as --input")
  return requests


def _reader(encoder):
  refiner = refining.create(encoder, photo_flags.refine_steps())
  return edit_sources.SourceReader(
    encoder,
    predictor=photo_flags.load_predictor(),
    detector=photo_flags.DETECTOR.value,
    refiner=refiner,
    # A film has hundreds of frames: only where it was asked for.
    film_refiner=refining.create(
      encoder, photo_flags.refine_steps(0), film=True
    ),
  )


def _read(reader, source):
  if _PHOTO.value:
    return reader.read_code_in(source, pathlib.Path(_PHOTO.value))
  return reader(source, _FACE.value)


def _film(reader, requests):
  """Codes of a film that drives the expression, or None; its rate."""
  driver = requests.expression
  is_transfer = isinstance(driver, edit_requests.From)
  if is_transfer and driver.path.suffix.lower() in edit_sources.FILMS:
    return reader.read_film(driver.path, _MAX_FRAMES)
  return None, 0.0


def _edit(encoder, code, requests, reader, film):
  """The edited codes: one, or one for each frame of a film."""
  neutrals = {
    name: reader(pathlib.Path(path)).code if path else None
    for name, path in (
      ("neutral", _NEUTRAL.value),
      ("driver_neutral", _DRIVER_NEUTRAL.value),
    )
  }
  known = {}

  def read(path):
    if path not in known:
      known[path] = reader(path).code
    return known[path]

  frames = []
  for frame in [None] if film is None else film:
    if frame is not None:
      known[requests.expression.path] = frame
    frames.append(editing.edit(encoder.model, code, requests, read, **neutrals))
  return frames


def _strongest(code, frames):
  """Of edits, the one whose expression differs most."""
  differences = [
    np.linalg.norm(frame.expression - code.expression) for frame in frames
  ]
  return frames[int(np.argmax(differences))]


if __name__ == "__main__":
  app.run(main)
