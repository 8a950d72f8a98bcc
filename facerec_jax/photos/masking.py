"""What is kept of a crop: the face without hair, neck and mouth interior."""

from __future__ import annotations

import jax
import numpy as np

from facerec_jax.face import landmarks as landmark_points
from facerec_jax.photos import alignment

_hull_mask = jax.jit(
  landmark_points.hull_mask, static_argnames=("height", "width")
)


def face_mask(
  landmarks: np.ndarray, square: alignment.Square, image_size: int
) -> np.ndarray:
  """The hull mask of synthesis, for a crop of a photograph.

  Args:
    landmarks: [68, 2] pixels of the photograph.
    square: that was cropped.
    image_size: S, of the crop.

  Returns:
    [S, S] bool.
  """
  points = alignment.to_crop(landmarks, square, image_size)
  points = points.astype(np.float32)
  return np.array(_hull_mask(points, height=image_size, width=image_size))


def apply_mask(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
  """Blackens everything outside a mask.

  Args:
    image: [H, W, 3].
    mask: [H, W] bool.
  """
  return np.where(mask[..., None], image, 0).astype(image.dtype)


def shift_mean_color(
  image: np.ndarray, mask: np.ndarray, mean: np.ndarray
) -> np.ndarray:
  """Gives the pixels of a mask the mean colour of the training images.

  The thesis does so with photographs, whose skin and white balance an encoder
  of few synthetic colours has not met. It costs the albedo and light that the
  encoder reads their absolute colour. Values beyond [0, 1] are clipped, which
  can leave the mean of very bright or dark crops short of its aim.

  Args:
    image: [H, W, 3] float, sRGB in [0, 1].
    mask: [H, W] bool; pixels outside stay as they are.
    mean: [3] mean sRGB colour of the masks of the training images.

  Returns:
    [H, W, 3].

  Raises:
    ValueError: the mask is empty, so there is no mean to shift.
  """
  if not mask.any():
    raise ValueError("the mask is empty: no mean colour to shift")
  shift = np.asarray(mean, image.dtype) - image[mask].mean(axis=0)
  return np.where(mask[..., None], np.clip(image + shift, 0, 1), image)
