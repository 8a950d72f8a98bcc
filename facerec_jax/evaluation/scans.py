"""Suite `scans`: photographs of people whose neutral faces were scanned."""

from __future__ import annotations

from collections.abc import Sequence
import pathlib
from typing import NamedTuple

import numpy as np

from facerec_jax import reconstruction
from facerec_jax import refining
from facerec_jax import trained_encoder
from facerec_jax.evaluation import drawing
from facerec_jax.evaluation import groups
from facerec_jax.evaluation import outcome
from facerec_jax.evaluation import scan_files
from facerec_jax.evaluation import scan_meter
from facerec_jax.photos import alignment
from facerec_jax.photos import detection
from facerec_jax.photos import landmark_predictor
from facerec_jax.photos import reading
from facerec_jax.results import figures
from facerec_jax.results import heat_maps
from facerec_jax.results import report

NAME = "scans"
_TEXT = (
  "Photographs of scanned people: distances from the neutral scan to the face "
  "without expression that was read, as the NoW benchmark measures them."
)
_LIMIT = 6.0


class _Photo(NamedTuple):
  """A measured photograph."""

  example: outcome.Example
  reading: scan_meter.Reading
  picture: list[np.ndarray]


def run(
  encoder: trained_encoder.TrainedEncoder,
  folder: pathlib.Path,
  *,
  entries: Sequence[scan_files.Entry],
  predictor: landmark_predictor.Predictor | None,
  detector: str = "auto",
  refiner: refining.Refiner | None = None,
) -> outcome.Outcome:
  """Measures an encoder on photographs of scanned people.

  Args:
    encoder: a trained one.
    folder: of the pictures.
    entries: scans; one that cannot be used is named and stops nothing.
    predictor: of landmarks, or None.
    detector: as for `detection.detect_faces`.
    refiner: of the encoder's codes, or None.

  Returns:
    One example a photograph.

  Raises:
    SuiteError: nothing could be measured.
  """
  meter = scan_meter.ScanMeter(encoder.model)
  measured, problems = [], []
  for path, scan in _pairs(entries, problems):
    try:
      photo = reading.read_photo(path)
      faces = detection.detect_faces(
        photo, detector=detector, predictor=predictor
      )
      measured.append(
        _measure(encoder, meter, path.name, photo, faces, scan, refiner)
      )
    except Exception as error:  # A photograph never stops the others.
      problems.append(outcome.problem(path, error))
  if not measured:
    raise outcome.SuiteError(f"nothing was measured; {problems[0]}")
  readings = [photo.reading for photo in measured]
  return outcome.Outcome(
    name=NAME,
    text=_TEXT,
    examples=tuple(photo.example for photo in measured),
    headline=("now_mm", "metric_mm"),
    distances=scan_meter.pool(readings),
    figures=(_heat_map(encoder, folder, readings), *_sheets(folder, measured)),
    problems=tuple(problems),
  )


def _pairs(entries, problems):
  """(photograph, scan) of all entries; what is missing goes to `problems`."""
  for entry in entries:
    try:
      scan = scan_files.read_scan(entry)
    except ValueError as error:
      problems.append(str(error))
      continue
    if not entry.photos:
      problems.append(f"{entry.mesh.name}: no photograph named {entry.name}*")
    for path in entry.photos:
      yield path, scan


def _measure(encoder, meter, name, photo, faces, scan, refiner):
  if not faces:
    raise ValueError("no face was found")
  result = reconstruction.reconstruct(encoder, photo, faces[0], refiner=refiner)
  points = meter.neutral(result.code.identity)
  found = meter.measure(points, scan)
  yaw = float(np.degrees(result.code.rotation[1]))
  view = alignment.crop(photo, faces[0].square, drawing.SIZE)
  heat = heat_maps.heat_view(
    encoder.model, points, found.vertex, limit=_LIMIT, size=drawing.SIZE
  )
  drawn = drawing.draw(encoder.model, result.code, result.field_of_view)
  example = outcome.Example(
    name,
    found.errors,
    found.mean_face,
    groups={"yaw as read": groups.of_yaw(yaw)},
  )
  return _Photo(
    example, found, [figures.to_bytes(view), drawn.over(view), heat]
  )


def _heat_map(encoder, folder, readings):
  path = heat_maps.write_heat_map(
    folder / "heat.png",
    encoder.model,
    np.asarray(encoder.model.mean),
    scan_meter.mean_of_vertices(readings),
    label="mean over the photographs, mm",
  )
  return report.Figure(path, "mean distance from the scan")


def _sheets(folder, measured):
  errors = np.array([photo.example.errors["now_mm"] for photo in measured])
  return drawing.extreme_sheets(
    folder,
    errors,
    lambda k: measured[k].picture,
    columns=("photograph", "read face", f"distance, 0-{_LIMIT:g} mm"),
    label=lambda k: f"{measured[k].example.name}: {errors[k]:.2f} mm",
    caption="by scan-to-mesh distance",
  )
