"""The expressions of faces in photographs."""

from __future__ import annotations

from collections.abc import Sequence
import csv
import dataclasses
import pathlib

from absl import logging

from facerec_jax import messages
from facerec_jax import reconstruction
from facerec_jax import refining
from facerec_jax import trained_expression
from facerec_jax.photos import detection
from facerec_jax.photos import landmark_predictor
from facerec_jax.photos import reading
from facerec_jax.results import codes
from facerec_jax.synthesis import emotions


@dataclasses.dataclass(frozen=True, eq=False)
class Reader:
  """Names the expressions of photographs.

  Attributes:
    encoder: image -> code.
    recognizer: code -> expression.
    predictor: of landmarks, or None.
    detector: as for `detection.detect_faces`.
    refiner: of the encoder's codes, or None.
  """

  encoder: reconstruction.Encoder
  recognizer: trained_expression.TrainedExpression
  predictor: landmark_predictor.Predictor | None = None
  detector: str = "auto"
  refiner: refining.Refiner | None = None

  def __post_init__(self):
    self.recognizer.check_model(self.encoder.model)

  def read(self, path: pathlib.Path) -> dict:
    """Names all faces of a photograph, the largest first.

    Args:
      path: of the photograph.

    Returns:
      `file`, `message` (why there is no face, or empty) and `faces`: `box` and
      what `Predictions.describe` says.
    """
    record = {"file": str(path), "message": "", "faces": []}
    try:
      photo = reading.read_photo(path)
      faces = detection.detect_faces(
        photo, detector=self.detector, predictor=self.predictor
      )
      record["faces"] = [self._describe(photo, face) for face in faces]
    except reading.PhotoError as error:
      record["message"] = messages.one_line(error)
    except Exception as error:  # A photograph never stops the others.
      logging.exception("%s", path)
      record["message"] = messages.one_line(error)
    if not record["faces"] and not record["message"]:
      record["message"] = "no face was found"
    return record

  def _describe(self, photo, face):
    read = reconstruction.reconstruct(
      self.encoder,
      photo,
      face,
      refiner=self.refiner,
      recognizer=self.recognizer,
    )
    return {"box": face.box, **read.shown}


def write(output: pathlib.Path, records: Sequence[dict]) -> list[pathlib.Path]:
  """Writes expressions.json and expressions.csv, one row for each face."""
  output.mkdir(parents=True, exist_ok=True)
  files = [output / f"expressions.{end}" for end in ("json", "csv")]
  codes.write_json(files[0], records)
  header = ["file", "face", "label", "likeliest", "probability", "intensity"]
  with files[1].open("w", newline="", encoding="utf-8") as stream:
    writer = csv.writer(stream)
    writer.writerow([*header, *emotions.CLASSES])
    for record in records:
      for index, face in enumerate(record["faces"]):
        numbers = [face["probability"], face["intensity"]]
        numbers += list(face["probabilities"].values())
        writer.writerow(
          [record["file"], index, face["label"], face["likeliest"]]
          + [f"{number:.4f}" for number in numbers]
        )
  return files


def format_lines(record: dict, root: str = "") -> str:
  """A line for each face of a photograph, which is named from `root` on."""
  path = pathlib.Path(record["file"])
  name = str(path.relative_to(root)) if root else path.name
  if not record["faces"]:
    return f"{name}: {record['message']}"
  return "\n".join(
    f"{name}: {trained_expression.format_description(face)}"
    for face in record["faces"]
  )
