"""One reconstructed face as a person wants to see it.

As in its photograph, as grey geometry, and turned to the sides. All views are
square, of one size, and antialiased; one compiled function draws them all.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import cv2
import jax
import jax.numpy as jnp
import numpy as np

from facerec_jax.face import code_vector
from facerec_jax.face import landmarks
from facerec_jax.face import morphable_model
from facerec_jax.render import color
from facerec_jax.render import geometry
from facerec_jax.render import renderer
from facerec_jax.results import figures
from facerec_jax.results import studio

# Side of the views, px, and pixels per pixel that they are the mean of.
VIEW_SIZE = 512
_SAMPLES = 2
# Side of the view in units of the square that the encoder reads: hair and neck
# as well.
VIEW_SIDES = 1.25
_TURN = math.radians(55.0)
# Height of the space that a turned face is seen in, mm.
_TURNED_HEIGHT = 330.0
_BACKGROUND = 0.13
# Standard deviation of the soft edge of `FaceViews.face`, sides of the view.
_FEATHER = 0.01


class View(NamedTuple):
  """A picture of a face alone.

  Attributes:
    image: [P, P, 3] sRGB in [0, 1], where alpha > 0.
    alpha: [P, P] share of each pixel that the face covers.
  """

  image: np.ndarray
  alpha: np.ndarray

  def over(self, background: np.ndarray | None = None) -> np.ndarray:
    """Lays the face over a picture [P, P, 3], or over dark grey; uint8."""
    if background is None:
      background = np.full_like(self.image, _BACKGROUND)
    return figures.overlay(background, self.image, self.alpha)


class FaceViews(NamedTuple):
  """Pictures of a face.

  Attributes:
    rendering: pose, albedo and light of the photograph.
    face: of it what lies within jaw line and brows, with a soft edge.
    geometry: the same pose, without albedo, under a light of our own.
    right: turned to the image right, under a light of our own.
    left: turned to the image left.
  """

  rendering: View
  face: View
  geometry: View
  right: View
  left: View


def draw(
  model: morphable_model.MorphableModel,
  code: code_vector.CodeVector,
  field_of_view: float = geometry.REFERENCE_FIELD_OF_VIEW,
) -> FaceViews:
  """Draws a face.

  Args:
    model: the morphable model.
    code: of the face, in the reference camera.
    field_of_view: of the photograph, see `geometry.dolly_zoom`, radians.

  Returns:
    The views; those with the photograph's pose show the encoder's square
    enlarged by VIEW_SIDES about its centre.
  """
  lit = code.replace(illumination=studio.light())
  rendering = _draw(model, code, field_of_view)
  return FaceViews(
    rendering=rendering,
    face=_cut_out(model, code, rendering, field_of_view),
    geometry=_draw(studio.clay(model), lit, field_of_view),
    right=_draw(model, _turn(model, lit, _TURN)),
    left=_draw(model, _turn(model, lit, -_TURN)),
  )


def draw_rendering(
  model: morphable_model.MorphableModel,
  code: code_vector.CodeVector,
  field_of_view: float = geometry.REFERENCE_FIELD_OF_VIEW,
) -> View:
  """Draws `FaceViews.rendering` alone."""
  return _draw(model, code, field_of_view)


def draw_face(
  model: morphable_model.MorphableModel,
  code: code_vector.CodeVector,
  field_of_view: float = geometry.REFERENCE_FIELD_OF_VIEW,
) -> View:
  """Draws `FaceViews.face` alone."""
  rendering = _draw(model, code, field_of_view)
  return _cut_out(model, code, rendering, field_of_view)


def _cut_out(model, code, rendering, field_of_view):
  outline = _face_mask(model, code, field_of_view, size=VIEW_SIZE)
  outline = np.asarray(outline, np.float32)
  outline = cv2.GaussianBlur(outline, None, _FEATHER * VIEW_SIZE)
  return rendering._replace(alpha=rendering.alpha * outline)


def photometric_error(photo: np.ndarray, view: View) -> float:
  """Mean absolute sRGB difference where the face covers the photograph.

  Args:
    photo: [P, P, 3] sRGB in [0, 1], the region that the view shows.
    view: of the face in the photograph.

  Returns:
    In [0, 1]; NaN for a face outside of its view.
  """
  covered = view.alpha > 0.5
  difference = np.abs(photo - view.image)[covered]
  return float(difference.mean()) if covered.any() else math.nan


def _view_camera(size):
  camera = geometry.reference_camera(size)
  return camera.replace(focal=camera.focal / VIEW_SIDES)


def _draw(model, code, field_of_view=geometry.REFERENCE_FIELD_OF_VIEW):
  drawn = _render(model, code, field_of_view, size=VIEW_SIZE)
  return View(*map(np.asarray, drawn))


@functools.partial(jax.jit, static_argnames="size")
def _render(model, code, field_of_view, *, size):
  side = size * _SAMPLES
  camera, code = geometry.dolly_zoom(_view_camera(side), code, field_of_view)
  full = renderer.render(model, camera, code, height=side, width=side)

  def shrink(image):
    shape = (size, _SAMPLES, size, _SAMPLES, -1)
    return image.reshape(shape).mean(axis=(1, 3))

  # In linear light, where a pixel sees the mean of its parts; the face's own
  # colour reaches under its soft edge.
  alpha = shrink(full.mask.astype(jnp.float32))
  image = shrink(full.image) / jnp.maximum(alpha, 0.5 / _SAMPLES**2)
  return color.linear_to_srgb(image), alpha[..., 0]


@functools.partial(jax.jit, static_argnames="size")
def _face_mask(model, code, field_of_view, *, size):
  camera, code = geometry.dolly_zoom(_view_camera(size), code, field_of_view)
  points = renderer.project_landmarks(model, camera, code)
  return landmarks.polygon_mask(
    landmarks.face_outline(points), height=size, width=size
  )


@jax.jit
def _turn(model, code, yaw):
  """Turns a face in place, upright, to a distance at which it fits."""
  rotation = jnp.array([0.0, 1.0, 0.0]) * yaw
  upright = code.replace(rotation=rotation, translation=jnp.zeros(3))
  points = renderer.posed_vertices(model, upright)
  middle = 0.5 * (points.min(axis=0) + points.max(axis=0))
  distance = _view_camera(1).focal * _TURNED_HEIGHT
  return upright.replace(translation=-middle - jnp.array([0, 0, 1]) * distance)
