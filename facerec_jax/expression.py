"""Trains, judges and uses the network that names expressions.

python -m facerec_jax.expression --mode=predict --input=PHOTO_OR_FOLDER \
    [--output=OUT]
python -m facerec_jax.expression --mode=predict --input=RECONSTRUCTION
python -m facerec_jax.expression --mode=eval --output=OUT \
    [--input=LABELLED_PHOTOS]
python -m facerec_jax.expression --config=configs/expression.py:robust \
    --workdir=DIR

The first three use a released network, or with --workdir=DIR one that was
trained there; eval then writes to DIR/eval. Networks of the variants robust and
refined, among them the released ones, are for the encoder of --checkpoint; for
the latter its codes are fitted to their pictures (--refine=0 uses the former,
which is faster and less often right: eval takes a minute instead of half an
hour or more).
"""

from __future__ import annotations

import functools
import pathlib

from absl import flags
from absl import logging

from facerec_jax import app
from facerec_jax import code_expressions
from facerec_jax import config_sections
from facerec_jax import expression_evaluation
from facerec_jax import expression_experiment as experiments
from facerec_jax import expression_training
from facerec_jax import photo_expressions
from facerec_jax import photo_flags
from facerec_jax import refining
from facerec_jax import trained_encoder
from facerec_jax import trained_expression
from facerec_jax.model_files import expression_fitting
from facerec_jax.photos import labelled_photos
from facerec_jax.photos import reading
from facerec_jax.results import codes as code_files
from facerec_jax.training import checkpoint
from facerec_jax.training import config_changes
from facerec_jax.training import loop
from facerec_jax.training import metric_writer

_CONFIG = app.define_config("configs/expression.py")
_WORKDIR = app.define_workdir()
_MODE = app.define_mode(
  train="train, or resume where the workdir has a checkpoint",
  eval="count how often a trained network is right",
  predict="name the expressions of photographs, or of codes",
)
_CHECKPOINT = app.define_checkpoint()
_OUTPUT = app.define_output()
# Of the faces that are judged: neither of training nor of calibration.
_SEED = 2_000_003
photo_flags.define_refine()
_COUNT = flags.DEFINE_integer(
  "judged_faces",
  700,
  "Rendered faces that --mode=eval judges; ten times as many exact codes.",
  lower_bound=7,
)


def main() -> None:
  """The app."""
  try:
    {"train": _train, "eval": _evaluate, "predict": _predict}[_MODE.value]()
  except (
    checkpoint.CheckpointError,
    config_sections.ConfigError,
    ValueError,
  ) as error:
    raise app.UsageError(error) from error
  except (loop.NotFiniteError, expression_evaluation.NoFaceError) as error:
    raise app.WorkError(error) from error


def _train():
  workdir = pathlib.Path(app.required("workdir", _WORKDIR.value))
  config = app.read_config(_CONFIG)
  if _CHECKPOINT.value is not None:
    config["encoder"] = _CHECKPOINT.value
  experiment = experiments.build(config)
  try:
    state, facts = expression_training.train(experiment, workdir)
  except config_changes.ConfigChangedError as error:
    raise app.UsageError(
      f"{workdir} has a checkpoint of another run: {error}; choose another "
      "--workdir"
    ) from error
  except (checkpoint.CheckpointError, OSError) as error:
    raise app.WorkError(error) from error
  if facts is None:
    print(f"stopped at step {int(state.step)}; the same command goes on")
    return
  before, after = facts["calibration"]["before"], facts["calibration"]["after"]
  metrics = metric_writer.last_scalars(workdir, "eval")
  print(
    f"step {int(state.step)}  {metric_writer.format_metrics(metrics)}  "
    f"temperature {facts['temperature']:.3f} (log-likelihood "
    f"{-before['negative_log_likelihood']:.4f} -> "
    f"{-after['negative_log_likelihood']:.4f})  "
    f"sha256 {checkpoint.fingerprint(state.params)}"
  )


