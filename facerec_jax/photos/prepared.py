"""A photograph made ready for encoders once, and kept as a file."""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import hashlib
import io
import json
import os
import pathlib
import zipfile
import zlib

import cv2
import numpy as np

from facerec_jax.face import landmarks as landmark_points
from facerec_jax.photos import alignment
from facerec_jax.photos import detection
from facerec_jax.photos import landmark_predictor
from facerec_jax.photos import masking
from facerec_jax.photos import reading

# Raise it when the same settings give another result.
_VERSION = 1
_DAMAGED = (zipfile.BadZipFile, zlib.error, KeyError, EOFError, ValueError)


@dataclasses.dataclass(frozen=True)
class Settings:
  """How photographs are prepared.

  Attributes:
    image_size: S, px.
    detector: of `detection.DETECTORS`.
    landmark_model: path, or None for the installed one.
    mean_color: [3] sRGB that the face's mean is shifted to, or None.
  """

  image_size: int = 224
  detector: str = "auto"
  landmark_model: str | None = None
  mean_color: tuple[float, float, float] | None = None

  def __post_init__(self):
    if self.image_size < 16:
      raise ValueError(f"image_size is {self.image_size}, wanted 16 or more")
    color = self.mean_color
    if color is not None and (
      len(color) != 3 or not all(0 <= value <= 1 for value in color)
    ):
      raise ValueError(f"mean_color is {color}, wanted three numbers in [0, 1]")

  def fingerprint(self) -> str:
    """Names what decides on the result, the landmark model's bytes included.

    Raises:
      ValueError: there is no such landmark model.
    """
    path = landmark_predictor.find(self.landmark_model)
    content = dataclasses.asdict(self) | {
      "version": _VERSION,
      "landmark_model": path and file_digest(path),
    }
    text = json.dumps(content, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclasses.dataclass(frozen=True, eq=False)
class PreparedPhoto:
  """The largest face of a photograph.

  Attributes:
    image: PNG of [S, S, 3] sRGB, not masked.
    mask: PNG of [S, S], 255 in the hull of the landmarks without the mouth's
      interior; everywhere where there are no landmarks.
    landmarks: [68, 2] px of the image; NaN without a landmark model.
    square: [3] column and row of the centre, and side, of what was cropped; px
      of the upright photograph.
    box: [4] left, top, width, height, likewise.
    score: of the detector.
    detector: its name.
    num_faces: found in the photograph.
  """

  image: bytes
  mask: bytes
  landmarks: np.ndarray
  square: np.ndarray
  box: np.ndarray
  score: float
  detector: str
  num_faces: int


class NoFaceError(ValueError):
  """There is no face in a photograph."""


def prepare(
  photo: np.ndarray,
  settings: Settings,
  predictor: landmark_predictor.Predictor | None,
) -> PreparedPhoto:
  """Finds the largest face of a photograph and prepares it.

  Args:
    photo: [H, W, 3] uint8.
    settings: how.
    predictor: of the landmarks, or None.

  Raises:
    NoFaceError: there is none.
  """
  faces = detection.detect_faces(
    photo, detector=settings.detector, predictor=predictor
  )
  if not faces:
    raise NoFaceError("no face was found")
  face, size = faces[0], settings.image_size
  image = alignment.crop(photo, face.square, size)
  mask = np.ones((size, size), bool)
  points = np.full((landmark_points.NUM_LANDMARKS, 2), np.nan)
  if face.landmarks is not None:
    mask = masking.face_mask(face.landmarks, face.square, size)
    points = alignment.to_crop(face.landmarks, face.square, size)
  if settings.mean_color is not None:
    image = masking.shift_mean_color(
      image, mask, np.asarray(settings.mean_color)
    )
  return PreparedPhoto(
    image=encode_png(image),
    mask=encode_png(mask),
    landmarks=points.astype(np.float32),
    square=np.array([*face.square.center, face.square.side], np.float32),
    box=np.array(face.box, np.float32),
    score=face.score,
    detector=face.detector,
    num_faces=len(faces),
  )


def encode_png(image: np.ndarray) -> bytes:
  """PNG of an image of [0, 1] floats or booleans, [H, W, 3] or [H, W]."""
  pixels = np.round(np.asarray(image, np.float32) * 255).astype(np.uint8)
  if pixels.ndim == 3:
    pixels = pixels[..., ::-1]
  done, data = cv2.imencode(".png", pixels)
  assert done, "OpenCV could not write a PNG into memory"
  return data.tobytes()


def save(path: str | os.PathLike, photo: PreparedPhoto | None) -> None:
  """Writes a prepared photograph, or that there is no face, in one piece."""
  arrays = {}
  if photo is not None:
    arrays = {
      field.name: _as_array(getattr(photo, field.name))
      for field in dataclasses.fields(PreparedPhoto)
    }
  stream = io.BytesIO()
  np.savez(stream, **arrays)
  path = pathlib.Path(path)
  partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
  partial.write_bytes(stream.getvalue())
  os.replace(partial, path)


def load(path: str | os.PathLike) -> PreparedPhoto | None:
  """Reads what `save` wrote; None: there is no face.

  Raises:
    ValueError: the file is missing or damaged.
  """
  try:
    with np.load(path, allow_pickle=False) as arrays:
      values = {name: arrays[name] for name in arrays.files}
    return _decode(values) if values else None
  except (*_DAMAGED, OSError) as error:
    raise ValueError(f"{path}: damaged ({error})") from error


def _decode(values):
  return PreparedPhoto(
    image=values["image"].tobytes(),
    mask=values["mask"].tobytes(),
    landmarks=values["landmarks"],
    square=values["square"],
    box=values["box"],
    score=float(values["score"]),
    detector=str(values["detector"]),
    num_faces=int(values["num_faces"]),
  )


def _as_array(value):
  if isinstance(value, bytes):
    return np.frombuffer(value, np.uint8)
  return np.asarray(value)


def file_digest(path: str | os.PathLike) -> str:
  """SHA-256 of a file's bytes."""
  with open(path, "rb") as stream:
    return hashlib.file_digest(stream, "sha256").hexdigest()


def combined_digest(parts: Sequence[str]) -> str:
  """One short name for several texts, in their order."""
  text = json.dumps(list(parts))
  return hashlib.sha256(text.encode()).hexdigest()[:16]


def read_and_prepare(
  path: str | os.PathLike, settings: Settings
) -> PreparedPhoto:
  """Reads a file and prepares its largest face.

  Raises:
    PhotoError: the file cannot be used.
    NoFaceError: it shows no face.
  """
  predictor = landmark_predictor.load_predictor(settings.landmark_model)
  return prepare(reading.read_photo(path), settings, predictor)
