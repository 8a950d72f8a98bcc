"""How well expressions are named: on codes, rendered faces and photographs."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
import pathlib

import jax
import numpy as np

from facerec_jax import expression_data
from facerec_jax import photo_expressions
from facerec_jax import refining
from facerec_jax import trained_expression
from facerec_jax.photos import labelled_photos
from facerec_jax.recognition import agreement
from facerec_jax.recognition import calibration
from facerec_jax.recognition import labelled_codes
from facerec_jax.recognition import network as networks
from facerec_jax.results import confusion
from facerec_jax.results import figures
from facerec_jax.results import model_sheets
from facerec_jax.synthesis import emotion_basis
from facerec_jax.synthesis import emotions
from facerec_jax.trained_encoder import TrainedEncoder

CLASSES = emotions.CLASSES
# Among strengths that are uniform from rest to the strongest.
_ALL_STRENGTHS = emotions.STRENGTH_LIMITS[0] / emotions.STRENGTH_LIMITS[1]
_BASIS_COLUMNS = 14
# FACS' grade D, "severe": as strong as people pose.
_CLEAR_GRADE = 4


class NoFaceError(Exception):
  """None of the labelled photographs shows a face."""


def held_out_metrics(
  logits, intensity, examples: labelled_codes.Example
) -> dict[str, float]:
  """Numbers to watch while training.

  Args:
    logits: [N, 7].
    intensity: [N, 7].
    examples: [N] held-out ones.

  Returns:
    `accuracy`, `cross_entropy`, and `rank_correlation`, the worst of
    `intensity_correlations`.
  """
  logits, labels = np.asarray(logits), np.asarray(examples.label)
  correlations = intensity_correlations(
    networks.grade(intensity), examples.emotion, examples.intensity
  )
  return {
    "accuracy": float((logits.argmax(axis=1) == labels).mean()),
    "cross_entropy": float(calibration.negative_log_likelihood(logits, labels)),
    "rank_correlation": min(correlations.values()),
  }


def intensity_correlations(grades, emotion, intensity) -> dict[str, float]:
  """Spearman's rho of read and true grades, for each emotion but neutral.

  Args:
    grades: [N, 7] read, 0 to 5.
    emotion: [N] what was acted.
    intensity: [N] how far.
  """
  emotion, true = np.asarray(emotion), networks.grade(intensity)
  return {
    name: agreement.rank_correlation(
      np.asarray(grades)[emotion == index, index], true[emotion == index]
    )
    for index, name in enumerate(CLASSES)
    if name != "neutral"
  }


def evaluate_codes(
  recognizer: trained_expression.TrainedExpression,
  basis: emotion_basis.EmotionBasis,
  folder: pathlib.Path,
  *,
  count: int,
  seed: int,
) -> dict:
  """Judges exact codes of acted emotions; writes codes.png and codes.csv."""
  return _judge(
    recognizer,
    basis,
    lambda codes, key: codes,
    folder / "codes",
    "exact codes",
    count=count,
    key=jax.random.key(seed),
  )


def evaluate_faces(
  recognizer: trained_expression.TrainedExpression,
  basis: emotion_basis.EmotionBasis,
  encoder: TrainedEncoder,
  folder: pathlib.Path,
  *,
  count: int,
  seed: int,
  refiner: refining.Refiner | None = None,
) -> dict:
  """Judges faces rendered and read; writes faces.png and faces.csv."""
  return _judge(
    recognizer,
    basis,
    lambda codes, key: expression_data.read_faces(encoder, codes, key, refiner),
    folder / "faces",
    f"rendered faces, {'read' if refiner is None else 'fitted'}",
    count=count,
    key=jax.random.key(seed),
  )


def _judge(recognizer, basis, read, path, title, *, count, key):
  """Classes by faces of the emotions' own strength, intensities by any."""
  rows = labelled_codes.acted(key, basis, count=count)
  result = _report(recognizer, rows, read(rows.codes, key), path, title)
  every_key = jax.random.fold_in(key, 1)
  every = labelled_codes.acted(
    every_key, basis, count=count, weak_share=_ALL_STRENGTHS
  )
  grades = recognizer.predict(read(every.codes, every_key)).intensity
  return result | {
    "intensity_correlation": intensity_correlations(
      grades, every.emotion, every.intensity
    )
  }