def _evaluate():
  """Each part is on disk before the next begins."""
  folder = _evaluation_folder()
  recognizer = _recognizer()
  has_photos = photo_flags.INPUT.value is not None
  encoder = _encoder(recognizer, photos=has_photos)
  refiner = _refiner(recognizer, encoder)
  photos, problems = [], []
  if has_photos:
    reader = _reader(recognizer, encoder, refiner)
    photos, problems = labelled_photos.list_labelled(photo_flags.INPUT.value)
  model = experiments.saved_model(recognizer.config, encoder)
  basis = expression_fitting.emotion_units(model)
  result = {}

  def add(name, part):
    result[name] = part
    code_files.write_json(folder / "eval.json", result)
    print(expression_evaluation.format_report(name, part))

  expression_evaluation.draw_bases(folder / "bases.png", model, basis)
  add(
    "codes",
    expression_evaluation.evaluate_codes(
      recognizer, basis, folder, count=10 * _COUNT.value, seed=_SEED
    ),
  )
  if encoder is not None:
    add(
      "faces",
      expression_evaluation.evaluate_faces(
        recognizer,
        basis,
        encoder,
        folder,
        count=_COUNT.value,
        seed=_SEED,
        refiner=refiner,
      ),
    )
  if photos:
    for problem in problems:
      logging.warning("%s: %s", photo_flags.INPUT.value, problem)
    part = expression_evaluation.evaluate_photos(reader, photos, folder)
    add("photos", part | {"left_out": problems})
  print(f"written to {folder}")


def _predict():
  source = pathlib.Path(app.required("input", photo_flags.INPUT.value))
  files = code_expressions.list_codes(source)
  if files:
    recognizers = {refined: _recognizer(refined) for refined in (False, True)}
    read = functools.partial(code_expressions.read, recognizers)
  else:
    files = reading.list_photos(source)
    recognizer = _recognizer()
    encoder = _encoder(recognizer, photos=True)
    refiner = _refiner(recognizer, encoder)
    read = _reader(recognizer, encoder, refiner).read
  records = []
  for path in files:
    records.append(read(path))
    root = str(source) if source.is_dir() else ""
    print(photo_expressions.format_lines(records[-1], root))
    if _OUTPUT.value is not None:
      photo_expressions.write(pathlib.Path(_OUTPUT.value), records)
  if not any(record["faces"] for record in records):
    raise app.WorkError(
      f"no face was read; {records[0]['file']}: {records[0]['message']}"
    )


def _evaluation_folder():
  if _OUTPUT.value is not None:
    return pathlib.Path(_OUTPUT.value)
  if _WORKDIR.value is None:
    raise app.UsageError("--output is missing, or --workdir of a training")
  return pathlib.Path(_WORKDIR.value) / "eval"


def _recognizer(refined=None):
  """The network of --workdir, or a released one."""
  if _WORKDIR.value:
    return trained_expression.load(_WORKDIR.value)
  if refined is None:
    refined = photo_flags.refine_steps() > 0
  return trained_expression.released(refined=refined)


def _refiner(recognizer, encoder):
  steps = photo_flags.refine_steps(recognizer.refine_steps)
  return None if encoder is None else refining.create(encoder, steps)


def _encoder(recognizer, *, photos=False):
  """The encoder of --checkpoint, or the one of the training.

  Where neither is given, photographs are read by the default one, and nothing
  reads the faces that exact codes describe: None.
  """
  source = _CHECKPOINT.value or recognizer.config["encoder"]
  if not source and not photos:
    return None
  encoder = trained_encoder.load(source)
  recognizer.check_model(encoder.model)
  if recognizer.encoder is not None and not recognizer.knows(encoder):
    logging.warning(
      "the expression network learned what another encoder reads; names may be "
      "worse for %s",
      source,
    )
  return encoder


def _reader(recognizer, encoder, refiner):
  return photo_expressions.Reader(
    encoder,
    recognizer,
    photo_flags.load_predictor(),
    photo_flags.DETECTOR.value,
    refiner,
  )


if __name__ == "__main__":
  app.run(main)
