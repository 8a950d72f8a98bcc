"""MATLAB files of version 5: arrays of numbers, of bounded size.

Written out here (MathWorks, "MAT-File Format", level 5) because a reader in C
that trusts the sizes in a file crashes on a damaged one. Only real, dense
arrays of numbers are read; everything else in a file is skipped.
"""

from __future__ import annotations

import functools
import os
import struct
from typing import NamedTuple
import zlib

import numpy as np

from facerec_jax.model_files.formats import raw_model

FormatError = raw_model.FormatError

MAGIC = b"MATLAB 5.0 MAT-file"
_HEADER = 128
_MATRIX, _COMPRESSED = 14, 15
_TYPES = {
  1: "i1",
  2: "u1",
  3: "i2",
  4: "u2",
  5: "i4",
  6: "u4",
  7: "f4",
  9: "f8",
  12: "i8",
  13: "u8",
}
# Classes of numeric arrays, and the flag of complex ones.
_NUMERIC = range(6, 16)
_COMPLEX = 0x08
# Bytes in which class, sizes and name of an array lie.
_PREFIX = 1024
# Deflate's own limit.
_MOST_COMPRESSION = 1040


class _Matrix(NamedTuple):
  name: str
  shape: tuple[int, ...]
  start: int


def read(
  path: str | os.PathLike, names: tuple[str, ...]
) -> dict[str, np.ndarray]:
  """Reads arrays of numbers.

  Args:
    path: of the file.
    names: of the variables.

  Returns:
    Float32 arrays by name.

  Raises:
    FormatError: one is missing, too large or no array of numbers, or the file
      is damaged.
  """
  found, seen = {}, []
  try:
    with open(path, "rb") as file:
      order = _byte_order(file.read(_HEADER))
      for body in _bodies(file, order, os.path.getsize(path)):
        matrix = _matrix(body(_PREFIX), order)
        seen.append(matrix.name)
        if matrix.name in names:
          found[matrix.name] = _values(matrix, body, order)
  except (struct.error, zlib.error, UnicodeDecodeError, IndexError) as error:
    raise FormatError(f"MATLAB file is damaged: {error}") from None
  missing = [name for name in names if name not in found]
  if missing:
    raise FormatError(f"no variable {missing[0]!r}; has {sorted(seen)[:8]}")
  return found


def _byte_order(header):
  mark = header[126:128]
  if mark not in (b"IM", b"MI"):
    raise FormatError("MATLAB file is cut short or not of version 5")
  return "<" if mark == b"IM" else ">"


def _bodies(file, order, size):
  """Yields, for each variable, a function (bytes wanted) -> its first bytes."""
  place = _HEADER
  while place + 8 <= size:
    file.seek(place)
    kind, length = struct.unpack(order + "II", file.read(8))
    if length > size - place - 8:
      raise FormatError("MATLAB file is cut short")
    if kind in (_MATRIX, _COMPRESSED):
      read_part = _plain if kind == _MATRIX else _inflated
      yield functools.partial(read_part, file, place + 8, length, order)
    place += 8 + length


def _plain(file, place, length, order, count):
  del order
  file.seek(place)
  return file.read(min(count, length))


def _inflated(file, place, length, order, count):
  if count > _MOST_COMPRESSION * max(length, 1) and count > _PREFIX:
    raise FormatError("MATLAB file claims more than it holds")
  file.seek(place)
  packed = file.read(length)
  content = zlib.decompressobj().decompress(packed, count + 8)
  if struct.unpack_from(order + "I", content)[0] != _MATRIX:
    raise FormatError("MATLAB file holds something compressed but an array")
  return content[8:]


def _element(data, place, order):
  """(type, first byte, length, place of the next) of a data element."""
  kind, length = struct.unpack_from(order + "II", data, place)
  if kind >> 16:
    # Small: type and length share the first four bytes.
    return kind & 0xFFFF, place + 4, kind >> 16, place + 8
  return kind, place + 8, length, place + 8 + (length + 7) // 8 * 8


def _matrix(data, order):
  """Name and shape of an array; no shape if it is not one of numbers."""
  _, start, _, place = _element(data, 0, order)
  flags = struct.unpack_from(order + "I", data, start)[0]
  _, start, length, place = _element(data, place, order)
  shape = struct.unpack_from(f"{order}{length // 4}i", data, start)
  _, start, length, place = _element(data, place, order)
  name = data[start : start + length].decode("ascii")
  is_plain = (flags & 0xFF) in _NUMERIC and not (flags >> 8) & _COMPLEX
  return _Matrix(name, shape if is_plain else (), place)


def _values(matrix, body, order):
  if not matrix.shape:
    raise FormatError(f"{matrix.name} is no array of numbers")
  raw_model.check_size(matrix.name, matrix.shape, 8)
  count = int(np.prod(matrix.shape, dtype=np.int64))
  data = body(matrix.start + 8 + 8 * count)
  kind, start, length, _ = _element(data, matrix.start, order)
  if kind not in _TYPES:
    raise FormatError(f"{matrix.name} holds data of type {kind}, not numbers")
  dtype = np.dtype(order + _TYPES[kind])
  if length != count * dtype.itemsize or length > len(data) - start:
    raise FormatError(
      f"{matrix.name} claims {count} numbers of {dtype}, holds {length} bytes"
    )
  values = np.frombuffer(data, dtype, count, start)
  with np.errstate(over="ignore"):
    return values.astype(np.float32).reshape(matrix.shape, order="F")
