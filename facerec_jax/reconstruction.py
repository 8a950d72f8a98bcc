"""From a face in a photograph to its code."""

from __future__ import annotations

import dataclasses
from typing import Protocol

import jax
import numpy as np

from facerec_jax import refining
from facerec_jax import trained_expression
from facerec_jax.face import code_vector
from facerec_jax.face import landmarks
from facerec_jax.face import morphable_model
from facerec_jax.photos import alignment
from facerec_jax.photos import detection
from facerec_jax.photos import preparation
from facerec_jax.render import geometry
from facerec_jax.render import renderer


class Encoder(Protocol):
  """What reads codes, as `trained_encoder.TrainedEncoder` does.

  Attributes:
    model: the morphable model of the codes.
    layout: of the flat codes.
    image_size: S, px.
    face_mask: whether it was trained on faces cut out by the hull mask.
  """

  model: morphable_model.MorphableModel
  layout: code_vector.CodeLayout
  image_size: int
  face_mask: bool

  def predict(self, images) -> jax.Array:
    """Reads [B, S, S, 3] sRGB images as flat codes [B, D]."""

  def predict_twice(self, images) -> jax.Array:
    """As `predict`, from the images and their mirrors."""


@dataclasses.dataclass(frozen=True, eq=False)
class Reconstruction:
  """What was read from a face.

  Attributes:
    image: [S, S, 3] sRGB, what the encoder saw.
    code: in the reference camera of that image.
    field_of_view: of the camera that took it, see `geometry.dolly_zoom`,
      radians; the reference camera's where nothing is known of it.
    landmarks: [68, 2] the model's own points, pixels of the photograph.
    landmark_error: their mean distance from the detected ones, in outer-canthal
      distances; None without detected ones.
    start: what the encoder read, if the code was refined.
    refinement: errors before and after, see `refining.Outcome`; None without.
    shown: the named expression, see `trained_expression.Predictions.describe`;
      None where no network names it.
  """

  image: np.ndarray
  code: code_vector.CodeVector
  landmarks: np.ndarray
  landmark_error: float | None
  field_of_view: float = geometry.REFERENCE_FIELD_OF_VIEW
  start: code_vector.CodeVector | None = None
  refinement: dict | None = None
  shown: dict | None = None


def project_landmarks(
  model: morphable_model.MorphableModel,
  code: code_vector.CodeVector,
  square: alignment.Square,
  field_of_view: float = geometry.REFERENCE_FIELD_OF_VIEW,
) -> np.ndarray:
  """The 68 points of a face in its photograph.

  Args:
    model: the morphable model.
    code: in the reference camera of the square.
    square: of the photograph.
    field_of_view: see `geometry.dolly_zoom`, radians.

  Returns:
    [68, 2] pixels of the photograph.
  """
  points = np.asarray(_project(model, code, field_of_view), np.float64)
  return alignment.from_crop(points, square, 1)


@jax.jit
def _project(model, code, field_of_view):
  camera, code = geometry.dolly_zoom(
    geometry.reference_camera(1), code, field_of_view
  )
  return renderer.project_landmarks(model, camera, code)


def reconstruct(
  encoder: Encoder,
  photo: np.ndarray,
  face: detection.Face,
  *,
  refiner: refining.Refiner | None = None,
  recognizer: trained_expression.TrainedExpression | None = None,
) -> Reconstruction:
  """Reads a face.

  Args:
    encoder: a trained one.
    photo: [H, W, 3] uint8 sRGB.
    face: of the photo.
    refiner: of the encoder's codes, or None to keep what it answers.
    recognizer: names the expression, or None.

  Returns:
    The reconstruction.

  Raises:
    ValueError: the encoder's answer is not finite.
  """
  size = encoder.image_size
  image = preparation.prepare(
    photo, face, image_size=size, mask=encoder.face_mask
  )
  flat = np.asarray(refining.read(encoder, image[None], refiner)[0])
  if not np.isfinite(flat).all():
    raise ValueError("the encoder's code is not finite; train it anew")
  code = start = encoder.layout.unflatten(flat)
  facts, view = None, geometry.REFERENCE_FIELD_OF_VIEW
  if refiner is not None:
    flat, view, facts = refiner(photo, face, flat)
    code = encoder.layout.unflatten(flat)
  shown = None
  if recognizer is not None:
    # The network knows the mistakes of the codes that it learned from.
    named = code if recognizer.refine_steps else start
    shown = recognizer.predict(np.asarray(named.expression)[None]).describe(0)
  points = project_landmarks(encoder.model, code, face.square, view)
  error = None
  if face.landmarks is not None:
    error = float(landmarks.normalized_mean_error(points, face.landmarks))
  return Reconstruction(
    image,
    code,
    points,
    error,
    view,
    start=None if refiner is None else start,
    refinement=facts,
    shown=shown,
  )
