"""Measures a trained encoder, and writes a report for people and programs.

python -m facerec_jax.evaluate --checkpoint=DIR --output=DIR \
    [--suites=synthetic,photos,cross_model,scans] [--input=PHOTOS]
    [--other_model=PATH] [--scans=FOLDER] [--refine=100]

  synthetic    held-out faces of the encoder's own model
  photos       photographs, against given points (facerec_jax.photos.annotations
               says how to give them) and dlib's
  cross_model  faces of another morphable model, rendered and read
  scans        photographs of scanned people (facerec_jax.evaluation.scan_files
               says how the folder looks)

--refine=N measures codes after N steps of refinement, one to two seconds a face
(with landmarks: those of rendered faces are disturbed as a detector's are).

A suite that cannot run says why and stops no other. Prints tables; writes
metrics.json, per_example.csv, and index.html with all plots and pictures, anew
after each suite: what is measured stays, whatever happens to the next.
"""

from __future__ import annotations

import functools
import os
import pathlib

from absl import flags

from facerec_jax import app
from facerec_jax import model_files
from facerec_jax import photo_flags
from facerec_jax import refining
from facerec_jax import trained_encoder
from facerec_jax.evaluation import cross_model
from facerec_jax.evaluation import outcome as outcomes
from facerec_jax.evaluation import photos
from facerec_jax.evaluation import running
from facerec_jax.evaluation import scan_files
from facerec_jax.evaluation import scans
from facerec_jax.evaluation import synthetic
from facerec_jax.photos import annotations
from facerec_jax.photos import reading
from facerec_jax.training import checkpoint

SUITES = (synthetic.NAME, photos.NAME, cross_model.NAME, scans.NAME)
_DATA = "FACEREC_DATA"

_CHECKPOINT = app.define_checkpoint()
_OUTPUT = app.define_output()
photo_flags.define_refine()
_SUITES = flags.DEFINE_list("suites", list(SUITES), "Which to run.")
_OTHER_MODEL = flags.DEFINE_string(
  "other_model",
  None,
  "Face model of suite cross_model: an archive, or a file of another format; "
  f"by default ICT-FaceKit of the folder ${_DATA}. --input defaults to its "
  "photographs.",
)
_SCANS = flags.DEFINE_string(
  "scans", None, "Folder of meshes with photographs, for suite scans."
)
_COUNT = flags.DEFINE_integer(
  "num_faces",
  None,
  "Faces of suite synthetic; by default as the encoder's config says.",
  lower_bound=2,
)
_CROSS_COUNT = flags.DEFINE_integer(
  "cross_count", 100, "Faces of suite cross_model.", lower_bound=2
)


def main() -> None:
  """The app."""
  output = pathlib.Path(app.required("output", _OUTPUT.value))
  names = _suite_names()
  try:
    output.mkdir(parents=True, exist_ok=True)
    encoder = trained_encoder.load(_CHECKPOINT.value)
  except (OSError, checkpoint.CheckpointError) as error:
    raise app.UsageError(error) from error
  found, skipped, failed = running.run_suites(
    {name: _RUNNERS[name] for name in names},
    encoder,
    output,
    keep=functools.partial(
      running.write_results, output, encoder, refine=photo_flags.refine_steps(0)
    ),
  )
  if found:
    print(f"report: {output / 'index.html'}")
  if failed or not found:
    name, why = next(iter((failed or skipped).items()))
    raise app.WorkError(f"suite {name}: {why}")


def _suite_names():
  for name in _SUITES.value:
    if name not in SUITES:
      raise app.UsageError(f"--suites: {name!r} is none of {', '.join(SUITES)}")
  if not _SUITES.value:
    raise app.UsageError("--suites is empty")
  return tuple(dict.fromkeys(_SUITES.value))


def _default(name):
  """A path in the folder of measured data, if that is there."""
  folder = os.environ.get(_DATA)
  path = pathlib.Path(folder or "", name)
  return path if folder and path.exists() else None


def _run_synthetic(encoder, folder):
  count = _COUNT.value or encoder.experiment.eval.num_examples
  return synthetic.run(encoder, folder, count=count, refiner=_refiner(encoder))


def _refiner(encoder):
  return refining.create(encoder, photo_flags.refine_steps(0))


def _run_photos(encoder, folder):
  source = photo_flags.INPUT.value or _default("photos")
  if source is None:
    raise outcomes.SuiteError("no photographs: give --input=FOLDER")
  source = pathlib.Path(source)
  try:
    files = reading.list_photos(source)
    known = annotations.read_annotations(
      source if source.is_dir() else source.parent
    )
    predictor = photo_flags.load_predictor()
  except ValueError as error:
    raise outcomes.SuiteError(error) from error
  return photos.run(
    encoder,
    folder,
    photos=files,
    known=known,
    predictor=predictor,
    detector=photo_flags.DETECTOR.value,
    refiner=_refiner(encoder),
  )


def _run_cross_model(encoder, folder):
  source = _OTHER_MODEL.value or _default("ict_facekit.npz")
  if source is None:
    raise outcomes.SuiteError("no other face model: give --other_model=PATH")
  try:
    other = model_files.load(source)
  except ValueError as error:
    raise outcomes.SuiteError(error) from error
  return cross_model.run(
    encoder,
    folder,
    other=other,
    count=_CROSS_COUNT.value,
    refiner=_refiner(encoder),
  )


def _run_scans(encoder, folder):
  if _SCANS.value is None:
    raise outcomes.SuiteError("no scans: give --scans=FOLDER")
  try:
    entries = scan_files.list_scans(pathlib.Path(_SCANS.value))
    predictor = photo_flags.load_predictor()
  except ValueError as error:
    raise outcomes.SuiteError(error) from error
  return scans.run(
    encoder,
    folder,
    entries=entries,
    predictor=predictor,
    detector=photo_flags.DETECTOR.value,
    refiner=_refiner(encoder),
  )


_RUNNERS = dict(
  zip(
    SUITES,
    (_run_synthetic, _run_photos, _run_cross_model, _run_scans),
    strict=True,
  )
)


if __name__ == "__main__":
  app.run(main)
