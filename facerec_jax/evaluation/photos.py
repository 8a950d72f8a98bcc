"""Suite `photos`: photographs with points that people or dlib placed."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
import pathlib
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from facerec_jax import reconstruction
from facerec_jax import refining
from facerec_jax import trained_encoder
from facerec_jax.evaluation import drawing
from facerec_jax.evaluation import groups
from facerec_jax.evaluation import outcome
from facerec_jax.face import landmarks
from facerec_jax.photos import alignment
from facerec_jax.photos import annotations
from facerec_jax.photos import detection
from facerec_jax.photos import landmark_predictor
from facerec_jax.photos import masking
from facerec_jax.photos import reading
from facerec_jax.render import geometry
from facerec_jax.results import figures
from facerec_jax.results import studio

NAME = "photos"
_TEXT = (
  "Photographs. Landmarks 17-67 of the reconstruction against given points and "
  "against dlib's; colour: mean absolute sRGB difference within the hull of "
  "the landmarks, where the reconstruction covers it. The mean face is the "
  "mean of the training codes in the same square."
)
_GIVEN, _DLIB, _READ = (70, 220, 90), (90, 180, 255), (255, 140, 30)


class _Photo(NamedTuple):
  """A measured photograph: example, and what its picture shows."""

  example: outcome.Example
  picture: list[np.ndarray]


def run(
  encoder: trained_encoder.TrainedEncoder,
  folder: pathlib.Path,
  *,
  photos: Sequence[pathlib.Path],
  known: Mapping[str, annotations.Annotation],
  predictor: landmark_predictor.Predictor | None,
  detector: str = "auto",
  refiner: refining.Refiner | None = None,
) -> outcome.Outcome:
  """Measures an encoder on photographs.

  Args:
    encoder: a trained one.
    folder: of the pictures.
    photos: files; one that cannot be used is named and stops nothing.
    known: annotations by file name.
    predictor: of landmarks, or None.
    detector: as for `detection.detect_faces`.
    refiner: of the encoder's codes, or None.

  Returns:
    One example a photograph in which a face was found.

  Raises:
    SuiteError: there was no face in any photograph.
  """
  measured, problems = [], []
  for path in photos:
    annotation = known.get(path.name, annotations.Annotation())
    try:
      photo = reading.read_photo(path)
      faces = detection.detect_faces(
        photo, detector=detector, predictor=predictor
      )
      measured.append(
        _measure(encoder, path.name, photo, faces, annotation, refiner)
      )
    except Exception as error:  # A photograph never stops the others.
      problems.append(outcome.problem(path, error))
  if not measured:
    raise outcome.SuiteError(f"no face was read; {problems[0]}")
  examples = tuple(photo.example for photo in measured)
  return outcome.Outcome(
    name=NAME,
    text=_TEXT,
    examples=examples,
    headline=("given_nme", "dlib_nme", "photometric"),
    figures=tuple(_sheets(folder, measured)),
    facts=(("Faces found", f"{len(measured)} of {len(photos)} photographs"),),
    problems=tuple(problems),
  )


def choose(
  faces: Sequence[detection.Face], annotation: annotations.Annotation
) -> detection.Face:
  """The annotated face of a photograph, or the largest."""
  if annotation.landmarks is None:
    return faces[0]
  center, _ = landmarks.framing(annotation.landmarks)
  return min(
    faces, key=lambda face: np.linalg.norm(face.square.center - center)
  )


def _measure(encoder, name, photo, faces, annotation, refiner):
  if not faces:
    raise ValueError("no face was found")
  face = choose(faces, annotation)
  result = reconstruction.reconstruct(encoder, photo, face, refiner=refiner)
  mean_code = encoder.layout.unflatten(encoder.state.code_mean)
  view = alignment.crop(photo, face.square, drawing.SIZE)
  usual = geometry.REFERENCE_FIELD_OF_VIEW
  values = []
  for code, lens in ((result.code, result.field_of_view), (mean_code, usual)):
    points = reconstruction.project_landmarks(
      encoder.model, code, face.square, lens
    )
    drawn = drawing.draw(encoder.model, code, lens)
    values.append(
      _landmark_errors(points, face, annotation)
      | {"photometric": _photometric(view, drawn, face, points)}
    )
  example = outcome.Example(
    name,
    *values,
    groups={
      kind: groups.Band(0, label) for kind, label in annotation.groups.items()
    },
  )
  return _Photo(example, _picture(encoder, view, face, result, annotation))


def _landmark_errors(points, face, annotation):
  errors = {}
  if annotation.landmarks is not None:
    index = sorted(set(annotation.reliable) & set(landmarks.INNER))
    errors["given_nme"] = _nme(points, annotation.landmarks, index)
  if face.landmarks is not None:
    errors["dlib_nme"] = _nme(points, face.landmarks, landmarks.INNER)
  return errors


def _nme(points, true, index):
  if not len(index):
    return np.nan
  return float(landmarks.normalized_mean_error(points, true, index))


def _photometric(view, drawn, face, points):
  hull = face.landmarks if face.landmarks is not None else points
  mask = masking.face_mask(hull, face.square, drawing.SIZE)
  mask &= drawn.alpha > 0.5
  difference = np.abs(view - drawn.image)[mask]
  return float(difference.mean()) if mask.any() else np.nan


def _picture(encoder, view, face, result, annotation):
  """Photograph with points, reconstruction over it, its shape."""
  dots = [(result.landmarks, _READ)]
  if face.landmarks is not None:
    dots.insert(0, (face.landmarks, _DLIB))
  if annotation.landmarks is not None:
    trusted = annotation.landmarks[list(annotation.reliable)]
    dots.insert(0, (trusted, _GIVEN))
  marked = view
  for points, color in dots:
    seen = alignment.to_crop(points, face.square, drawing.SIZE)
    marked = figures.mark_points(marked, seen, color)
  light = studio.light()
  shape = drawing.draw(
    studio.clay(encoder.model),
    result.code.replace(illumination=jnp.asarray(light)),
    result.field_of_view,
  )
  drawn = drawing.draw(encoder.model, result.code, result.field_of_view)
  return [figures.to_bytes(view), marked, drawn.over(view), shape.over(view)]


def _sheets(folder, measured):
  for name in ("given_nme", "dlib_nme", "photometric"):
    errors = np.array(
      [m.example.errors.get(name, np.nan) for m in measured], float
    )
    if np.isfinite(errors).any():
      break
  shown = outcome.metric(name)
  return drawing.extreme_sheets(
    folder,
    errors,
    lambda k: measured[k].picture,
    columns=("photograph", "points", "read face", "its shape"),
    label=lambda k: (
      f"{measured[k].example.name}: {shown.factor * errors[k]:.1f} %"
    ),
    caption=(
      f"by {shown.label}; points: orange read, green given, blue dlib's"
    ),
  )
