"""Edits of a face, shown in its photograph."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from facerec_jax.face import code_vector
from facerec_jax.face import morphable_model
from facerec_jax.photos import alignment
from facerec_jax.render import geometry
from facerec_jax.results import blending
from facerec_jax.results import face_warp

# Side of the view, in units of the square that a code refers to.
SIDES = 1.7


class PhotoEditor:
  """Shows edits of one face in its photograph."""

  def __init__(
    self,
    model: morphable_model.MorphableModel,
    photo: np.ndarray,
    code: code_vector.CodeVector,
    square: alignment.Square,
    landmarks: np.ndarray | None = None,
    field_of_view: float = geometry.REFERENCE_FIELD_OF_VIEW,
  ):
    """Prepares a face.

    Args:
      model: the morphable model.
      photo: [H, W, 3] uint8 sRGB.
      code: of the face in the photograph.
      square: that the code refers to.
      landmarks: [68, 2] detected points, px of the photograph, or None.
      field_of_view: of the photograph, see `geometry.dolly_zoom`, radians.
    """
    side = max(round(SIDES * square.side), 2)
    # At whole pixels, so that the view is the photograph itself.
    self._corner = np.round(np.asarray(square.center) - side / 2).astype(int)
    self._square = alignment.Square(self._corner + side / 2, float(side))
    self._photo = photo
    size = face_warp.SIZE
    if landmarks is not None:
      landmarks = alignment.to_crop(landmarks, self._square, size)
    sides = side / square.side
    reference = geometry.reference_camera(size)
    middle = alignment.to_crop(square.center, self._square, size)
    self._camera = geometry.Camera(
      reference.focal / sides, jnp.asarray(middle, jnp.float32)
    )
    self._field_of_view = field_of_view
    self._warp = face_warp.Warp(model, *self._place(code), landmarks)
    self._skin = blending.skin_mask(self.view(size), self._warp.landmarks)

  def _place(self, code):
    """The camera of the view, and a code in its frame."""
    return geometry.dolly_zoom(self._camera, code, self._field_of_view)

  def view(self, size: int) -> np.ndarray:
    """The surroundings of the face in the photograph, [size, size, 3] uint8."""
    image = alignment.crop(self._photo, self._square, size)
    return np.round(255 * image).astype(np.uint8)

  def edited_view(self, edited: code_vector.CodeVector, size: int):
    """`view` with an edited face."""
    return self._blend(self.view(size), edited)

  def edited_photo(self, edited: code_vector.CodeVector) -> np.ndarray:
    """The photograph with an edited face, [H, W, 3] uint8."""
    side = int(self._square.side)
    view = self._blend(self.view(side), edited)
    result = self._photo.copy()
    limits = np.array(result.shape[1::-1])
    left, top = np.clip(self._corner, 0, limits)
    right, bottom = np.clip(self._corner + side, 0, limits)
    x, y = self._corner
    result[top:bottom, left:right] = view[
      top - y : bottom - y, left - x : right - x
    ]
    return result

  def _blend(self, view, edited):
    maps = self._warp(self._place(edited)[1])
    return blending.blend(view, maps, self._skin)
