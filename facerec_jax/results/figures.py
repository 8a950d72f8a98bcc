"""Pictures: files, contact sheets, renderings laid over photographs."""

from __future__ import annotations

from collections.abc import Sequence
import os
import pathlib

import numpy as np
from PIL import Image
from PIL import ImageDraw
from PIL import ImageFont

_BACKGROUND = (255, 255, 255)
_INK = (30, 30, 30)
_GAP = 4


def to_bytes(image) -> np.ndarray:
  """An image of [0, 1] floats (clipped) or bytes as uint8.

  Args:
    image: [H, W, 3] or [H, W]; sRGB.

  Raises:
    ValueError: another shape, or values that are not numbers.
  """
  image = np.asarray(image)
  if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3):
    raise ValueError(f"image: got shape {image.shape}, wanted (H, W, 3)")
  if image.dtype == np.uint8:
    return image
  image = image.astype(np.float32)
  if np.isnan(image).any():
    raise ValueError("image: holds NaN")
  return np.round(np.clip(image, 0, 1) * 255).astype(np.uint8)


def save_image(path: str | os.PathLike, image) -> pathlib.Path:
  """Writes an image; the ending of the path decides on the format.

  Args:
    path: of the file; its folder is made where it is missing.
    image: as for `to_bytes`.

  Returns:
    The path.
  """
  path = pathlib.Path(path)
  path.parent.mkdir(parents=True, exist_ok=True)
  Image.fromarray(to_bytes(image)).save(path)
  return path


def overlay(photo, rendering, alpha) -> np.ndarray:
  """Lays a rendering over a photograph.

  Args:
    photo: [H, W, 3] sRGB, as for `to_bytes`.
    rendering: [H, W, 3] sRGB, as for `to_bytes`.
    alpha: [H, W] bool, or the rendering's share in [0, 1].

  Returns:
    [H, W, 3] uint8.
  """
  alpha = np.asarray(alpha, np.float32)[..., None]
  below = to_bytes(photo).astype(np.float32)
  mixed = below + alpha * (to_bytes(rendering).astype(np.float32) - below)
  return np.round(mixed).astype(np.uint8)


def mark_points(
  image, points: np.ndarray, color: tuple[int, int, int], radius: float = 1.8
) -> np.ndarray:
  """Draws dots on a picture.

  Args:
    image: [H, W, 3], as for `to_bytes`.
    points: [n, 2] (column, row) px, pixel centres at +0.5.
    color: of the dots, bytes.
    radius: of the dots, px.

  Returns:
    [H, W, 3] uint8.
  """
  picture = Image.fromarray(to_bytes(image))
  draw = ImageDraw.Draw(picture)
  # Pillow's pixel centres lie at integers.
  for x, y in np.asarray(points, float) - 0.5:
    box = (x - radius, y - radius, x + radius, y + radius)
    draw.ellipse(box, fill=color)
  return np.asarray(picture)


def contact_sheet(
  rows: Sequence[Sequence[np.ndarray]],
  *,
  column_labels: Sequence[str] = (),
  row_labels: Sequence[str] = (),
) -> np.ndarray:
  """A table of images.

  Args:
    rows: of images, as for `to_bytes`, all of one size; rows may be shorter
      than others.
    column_labels: written above the columns, or empty.
    row_labels: written above the images of each row, or empty.

  Returns:
    [H, W, 3] uint8.

  Raises:
    ValueError: there is no image, sizes differ, or labels do not fit the rows.
  """
  cells = [[to_bytes(image) for image in row] for row in rows]
  sizes = {image.shape[:2] for row in cells for image in row}
  if len(sizes) != 1:
    raise ValueError(
      f"contact sheet: got images of sizes {sorted(sizes)}, wanted one size"
    )
  columns = max(len(row) for row in cells)
  if row_labels and len(row_labels) != len(cells):
    raise ValueError(
      f"contact sheet: got {len(row_labels)} row labels for {len(cells)} rows"
    )
  if len(column_labels) > columns:
    raise ValueError(
      f"contact sheet: got {len(column_labels)} column labels for {columns} "
      "columns"
    )
  ((height, width),) = sizes
  return _paste(cells, height, width, columns, column_labels, row_labels)


def _paste(cells, height, width, columns, column_labels, row_labels):
  font_size = int(np.clip(width // 9, 11, 28))
  line = font_size + 2 * _GAP
  above = line if column_labels else 0
  step_x, step_y = width + _GAP, height + _GAP + (line if row_labels else 0)
  sheet = Image.new(
    "RGB",
    (columns * step_x + _GAP, above + len(cells) * step_y + _GAP),
    _BACKGROUND,
  )
  draw = ImageDraw.Draw(sheet)
  font = ImageFont.load_default(font_size)
  for column, text in enumerate(column_labels):
    place = (_GAP + column * step_x + width / 2, line / 2)
    draw.text(place, text, fill=_INK, font=font, anchor="mm")
  for row, images in enumerate(cells):
    bottom = above + (row + 1) * step_y
    if row_labels:
      place = (_GAP, bottom - height - line / 2)
      draw.text(place, row_labels[row], fill=_INK, font=font, anchor="lm")
    for column, image in enumerate(images):
      corner = (_GAP + column * step_x, bottom - height)
      sheet.paste(Image.fromarray(image).convert("RGB"), corner)
  return np.asarray(sheet)
