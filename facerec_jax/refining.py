"""Refines what an encoder read of one photograph (`reconstruct --refine=N`)."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from facerec_jax.face import code_vector
from facerec_jax.face import landmarks
from facerec_jax.face import morphable_model
from facerec_jax.photos import alignment
from facerec_jax.photos import detection
from facerec_jax.photos import masking
from facerec_jax.render import geometry
from facerec_jax.render import renderer
from facerec_jax.training import code_prior
from facerec_jax.training import lenses
from facerec_jax.training import refinement
from facerec_jax.training import self_supervision

# Side of the image that a code is fitted to, px; codes know no pixels, so that
# it need not be the encoder's.
IMAGE_SIZE = 112
# Photographs are read worse than the synthetic faces on which an encoder's
# errors are measured, by about this factor.
PHOTO_ERROR = 2.0


class Encoder(Protocol):
  """What refinement asks of an encoder, see `trained_encoder.TrainedEncoder`.

  Attributes:
    model: the morphable model of the codes.
    layout: of the flat codes.
    prior: of the codes that it was trained on.
    error_covariance: [n, n] of the mistakes of what it reads twice, in the
      numbers of `code_prior.read_part`; None where nothing is known of them.
  """

  model: morphable_model.MorphableModel
  layout: code_vector.CodeLayout
  prior: code_prior.CodePrior
  error_covariance: jax.Array | None

  def predict(self, images) -> jax.Array:
    """Reads [B, S, S, 3] sRGB images as flat codes [B, D]."""

  def predict_twice(self, images) -> jax.Array:
    """As `predict`, from the images and their mirrors."""


class Outcome(NamedTuple):
  """A refined code.

  Attributes:
    flat: [D].
    field_of_view: that goes with it, see `geometry.dolly_zoom`, radians.
    facts: steps; `blur` of the photograph if its lens was fitted (standard
      deviation, share of the square's side); errors before and after: `energy`
      (nats), `photometric_error` (mean absolute sRGB difference inside the
      mask), and `landmark_error` (points 17-67, outer-canthal distances) where
      landmarks were detected.
  """

  flat: np.ndarray
  field_of_view: float
  facts: dict[str, Any]


@dataclasses.dataclass(frozen=True, eq=False)
class Refiner:
  """Fits codes to photographs; compiled once for all faces.

  Attributes:
    scene: of the objective.
    layout: of the flat codes.
    schedule: steps.
    whitening: [n, n] of the encoder's mistakes, see `refinement.refine`.
    fit_lens: whether perspective and blur of a photograph are fitted, too.
    objective: knobs.
  """

  scene: self_supervision.FittingScene
  layout: code_vector.CodeLayout
  schedule: refinement.Schedule
  whitening: jax.Array | None = None
  fit_lens: bool = True
  objective: self_supervision.Objective = self_supervision.DEFAULT

  def __call__(
    self, photo: np.ndarray, face: detection.Face, flat: np.ndarray
  ) -> Outcome:
    """`fit` of a detected face."""
    return self.fit(photo, face.square, face.landmarks, flat)

  def fit(
    self,
    photo: np.ndarray,
    square: alignment.Square,
    points: np.ndarray | None,
    flat: np.ndarray,
  ) -> Outcome:
    """Refines a code.

    Args:
      photo: [H, W, 3] uint8 sRGB.
      square: of the photo, that the encoder saw.
      points: [68, 2] landmarks, px of the photo, or None.
      flat: [D] what the encoder read.

    Returns:
      A code that explains the photograph better, or the same one.
    """
    refined = jax.device_get(
      refinement.refine(
        self.scene,
        self._target(photo, square, points, flat),
        jnp.asarray(flat),
        layout=self.layout,
        schedule=self.schedule,
        objective=self.objective,
        whitening=self.whitening,
        trust=1.0 / PHOTO_ERROR**2,
        fit_lens=self.fit_lens,
      )
    )
    has_landmarks = points is not None
    view, lens = _describe(refined.lens)
    facts = {
      "steps": self.schedule.steps,
      **lens,
      "before": _errors(refined.before, has_landmarks),
      "after": _errors(refined.after, has_landmarks),
    }
    return Outcome(refined.flat, view, facts)

  def _target(self, photo, square, points, flat):
    """The photograph as the objective wants it."""
    if points is not None:
      mask = masking.face_mask(points, square, IMAGE_SIZE)
      points, trust = alignment.to_crop(points, square, IMAGE_SIZE), 1.0
    else:
      # The encoder's own points bound what is compared; they attract nothing.
      points, trust = _own_points(self.scene, self.layout.unflatten(flat)), 0.0
      mask = landmarks.hull_mask(points, height=IMAGE_SIZE, width=IMAGE_SIZE)
    return self_supervision.Photo(
      image=jnp.asarray(alignment.crop(photo, square, IMAGE_SIZE)),
      mask=jnp.asarray(mask),
      landmarks=jnp.asarray(points, jnp.float32),
      trust=jnp.float32(trust),
    )


@jax.jit
def _own_points(scene, code):
  return renderer.project_landmarks(scene.model, scene.camera, code)


def _describe(lens):
  """The field of view, radians, and what else is known of a lens."""
  if lens is None:
    return geometry.REFERENCE_FIELD_OF_VIEW, {}
  blur = lenses.blur_width(lens, IMAGE_SIZE) / IMAGE_SIZE
  return float(lenses.field_of_view(lens)), {"blur": float(blur)}


def _errors(terms, has_landmarks):
  errors = {
    "energy": float(terms["energy"]),
    "photometric_error": float(terms["color"]),
  }
  if has_landmarks:
    errors["landmark_error"] = float(terms["landmark"])
  return errors


def create(
  encoder: Encoder, steps: int, *, film: bool = False
) -> Refiner | None:
  """Prepares the refinement of an encoder's codes.

  Args:
    encoder: that will read the codes.
    steps: of gradient descent for each face.
    film: whether the faces are of a film: one lens took all frames, which a fit
      of each would make tremble.

  Returns:
    The refiner; None for 0 steps.
  """
  if not steps:
    return None
  scene = self_supervision.FittingScene(
    model=encoder.model,
    camera=geometry.reference_camera(IMAGE_SIZE),
    prior=encoder.prior,
  )
  return Refiner(
    scene,
    encoder.layout,
    refinement.Schedule(steps),
    whitening=_whitening(encoder),
    fit_lens=not film,
  )


def read(encoder: Encoder, images, refiner: Refiner | None) -> jax.Array:
  """Reads codes [B, D] as they are wanted: fits start from both sides.

  Args:
    encoder: that reads.
    images: [B, S, S, 3] sRGB.
    refiner: that will fit the codes, or None to keep them.
  """
  predict = encoder.predict if refiner is None else encoder.predict_twice
  return predict(images)


def _whitening(encoder):
  """Of the encoder's mistakes."""
  if encoder.error_covariance is None:
    return None
  covariance = np.asarray(encoder.error_covariance, np.float64)
  root = np.linalg.cholesky(np.linalg.inv(covariance))
  return jnp.asarray(root.T, jnp.float32)
