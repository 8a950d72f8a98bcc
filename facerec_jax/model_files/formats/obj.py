"""Wavefront OBJ files: positions, texture coordinates, faces."""

from __future__ import annotations

import os

import numpy as np

from facerec_jax.model_files.formats import raw_model

FormatError = raw_model.FormatError

_MAX_BYTES = 64 << 20


def read_positions(path: str | os.PathLike) -> np.ndarray:
  """[V, 3] of the lines "v x y z"; colours behind them are dropped.

  Raises:
    FormatError: the file is too large or its lines are no numbers.
  """
  return _table(_lines(path), b"v ", 3, path)


def read_mesh(
  path: str | os.PathLike,
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
  """Reads a mesh; polygons become fans of triangles.

  Returns:
    (positions [V, 3], triangles [T, 3], corner UV [T, 3, 2] or None).

  Raises:
    FormatError: the file is not sound.
  """
  lines = _lines(path)
  positions = _table(lines, b"v ", 3, path)
  texture = _table(lines, b"vt ", 2, path)
  corners = []
  polygons = (line.split()[1:] for line in lines if line.startswith(b"f "))
  try:
    for polygon in polygons:
      points = [_corner(text) for text in polygon]
      fan = zip(points[1:-1], points[2:], strict=True)
      corners += [(points[0], b, c) for b, c in fan]
  except (ValueError, IndexError):
    raise FormatError(f"{path}: a face is not sound") from None
  corners = np.array(corners, np.int64).reshape(-1, 3, 2) - 1
  raw_model.check_indices(f"{path}: faces", corners[..., 0], len(positions))
  uv = None
  if len(texture) and (corners[..., 1] >= 0).all():
    raw_model.check_indices(f"{path}: faces", corners[..., 1], len(texture))
    uv = texture[corners[..., 1]]
  return positions, corners[..., 0], uv


def _lines(path):
  size = os.path.getsize(path)
  if size > _MAX_BYTES:
    raise FormatError(f"{path}: {size} bytes, wanted at most {_MAX_BYTES}")
  with open(path, "rb") as file:
    return file.read(size).splitlines()


def _table(lines, prefix, columns, path):
  rows = [
    line.split()[1 : columns + 1] for line in lines if line.startswith(prefix)
  ]
  try:
    return np.array(rows, np.float32).reshape(-1, columns)
  except ValueError:
    raise FormatError(
      f"{path}: a line {prefix.decode()!r} does not have {columns} numbers"
    ) from None


def _corner(text):
  """(vertex, texture coordinate or 0) of "7", "7/3", "7/3/1" or "7//1"."""
  parts = text.split(b"/")
  return int(parts[0]), int(parts[1]) if len(parts) > 1 and parts[1] else 0
