"""Trains, judges and uses the network that names expressions.

python -m facerec_jax.expression --config=configs/expression.py --workdir=DIR
python -m facerec_jax.expression --config=configs/expression.py:robust \
    --checkpoint=ENCODER --workdir=DIR
python -m facerec_jax.expression --mode=eval --workdir=DIR \
    [--checkpoint=ENCODER [--input=LABELLED_PHOTOS]]
python -m facerec_jax.expression --mode=predict --workdir=DIR \
    --checkpoint=ENCODER --input=PHOTO_OR_FOLDER [--output=OUT]
"""

from __future__ import annotations

import pathlib

from absl import flags
from absl import logging

from facerec_jax import app
from facerec_jax import config_sections
from facerec_jax import expression_evaluation
from facerec_jax import expression_experiment as experiments
from facerec_jax import expression_scenes
from facerec_jax import photo_expressions
from facerec_jax import photo_flags
from facerec_jax import trained_encoder
from facerec_jax import trained_expression
from facerec_jax.model_files import expression_fitting
from facerec_jax.photos import labelled_photos
from facerec_jax.photos import landmark_predictor
from facerec_jax.photos import reading
from facerec_jax.recognition import labelled_codes
from facerec_jax.recognition import network as networks
from facerec_jax.results import codes as code_files
from facerec_jax.training import checkpoint
from facerec_jax.training import loop
from facerec_jax.training import metric_writer
from facerec_jax.training import parallel

_CONFIG = app.define_config("configs/expression.py")
_WORKDIR = app.define_workdir()
_MODE = app.define_mode()
_CHECKPOINT = app.define_checkpoint()
_OUTPUT = app.define_output()
# Of the faces that are judged: neither of training nor of calibration.
_SEED = 2_000_003
_COUNT = flags.DEFINE_integer(
  "count",
  700,
  "Rendered faces that --mode=eval judges; ten times as many exact codes.",
  lower_bound=7,
)


def main() -> None:
  """The app."""
  workdir = pathlib.Path(app.required("workdir", _WORKDIR.value))
  try:
    {"train": _train, "eval": _evaluate, "predict": _predict}[_MODE.value](
      workdir
    )
  except (
    checkpoint.CheckpointError,
    config_sections.ConfigError,
    ValueError,
  ) as error:
    raise app.UsageError(error) from error
  except (loop.NotFiniteError, expression_evaluation.NoFaceError) as error:
    raise app.WorkError(error) from error


def _train(workdir):
  config = app.read_config(_CONFIG)
  if _CHECKPOINT.value is not None:
    config["encoder"] = _CHECKPOINT.value
  state, facts = train(experiments.build(config), workdir)
  before, after = facts["calibration"]["before"], facts["calibration"]["after"]
  metrics = metric_writer.last_scalars(workdir, "eval")
  print(
    f"step {int(state.step)}  {metric_writer.format_metrics(metrics)}  "
    f"temperature {facts['temperature']:.3f} (log-likelihood "
    f"{-before['negative_log_likelihood']:.4f} -> "
    f"{-after['negative_log_likelihood']:.4f})  "
    f"sha256 {checkpoint.fingerprint(state.params)}"
  )


def train(
  experiment: experiments.ExpressionExperiment, workdir: pathlib.Path
) -> tuple[networks.State, dict]:
  """Trains and calibrates, from the newest checkpoint if the folder has one.

  Args:
    experiment: what to train.
    workdir: of checkpoints, metrics and expression.json.

  Returns:
    (the final state, what expression.json holds).
  """
  bank, held_out = expression_scenes.make_banks(experiment)
  examples = labelled_codes.every_row(
    held_out, expression_scenes.held_out_key(experiment)
  )
  checkpointer = checkpoint.Checkpointer(
    workdir,
    keep_latest=experiment.keep_checkpoints,
    best_metric="cross_entropy",
  )
  if checkpointer.latest_step is None:
    state = expression_scenes.initial_state(experiment, bank)
  else:
    state = checkpointer.restore(expression_scenes.state_template(experiment))
  writer = metric_writer.MetricWriter(workdir)

  def evaluate(replicated):
    answers = trained_expression.answer(
      experiment.network, parallel.unreplicate(replicated), examples.code
    )
    return expression_evaluation.held_out_metrics(*answers, examples)

  final = loop.train(
    state,
    experiment.train_step,
    parallel.replicate((bank, expression_scenes.draw_key(experiment))),
    experiment.schedule,
    checkpointer=checkpointer,
    config=experiment.config,
    writer=writer,
    evaluate=evaluate,
    write_samples=lambda state, step: None,
    batch_size=experiment.batch_size,
  )
  writer.close()
  checkpointer.close()
  facts = trained_expression.save_calibration(
    workdir, experiment, final, examples
  )
  return final, facts


def _evaluate(workdir):
  """Each part is on disk before the next begins."""
  recognizer = trained_expression.load(workdir)
  encoder = _encoder(recognizer)
  photos, problems = [], []
  if photo_flags.INPUT.value is not None:
    reader = _reader(recognizer, encoder)
    photos, problems = labelled_photos.list_labelled(photo_flags.INPUT.value)
  model = experiments.saved_model(recognizer.config, encoder)
  basis = expression_fitting.emotion_units(model)
  folder = workdir / "eval"
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
        recognizer, basis, encoder, folder, count=_COUNT.value, seed=_SEED
      ),
    )
  if photos:
    for problem in problems:
      logging.warning("%s: %s", photo_flags.INPUT.value, problem)
    part = expression_evaluation.evaluate_photos(reader, photos, folder)
    add("photos", part | {"left_out": problems})
  print(f"written to {folder}")


def _predict(workdir):
  recognizer = trained_expression.load(workdir)
  photos = reading.list_photos(app.required("input", photo_flags.INPUT.value))
  reader = _reader(recognizer, _encoder(recognizer))
  records = []
  for path in photos:
    records.append(reader.read(path))
    print(photo_expressions.format_lines(records[-1]))
    if _OUTPUT.value is not None:
      photo_expressions.write(pathlib.Path(_OUTPUT.value), records)
  if not any(record["faces"] for record in records):
    raise app.WorkError(
      f"no face was read; {records[0]['file']}: {records[0]['message']}"
    )


def _encoder(recognizer):
  """The encoder of --checkpoint, or the one of the training, or None."""
  folder = _CHECKPOINT.value or recognizer.config["encoder"]
  if not folder:
    return None
  encoder = trained_encoder.load(folder)
  recognizer.check_model(encoder.model)
  return encoder


def _reader(recognizer, encoder):
  if encoder is None:
    raise app.UsageError("--checkpoint is missing: photographs need an encoder")
  return photo_expressions.Reader(
    encoder,
    recognizer,
    landmark_predictor.load_predictor(photo_flags.LANDMARK_MODEL.value),
    photo_flags.DETECTOR.value,
  )


if __name__ == "__main__":
  app.run(main)
