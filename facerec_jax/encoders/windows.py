"""Windows that slide over images: their padding, and one view per offset."""

from __future__ import annotations

from collections.abc import Sequence

from jax import lax

# Of images and kernels.
DIMENSIONS = ("NHWC", "HWIO", "NHWC")
# "SAME" and "VALID" as XLA defines them; "CENTERED": half a window on each
# side, as in PyTorch, which differs from "SAME" under strides; or (before,
# after) for rows and for columns.
Padding = str | tuple[tuple[int, int], tuple[int, int]]


def pairs(
  padding: Padding,
  image_size: Sequence[int],
  window: Sequence[int],
  strides: Sequence[int],
) -> tuple[tuple[int, int], tuple[int, int]]:
  """Spells padding out.

  Args:
    padding: "SAME", "VALID", "CENTERED" or the result already.
    image_size: height, width.
    window: height, width.
    strides: vertical, horizontal.

  Returns:
    Pixels (above, below), (left, right).
  """
  if padding == "CENTERED":
    padding = tuple((size // 2, size // 2) for size in window)
  elif isinstance(padding, str):
    padding = lax.padtype_to_pads(image_size, window, strides, padding)
  rows, columns = padding
  return (int(rows[0]), int(rows[1])), (int(columns[0]), int(columns[1]))


def counts(
  image_size: Sequence[int],
  window: Sequence[int],
  strides: Sequence[int],
  padding: Padding,
) -> tuple[int, int]:
  """Rows and columns of the output.

  Raises:
    ValueError: the padded image is smaller than the window.
  """
  rows, columns = (
    (size + before + after - width) // stride + 1
    for size, width, stride, (before, after) in zip(
      image_size,
      window,
      strides,
      pairs(padding, image_size, window, strides),
      strict=True,
    )
  )
  if rows < 1 or columns < 1:
    raise ValueError(
      f"a map of {image_size[0]} x {image_size[1]} pixels is too small for a "
      f"window of {window[0]} x {window[1]}; use larger images"
    )
  return rows, columns


def views(
  images,
  window: tuple[int, int],
  strides: tuple[int, int],
  padding: Padding,
  *,
  fill: float = 0.0,
) -> list:
  """The pixels at each offset of all windows.

  Args:
    images: [B, H, W, C].
    window: height, width.
    strides: vertical, horizontal.
    padding: see `pairs`.
    fill: value of the padding.

  Returns:
    height * width arrays [B, rows, columns, C], row by row.
  """
  size = images.shape[1:3]
  edges = pairs(padding, size, window, strides)
  rows, columns = counts(size, window, strides, padding)
  padded = lax.pad(
    images,
    images.dtype.type(fill),
    ((0, 0, 0), *((before, after, 0) for before, after in edges), (0, 0, 0)),
  )
  height, width = (rows - 1) * strides[0] + 1, (columns - 1) * strides[1] + 1
  return [
    padded[:, i : i + height : strides[0], j : j + width : strides[1]]
    for i in range(window[0])
    for j in range(window[1])
  ]
