"""NumPy files of others: no pickle, no more memory than a model needs."""

from __future__ import annotations

from collections.abc import Sequence
import os
import tokenize
import zipfile
import zlib

import numpy as np

from facerec_jax.model_files import archive_members
from facerec_jax.model_files.formats import raw_model

FormatError = raw_model.FormatError

# Deflate reaches 1000 : 1 on zeros alone; bases of faces reach about 20.
_MOST_COMPRESSION = 200
_FREE_BYTES = 64 << 20
_ERRORS = (*archive_members.ZIP_ERRORS, zlib.error)


def member_names(path: str | os.PathLike) -> set[str]:
  """Names of the arrays of an .npz file; empty if it is none."""
  try:
    with zipfile.ZipFile(path) as archive:
      return {name.removesuffix(".npy") for name in archive.namelist()}
  except _ERRORS:
    return set()


def read_npz(
  path: str | os.PathLike, required: Sequence[str], optional: Sequence[str] = ()
) -> dict[str, np.ndarray]:
  """Reads named arrays of an .npz file; others are left alone.

  Args:
    path: of the file.
    required: names that must be there.
    optional: names that may be there.

  Returns:
    The arrays by name.

  Raises:
    FormatError: a name is missing, an array holds Python objects, claims too
      much or is damaged.
  """
  try:
    with zipfile.ZipFile(path) as archive:
      infos = {
        info.filename.removesuffix(".npy"): info for info in archive.infolist()
      }
      missing = [name for name in required if name not in infos]
      if missing:
        raise FormatError(f"no array {missing[0]!r}; has {_some(infos)}")
      names = [*required, *(name for name in optional if name in infos)]
      return {name: _read(archive, infos[name], name) for name in names}
  except _ERRORS as error:
    raise FormatError(f"damaged or cut short: {error}") from None


def _some(names):
  listed = sorted(names)
  return ", ".join(listed[:8]) + (", ..." if len(listed) > 8 else "")


def _read(archive, info, name):
  most = max(_FREE_BYTES, _MOST_COMPRESSION * info.compress_size)
  if info.file_size > min(raw_model.MAX_BYTES, most):
    raise FormatError(
      f"array {name!r} would unfold from {info.compress_size} to "
      f"{info.file_size} bytes: that is no face model"
    )
  with archive.open(info) as stream:
    shape, fortran, dtype = read_header(stream, name)
    raw_model.check_size(f"array {name!r}", shape, dtype.itemsize)
    size = dtype.itemsize * int(np.prod(shape, dtype=np.int64))
    content = stream.read(size)
  if len(content) != size:
    raise FormatError(
      f"array {name!r} claims {size} bytes, holds {len(content)}"
    )
  order = "F" if fortran else "C"
  return np.frombuffer(content, dtype).reshape(shape, order=order)


def read_header(stream, name: str) -> tuple[tuple[int, ...], bool, np.dtype]:
  """Header of an .npy stream: shape, Fortran order, type.

  Raises:
    FormatError: there is none, or the array holds Python objects.
  """
  shape, fortran, dtype = read_any_header(stream, name)
  if dtype.hasobject:
    raise FormatError(
      f"array {name!r} holds pickled Python objects, which are not read"
    )
  return shape, fortran, dtype


def read_any_header(stream, name: str) -> tuple:
  """As `read_header`, for arrays of objects, too."""
  readers = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
  }
  try:
    return readers[np.lib.format.read_magic(stream)](stream)
  except (KeyError, ValueError, TypeError, SyntaxError, tokenize.TokenError):
    raise FormatError(f"array {name!r} is not a NumPy array") from None


def text(values: np.ndarray) -> tuple[str, ...]:
  """An array of strings as a tuple.

  Raises:
    FormatError: it holds something else.
  """
  if values.dtype.kind not in "US":
    raise FormatError(f"names are {values.dtype}, wanted text")
  return tuple(str(v) for v in np.atleast_1d(values.astype(str)).ravel())
