"""Imports a face model of others: one file that all other commands take.

python -m facerec_jax.import_model --input=PATH --output=model.npz \
    [--triangles=20000] [--preview=DIR]

The format is recognised by content: the Basel face models (2009, 2017, 2019),
FLAME, ICT-FaceKit, GNM Head, Surrey, and statismo files. Prints what was found.
"""

from __future__ import annotations

import os

from absl import flags
from absl import logging

from facerec_jax import app
from facerec_jax import model_files
from facerec_jax.model_files import archive
from facerec_jax.model_files import decimation
from facerec_jax.model_files import expression_fitting
from facerec_jax.model_files import formats
from facerec_jax.model_files import importing
from facerec_jax.model_files import normalize
from facerec_jax.results import model_sheets
from facerec_jax.synthesis import emotions

# Other commands have flags of these names, with other meanings.
_INPUT = flags.DEFINE_string(
  "input",
  None,
  "The model's file, or ICT-FaceKit's folder.",
  allow_override=True,
)
_OUTPUT = flags.DEFINE_string(
  "output", None, "The archive to write, .npz.", allow_override=True
)
_FORMAT = flags.DEFINE_enum(
  "format", None, list(formats.FORMATS), "By default recognised by content."
)
_UNIT = flags.DEFINE_enum(
  "unit", None, list(normalize.UNITS), "Of the file; by default inferred."
)
_CROP = flags.DEFINE_enum(
  "crop", "all", decimation.CROPS, "all, head (no shoulders), or the face."
)
_TRIANGLES = flags.DEFINE_integer(
  "triangles", None, "Simplify to about so many triangles, such as 20000."
)
_UV = flags.DEFINE_enum(
  "uv",
  "unwrap",
  importing.UVS,
  "Texture chart: keep the file's, unwrap the mesh where it has none, or none.",
)
_EXPRESSIONS = flags.DEFINE_enum(
  "expressions",
  "own",
  importing.EXPRESSIONS,
  "own: the model's basis; units: named action units solved in that basis.",
)
_IDENTITY = flags.DEFINE_integer("identity_modes", None, "At most so many.")
_EXPRESSION = flags.DEFINE_integer("expression_modes", None, "At most so many.")
_ALBEDO = flags.DEFINE_integer("albedo_modes", None, "At most so many.")
_EXPRESSION_FILE = flags.DEFINE_string(
  "expression_file",
  None,
  "Basel 2009: Exp_Pca.bin, with std_exp.txt and BFM_exp_idx.mat beside it; "
  "Surrey: the blendshapes.",
)
_TEXTURE = flags.DEFINE_string(
  "texture", None, "FLAME: a texture space (.npz), for the albedo."
)
_LANDMARKS = flags.DEFINE_string(
  "landmarks",
  None,
  "FLAME: a landmark embedding; GNM: head_sparse_68.txt; any: JSON of iBUG "
  "index (0-67) and vertex.",
)
_JAW = flags.DEFINE_bool(
  "jaw", True, "FLAME: offer the jaw as the first expression coefficient."
)
_PRECISION = flags.DEFINE_enum(
  "precision", "float16", ("float16", "float32"), "Of the bases in the archive."
)
_PREVIEW = flags.DEFINE_string(
  "preview", None, "Folder for pictures: landmarks, modes, expressions."
)


def main() -> None:
  """The app."""
  source = app.required("input", _INPUT.value)
  output = app.required("output", _OUTPUT.value)
  if not output.endswith(".npz"):
    raise app.UsageError(f"--output={output}: wanted a name that ends in .npz")
  both = os.path.exists(output) and os.path.exists(source)
  if both and os.path.samefile(source, output):
    raise app.UsageError("--output is the --input; name another file")
  try:
    result = importing.import_model(
      source, model_files.load(model_files.BUILTIN), options()
    )
  except (formats.FormatError, ValueError) as error:
    raise app.UsageError(error) from error
  try:
    os.makedirs(os.path.dirname(output) or ".", exist_ok=True)
    archive.save(
      output,
      result.model,
      provenance=result.provenance,
      precision=_PRECISION.value,
    )
  except OSError as error:
    raise app.WorkError(f"{output}: {error.strerror}") from error
  print("\n".join(result.card))
  print(f"{'archive:':13}{output}, {os.path.getsize(output) / 1e6:.1f} MB")
  if _PREVIEW.value is not None:
    write_preview(_PREVIEW.value, result)


def options() -> importing.Options:
  """The choices of the flags."""
  return importing.Options(
    format=_FORMAT.value,
    unit=_UNIT.value,
    crop=_CROP.value,
    triangles=_TRIANGLES.value,
    uv=_UV.value,
    expressions=_EXPRESSIONS.value,
    identity_modes=_IDENTITY.value,
    expression_modes=_EXPRESSION.value,
    albedo_modes=_ALBEDO.value,
    extras=formats.Extras(
      expression_file=_EXPRESSION_FILE.value,
      texture_file=_TEXTURE.value,
      landmark_file=_LANDMARKS.value,
      jaw=_JAW.value,
    ),
  )


def write_preview(folder: str, result: importing.Imported) -> None:
  """Writes the contact sheets, the seven expressions among them."""
  shown = []
  if result.model.expression.shape[-1]:
    coefficients = expression_fitting.emotion_coefficients(result.model)
    shown = list(zip(emotions.CLASSES, coefficients, strict=True))
  files = model_sheets.write_sheets(
    folder,
    result.model,
    derived_landmarks=result.provenance.derived_landmarks,
    expressions=shown,
  )
  for file in files:
    logging.info("%s", file)
  print(f"{'preview:':13}{folder}")


if __name__ == "__main__":
  app.run(main)
