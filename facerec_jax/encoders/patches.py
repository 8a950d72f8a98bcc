"""Patch embedding: the stem that is fast to train on CPU."""

from __future__ import annotations

PATCH = 4


def check(images, size: int = PATCH) -> None:
  """Raises ValueError where images [B, H, W, C] do not divide into patches."""
  height, width = images.shape[1:3]
  if height % size or width % size:
    raise ValueError(
      f"encoder: got images of {height} x {width} pixels, wanted multiples "
      f"of {size}; change the image size or use resnet18"
    )


def space_to_depth(images, size: int = PATCH):
  """Cuts [B, H, W, C] into patches, [B, H / size, W / size, size^2 C]."""
  batch, height, width, channels = images.shape
  rows, columns = height // size, width // size
  cut = images.reshape(batch, rows, size, columns, size, channels)
  return cut.transpose(0, 1, 3, 2, 4, 5).reshape(batch, rows, columns, -1)
