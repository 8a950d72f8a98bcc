"""From a face in a photograph to the image that an encoder reads."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from facerec_jax.photos import alignment
from facerec_jax.photos import masking
from facerec_jax.photos.detection import Face


def prepare(
  photo: np.ndarray,
  face: Face,
  *,
  image_size: int,
  mask: bool,
  mean_color: Sequence[float] | None = None,
) -> np.ndarray:
  """Crops, and as the encoder was trained masks and shifts colours.

  A face without landmarks has no hull: it stays unmasked, and the whole crop
  counts for the mean colour.

  Args:
    photo: [H, W, 3] uint8.
    face: of the photo; `face.square` is what is shown.
    image_size: S, pixels.
    mask: whether everything but the face is blackened.
    mean_color: [3] sRGB that the face's mean is shifted to, None for no shift;
      see `masking.shift_mean_color`.

  Returns:
    [S, S, 3] float32 sRGB in [0, 1].
  """
  image = alignment.crop(photo, face.square, image_size)
  if face.landmarks is None:
    hull = np.ones((image_size, image_size), bool)
  else:
    hull = masking.face_mask(face.landmarks, face.square, image_size)
  if mean_color is not None:
    image = masking.shift_mean_color(image, hull, np.asarray(mean_color))
  return masking.apply_mask(image, hull) if mask else image
