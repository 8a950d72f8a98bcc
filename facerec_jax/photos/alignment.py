"""The square that a face is cropped to, and the crop itself."""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np

from facerec_jax.face import landmarks as landmark_points
from facerec_jax.photos.reading import check_photo


class Square(NamedTuple):
  """An upright square of a photograph; it may leave the photograph.

  Attributes:
    center: [2] (column, row), pixels.
    side: pixels.
  """

  center: np.ndarray
  side: float


class _BoxRatios(NamedTuple):
  """Where the square of the landmarks lies relative to a detector's box."""

  right: float  # of its centre, widths of the box
  down: float
  side: float  # widths of the box


# Medians over 14 frontal portraits with 12 versions of each (mirrored, rolled
# by +-8 degrees, scaled 0.4-1.2), square by dlib's landmarks. Standard
# deviations: dlib 0.03, 0.04, 0.11; Haar 0.01, 0.02, 0.12. "none" is a box that
# is the square already, as of a face that was cropped before.
BOX_RATIOS = {
  "dlib": _BoxRatios(0.0, -0.01, 1.59),
  "haar": _BoxRatios(0.0, 0.07, 1.36),
  "none": _BoxRatios(0.0, 0.0, 1.0),
}


def landmark_square(landmarks: np.ndarray) -> Square:
  """The square that synthesis frames a face with: `landmarks.framing`.

  Args:
    landmarks: [68, 2] pixels.
  """
  center, side = landmark_points.framing(np.asarray(landmarks, np.float64))
  return Square(center, float(side))


def box_square(box: tuple[float, float, float, float], detector: str) -> Square:
  """What `landmark_square` gives on average for a detector's box.

  Args:
    box: (left, top, width, height), pixels.
    detector: a key of BOX_RATIOS.
  """
  left, top, width, height = box
  ratios = BOX_RATIOS[detector]
  center = np.array([left + width / 2, top + height / 2])
  shift = np.array([ratios.right, ratios.down]) * width
  return Square(center + shift, ratios.side * width)


def square_box(
  square: Square, detector: str
) -> tuple[float, float, float, float]:
  """Inverse of `box_square`: the (square) box that a detector would give."""
  ratios = BOX_RATIOS[detector]
  width = square.side / ratios.side
  shift = np.array([ratios.right, ratios.down]) * width
  left, top = square.center - shift - width / 2
  return (float(left), float(top), width, width)


def to_crop(points: np.ndarray, square: Square, image_size: int) -> np.ndarray:
  """Pixels of the photograph as pixels of `crop`'s image, [..., 2]."""
  corner = np.asarray(square.center) - square.side / 2
  return (points - corner) * (image_size / square.side)


def from_crop(
  points: np.ndarray, square: Square, image_size: int
) -> np.ndarray:
  """Pixels of `crop`'s image as pixels of the photograph, [..., 2]."""
  corner = np.asarray(square.center) - square.side / 2
  return points * (square.side / image_size) + corner


def crop(photo: np.ndarray, square: Square, image_size: int) -> np.ndarray:
  """Resamples a square of a photograph, with sub-pixel position and size.

  Each pixel is a mean of the photograph weighted by a triangle, two pixels of
  the coarser grid wide: bilinear interpolation where the crop enlarges, no
  aliasing where it shrinks. Beyond its edge the photograph repeats the edge.

  Args:
    photo: [H, W, 3] uint8.
    square: what to show, pixels of the photograph.
    image_size: S, pixels.

  Returns:
    [S, S, 3] float32 in [0, 1].

  Raises:
    ValueError: the square has no size, or the photo is of another kind.
  """
  check_photo(photo)
  if not (np.isfinite(square.center).all() and 0 < square.side < math.inf):
    raise ValueError(f"a crop needs a finite square, got {square}")
  height, width = photo.shape[:2]
  left, top = np.asarray(square.center) - square.side / 2
  step = square.side / image_size
  rows, row_weights = _axis_taps(top, step, image_size, height)
  columns, column_weights = _axis_taps(left, step, image_size, width)
  first, last = columns.min(), columns.max()
  image = _resample(photo[:, first : last + 1], rows, row_weights)
  image = _resample(image.swapaxes(0, 1), columns - first, column_weights)
  return np.ascontiguousarray(image.swapaxes(0, 1).clip(0, 255) / 255)


def _axis_taps(
  start: float, step: float, count: int, length: int
) -> tuple[np.ndarray, np.ndarray]:
  """Which old pixels make a new one, along one axis.

  Args:
    start: where the first new pixel begins.
    step: width of a new pixel, old pixels.
    count: number of new pixels.
    length: number of old pixels.

  Returns:
    Old pixels [count, K] of each new one, and their weights (sum 1 in a row).
  """
  centers = start + (np.arange(count) + 0.5) * step - 0.5
  radius = max(step, 1.0)
  taps = np.floor(centers - radius)[:, None] + 1
  taps = taps + np.arange(math.ceil(2 * radius))
  weights = np.maximum(1 - np.abs(taps - centers[:, None]) / radius, 0)
  weights /= weights.sum(axis=1, keepdims=True)
  return np.clip(taps, 0, length - 1).astype(int), weights.astype(np.float32)


def _resample(
  image: np.ndarray, indices: np.ndarray, weights: np.ndarray
) -> np.ndarray:
  """Weighted sums of rows: [n, W, 3] from [H, W, 3] and `_axis_taps`."""
  result = np.zeros((len(indices), *image.shape[1:]), np.float32)
  for index, weight in zip(indices.T, weights.T, strict=True):
    result += weight[:, None, None] * image[index]
  return result


def shrink(photo: np.ndarray, scale: float) -> np.ndarray:
  """Resamples a whole photograph [H, W, 3] uint8 by a factor below 1."""
  height, width = photo.shape[:2]
  size = round(scale * width), round(scale * height)
  return cv2.resize(photo, size, interpolation=cv2.INTER_AREA)


def paste(photo: np.ndarray, picture: np.ndarray, square: Square) -> np.ndarray:
  """Lays a picture over a square of a photograph; the reverse of `crop`.

  Args:
    photo: [H, W, 3] uint8.
    picture: [S, S, 4] sRGB in [0, 1] times coverage, and coverage.
    square: where it belongs, pixels of the photograph.

  Returns:
    [H, W, 3] uint8.
  """
  # From pixels of the picture to pixels of the photograph, whose centres lie at
  # integers in OpenCV.
  step = square.side / len(picture)
  shift = np.asarray(square.center) - 0.5 * square.side + 0.5 * step - 0.5
  matrix = np.array([[step, 0, shift[0]], [0, step, shift[1]]])
  size = photo.shape[1::-1]
  laid = cv2.warpAffine(picture, matrix, size, flags=cv2.INTER_LINEAR)
  mixed = laid[..., :3] * 255 + (1 - laid[..., 3:]) * photo
  return np.round(np.clip(mixed, 0, 255)).astype(np.uint8)
