"""The faces of an edit: photographs, codes of reconstructions, films."""

from __future__ import annotations

import pathlib
from typing import NamedTuple

import jax
import numpy as np

from facerec_jax import code_smoothing
from facerec_jax import reconstruction
from facerec_jax import refining
from facerec_jax import video_tracking
from facerec_jax.face import code_vector
from facerec_jax.photos import alignment
from facerec_jax.photos import detection
from facerec_jax.photos import landmark_predictor
from facerec_jax.photos import reading
from facerec_jax.photos import tracking
from facerec_jax.photos import video
from facerec_jax.render import geometry
from facerec_jax.results import codes

FILMS = (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v")


class NoFaceError(Exception):
  """A photograph or film shows no face."""


class Source(NamedTuple):
  """A face.

  Attributes:
    code: of the face.
    photo: [H, W, 3] uint8 that shows it, or None.
    face: where, or None.
    field_of_view: of that photograph, see `geometry.dolly_zoom`, radians.
  """

  code: code_vector.CodeVector
  photo: np.ndarray | None = None
  face: detection.Face | None = None
  field_of_view: float = geometry.REFERENCE_FIELD_OF_VIEW


class SourceReader:
  """Reads faces with one encoder."""

  def __init__(
    self,
    encoder: reconstruction.Encoder,
    *,
    predictor: landmark_predictor.Predictor | None = None,
    detector: str = "auto",
    refiner: refining.Refiner | None = None,
    film_refiner: refining.Refiner | None = None,
  ):
    """Prepares.

    Args:
      encoder: a trained one.
      predictor: of landmarks, or None.
      detector: as for `detection.detect_faces`.
      refiner: of codes that are read from photographs, or None.
      film_refiner: of those from the frames of films, or None.
    """
    self._encoder = encoder
    self._predictor = predictor
    self._detector = detector
    self._refiner = refiner
    self._film_refiner = film_refiner

  def __call__(self, path: pathlib.Path, index: int = 0) -> Source:
    """Reads a photograph, or the code.json of a reconstruction.

    Args:
      path: of the file.
      index: which face of a photograph, the largest is 0.

    Raises:
      PhotoError, CodeFileError: the file cannot be used.
      NoFaceError: the photograph has no such face.
      ValueError: the encoder's answer is not finite.
    """
    path = pathlib.Path(path)
    if path.suffix == ".json":
      code, content = self._read_code(path)
      view = codes.field_of_view(path, content)
      return Source(code, field_of_view=view)
    photo = reading.read_photo(path)
    faces = detection.detect_faces(
      photo, detector=self._detector, predictor=self._predictor
    )
    if index >= len(faces):
      found = "no face was found" if not faces else f"{len(faces)} found"
      wanted = f"; --face={index} does not exist" if faces else ""
      raise NoFaceError(f"{path}: {found}{wanted}")
    face = faces[index]
    result = reconstruction.reconstruct(
      self._encoder, photo, face, refiner=self._refiner
    )
    code = jax.tree.map(np.asarray, result.code)
    return Source(code, photo, face, result.field_of_view)

  def read_code_in(self, path: pathlib.Path, photo: pathlib.Path) -> Source:
    """Reads a code.json, and the photograph that it was read from.

    Raises:
      PhotoError, CodeFileError: a file cannot be used.
    """
    code, content = self._read_code(path)
    try:
      center = np.asarray(content["square"]["center"], np.float64)
      side = float(content["square"]["side"])
      points = content.get("detected_landmarks68")
      points = None if points is None else np.asarray(points, np.float64)
      square = alignment.Square(center.reshape(2), side)
    except (KeyError, TypeError, ValueError) as error:
      raise codes.CodeFileError(
        f"{path}: does not say where the face is in its photograph"
      ) from error
    box = alignment.square_box(square, "none")
    face = detection.Face(box, 1.0, "none", points)
    view = codes.field_of_view(path, content)
    return Source(code, reading.read_photo(photo), face, view)

  def _read_code(self, path):
    like = self._encoder.layout.neutral()
    return codes.read_code(path, self._encoder.model.name, like)

  def read_film(
    self, path: pathlib.Path, max_frames: int
  ) -> tuple[list[code_vector.CodeVector], float]:
    """Reads a face from a film; frames without it are left out.

    Args:
      path: of the file.
      max_frames: that are read at most.

    Returns:
      Smoothed codes, and frames a second.

    Raises:
      VideoError: the film cannot be used.
      NoFaceError: it shows no face.
    """
    tracker = tracking.Tracker(
      detector=self._detector, predictor=self._predictor
    )
    smoother = code_smoothing.CodeSmoother(code_smoothing.Options())
    reader = video_tracking.FaceReader(
      self._encoder, tracker, smoother, self._film_refiner
    )
    found = []
    with video.Video(path) as film:
      for _, frame in zip(range(max_frames), film.frames(), strict=False):
        tracked = reader.read(frame)
        if tracked.smooth is not None:
          found.append(tracked.smooth.code)
      rate = film.rate
    if not found:
      raise NoFaceError(f"{path}: no frame shows a face")
    return found, rate