def _report(recognizer, rows, codes, path, title):
  """True classes are the acted ones, as weak as they may be."""
  predictions = recognizer.predict(codes)
  true = np.asarray(rows.emotion)
  counts = agreement.confusion_matrix(true, predictions.likeliest, len(CLASSES))
  result = _summarize(counts, path, title, predictions.is_unsure)
  error = calibration.expected_calibration_error(
    predictions.probabilities, true
  )
  clear = (true == labelled_codes.NEUTRAL) | (
    networks.grade(rows.intensity) >= _CLEAR_GRADE
  )
  counts = agreement.confusion_matrix(
    true[clear], predictions.likeliest[clear], len(CLASSES)
  )
  return result | {
    "calibration_error": error,
    "clearly_shown": confusion.summary(counts, CLASSES),
  }


def _summarize(counts, path, title, is_unsure):
  result = confusion.summary(counts, CLASSES)
  low, high = result["accuracy_interval"]
  title = (
    f"{title}: {100 * result['accuracy']:.1f} % right "
    f"({100 * low:.1f} to {100 * high:.1f})"
  )
  confusion.write(path, counts, CLASSES, title=title)
  return result | {"confusion": counts, "unsure": int(np.sum(is_unsure))}


def evaluate_photos(
  reader: photo_expressions.Reader,
  photos: Sequence[labelled_photos.LabelledPhoto],
  folder: pathlib.Path,
) -> dict:
  """Judges labelled photographs; writes photos.png and photos.csv.

  Of several faces the largest counts. Photographs without a face are listed
  and not counted.

  Raises:
    NoFaceError: no photograph shows a face.
  """
  records = []
  for photo in photos:
    record = reader.read(photo.path)
    records.append({**record, "true": photo.label})
  read = [record for record in records if record["faces"]]
  if not read:
    raise NoFaceError(
      f"no face was read in {len(records)} photographs; "
      f"{records[0]['file']}: {records[0]['message']}"
    )
  faces = [record["faces"][0] for record in read]
  counts = agreement.confusion_matrix(
    [CLASSES.index(record["true"]) for record in read],
    [CLASSES.index(face["likeliest"]) for face in faces],
    len(CLASSES),
  )
  unsure = [face["label"] == trained_expression.UNSURE for face in faces]
  result = _summarize(counts, folder / "photos", "photographs", unsure)
  return result | {"without_face": len(records) - len(read), "photos": records}


def draw_bases(
  path: pathlib.Path, model, basis: emotion_basis.EmotionBasis
) -> pathlib.Path:
  """Draws the emotions and the leading expression columns of a model.

  Args:
    path: of the picture.
    model: with expressions.
    basis: its action units.

  Returns:
    The path.
  """
  prototypes = np.asarray(emotion_basis.prototypes(basis))
  columns = np.eye(model.expression.shape[-1])[:_BASIS_COLUMNS]
  if model.expression_kind != "blendshape":
    columns = 2.0 * columns
  names = tuple(model.expression_names) or tuple(
    f"mode {index}: +2 sd" for index in range(len(columns))
  )
  shown = [
    *zip(CLASSES, prototypes, strict=True),
    *zip(names, columns, strict=False),
  ]
  return figures.save_image(path, model_sheets.expression_sheet(model, shown))


def format_report(name: str, result: Mapping) -> str:
  """Lines for people: how often each class is named rightly."""
  low, high = result["accuracy_interval"]
  lines = [
    f"{name}: {100 * result['accuracy']:.1f} % of {result['count']} right "
    f"(95 %: {100 * low:.1f} to {100 * high:.1f}), mean over classes "
    f"{100 * result['mean_recall']:.1f} %, {result['unsure']} unsure"
  ]
  for label, entry in result["recall"].items():
    if entry["count"]:
      low, high = entry["interval"]
      lines.append(
        f"  {label:10}{100 * entry['share']:6.1f} %  "
        f"({100 * low:.1f} to {100 * high:.1f})  of {entry['count']}"
      )
  if clear := result.get("clearly_shown"):
    low, high = clear["accuracy_interval"]
    lines.append(
      f"  of {clear['count']} neutral or clearly shown ones (FACS' grade D) "
      f"{100 * clear['accuracy']:.1f} % ({100 * low:.1f} to {100 * high:.1f})"
    )
  for label, value in result.get("intensity_correlation", {}).items():
    lines.append(f"  {label:10} rank correlation of intensity {value:.3f}")
  return "\n".join(lines)
