"""Reconstructs the faces of photographs with a trained encoder.

python -m facerec_jax.reconstruct --checkpoint=DIR --input=PHOTO_OR_FOLDER \
    --output=DIR

Each code is fitted to its photograph, one to two seconds a face on a CPU
(--refine=0: as the encoder reads it). Each face gets a folder with pictures,
meshes and its code; summary.json names every photograph and what became of it;
index.html shows all of it. A photograph that cannot be used is named there and
stops nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence
import pathlib

from absl import flags
from absl import logging

from facerec_jax import app
from facerec_jax import face_files
from facerec_jax import face_report
from facerec_jax import messages
from facerec_jax import photo_flags
from facerec_jax import reconstruction
from facerec_jax import refining
from facerec_jax import trained_encoder
from facerec_jax import trained_expression
from facerec_jax.photos import detection
from facerec_jax.photos import landmark_predictor
from facerec_jax.photos import reading
from facerec_jax.results import codes
from facerec_jax.results import report
from facerec_jax.training import checkpoint

_CHECKPOINT = app.define_checkpoint()
_OUTPUT = app.define_output()
photo_flags.define_refine()
_EXPRESSION_MODEL = flags.DEFINE_string(
  "expression_model",
  "auto",
  "What names expressions: the work folder of facerec_jax.expression, or its "
  "expression.safetensors; none; auto: the released network, for the encoder "
  "that it belongs to.",
)

DONE = "reconstructed"
NO_FACE = "no face"
UNREADABLE = "unreadable"
FAILED = "failed"
_NO_LANDMARKS = (
  "No landmark model: faces were framed by the detector's box, which is less "
  "steady, and not cut out. See --landmark_model."
)


def main() -> None:
  """The app."""
  source = app.required("input", photo_flags.INPUT.value)
  output = pathlib.Path(app.required("output", _OUTPUT.value))
  try:
    photos = reading.list_photos(source)
    predictor = photo_flags.load_predictor()
    output.mkdir(parents=True, exist_ok=True)
    encoder = trained_encoder.load(_CHECKPOINT.value)
    refiner = refining.create(encoder, photo_flags.refine_steps())
    recognizer = trained_expression.find(
      _EXPRESSION_MODEL.value, encoder, refined=refiner is not None
    )
  except (ValueError, OSError, checkpoint.CheckpointError) as error:
    raise app.UsageError(error) from error
  records = reconstruct_photos(
    encoder,
    photos,
    output,
    predictor=predictor,
    detector=photo_flags.DETECTOR.value,
    refiner=refiner,
    recognizer=recognizer,
  )
  done = sum(record["status"] == DONE for record in records)
  print(f"{done} of {len(records)} photographs: {output / 'index.html'}")
  if not done:
    raise app.WorkError(
      f"no face was reconstructed; {output / 'summary.json'} says why, for "
      f"{records[0]['file']}: {records[0]['message']}"
    )


def reconstruct_photos(
  encoder: reconstruction.Encoder,
  photos: Sequence[pathlib.Path],
  output: pathlib.Path,
  *,
  predictor: landmark_predictor.Predictor | None = None,
  detector: str = "auto",
  refiner: refining.Refiner | None = None,
  recognizer: trained_expression.TrainedExpression | None = None,
) -> list[dict]:
  """Reconstructs all faces of all photographs.

  summary.json is complete after every photograph; index.html is written at the
  end, also if that comes early.

  Args:
    encoder: a trained one.
    photos: paths.
    output: an existing folder.
    predictor: of landmarks, or None.
    detector: as for `detection.detect_faces`.
    refiner: of the encoder's codes, or None.
    recognizer: of expressions, or None.

  Returns:
    One record for each photograph, as in summary.json: file, status, message,
    faces.
  """
  problem = _NO_LANDMARKS if predictor is None else ""
  records = []
  try:
    for path, name in zip(photos, folder_names(photos), strict=True):
      records.append(
        _reconstruct_photo(
          encoder,
          path,
          output,
          name,
          predictor=predictor,
          detector=detector,
          refiner=refiner,
          recognizer=recognizer,
        )
      )
      _log(records[-1])
      write_summary(output, records, problem=problem)
  finally:
    write_page(output, records, problem=problem)
  return records


def folder_names(photos: Sequence[pathlib.Path]) -> list[str]:
  """A folder name for each photograph: its own, or with a number if taken."""
  names = []
  for path in photos:
    name, count = path.stem, 1
    # Some file systems take "A" for "a".
    while name.casefold() in map(str.casefold, names):
      count += 1
      name = f"{path.stem}_{count}"
    names.append(name)
  return names


def _reconstruct_photo(
  encoder, path, output, name, *, predictor, detector, **models
):
  record = {"file": path.name, "status": DONE, "message": "", "faces": []}
  try:
    photo = reading.read_photo(path)
    faces = detection.detect_faces(
      photo, detector=detector, predictor=predictor
    )
    if not faces:
      return record | {"status": NO_FACE, "message": "no face was found"}
    record["faces"] = [
      _reconstruct_face(
        encoder, photo, face, output, f"{name}/face_{index}", **models
      )
      for index, face in enumerate(faces)
    ]
  except reading.PhotoError as error:
    return record | {"status": UNREADABLE, "message": messages.one_line(error)}
  except Exception as error:  # A photograph never stops the others.
    logging.exception("%s", path)
    return record | {"status": FAILED, "message": messages.one_line(error)}
  failures = [f["message"] for f in record["faces"] if f["status"] != DONE]
  if len(failures) == len(faces):
    return record | {"status": FAILED, "message": failures[0]}
  return record


def _reconstruct_face(encoder, photo, face, output, folder, **models):
  record = {"folder": folder, "status": DONE, "message": ""}
  try:
    result = reconstruction.reconstruct(encoder, photo, face, **models)
    facts = face_files.write_face(output / folder, encoder, photo, face, result)
  except Exception as error:  # A face never stops the others.
    logging.exception("%s", folder)
    return record | {"status": FAILED, "message": messages.one_line(error)}
  return record | facts


def _log(record):
  text = record["message"] or f"{len(record['faces'])} face(s)"
  logging.info("%s: %s, %s", record["file"], record["status"], text)


def write_summary(
  output: pathlib.Path, records: Sequence[dict], *, problem: str = ""
) -> None:
  """Writes summary.json, see `reconstruct_photos`."""
  done = sum(record["status"] == DONE for record in records)
  counts = {"photos": len(records), "reconstructed": done}
  codes.write_json(
    output / "summary.json",
    {"counts": counts, "problem": problem, "photos": records},
  )


def write_page(
  output: pathlib.Path, records: Sequence[dict], *, problem: str = ""
) -> None:
  """Writes index.html, see `reconstruct_photos`."""
  sections = tuple(
    section for record in records for section in _sections(record)
  )
  unused = [
    f"{record['file']}: {record['status']}. {record['message']}"
    for record in records
    if record["status"] != DONE
  ]
  done = len(records) - len(unused)
  faces = sum(f["status"] == DONE for r in records for f in r["faces"])
  report.write_report(
    output / "index.html",
    report.Report(
      title="Reconstructed faces",
      text=f"Photographs: {done} of {len(records)}. Faces: {faces}.",
      sections=sections,
      problems=(*([problem] if problem else []), *unused),
    ),
  )


def _sections(record) -> Iterator[report.Section]:
  several = len(record["faces"]) > 1
  for index, face in enumerate(record["faces"]):
    title = record["file"]
    if several:
      title += f", face {index + 1} of {len(record['faces'])}"
    if face["status"] == DONE:
      yield face_report.face_section(title, face["folder"], face)
    else:
      yield report.Section(title, problems=(face["message"],))


if __name__ == "__main__":
  app.run(main)
