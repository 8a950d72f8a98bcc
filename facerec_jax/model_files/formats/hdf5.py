"""HDF5 files of others: plain data sets inside the file, of bounded size."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import json
import os

import numpy as np

from facerec_jax import messages
from facerec_jax.model_files.formats import raw_model

FormatError = raw_model.FormatError

_MAGIC = b"\x89HDF\r\n\x1a\n"
_MAX_TEXT = 1 << 20


def is_hdf5(path: str | os.PathLike) -> bool:
  """Whether a file begins as HDF5 files do."""
  with open(path, "rb") as file:
    return file.read(len(_MAGIC)) == _MAGIC


@contextlib.contextmanager
def open_file(path: str | os.PathLike) -> Iterator:
  """Opens an HDF5 file for reading.

  Raises:
    FormatError: h5py is not installed, or the file is damaged.
  """
  try:
    import h5py
  except ImportError:
    raise FormatError(
      "an HDF5 file needs h5py: pip install 'facerec_jax[import]'"
    ) from None
  try:
    with h5py.File(path, "r") as file:
      yield file
  except FormatError:
    raise
  except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
    text = messages.one_line(error)
    raise FormatError(f"HDF5 is damaged or cut short: {text[:120]}") from None


def has(file, name: str) -> bool:
  """Whether the file itself, not another that it links to, has a name."""
  import h5py

  parts = name.split("/")
  for depth in range(1, len(parts) + 1):
    link = file.get("/".join(parts[:depth]), getlink=True)
    if link is None:
      return False
    if isinstance(link, h5py.ExternalLink):
      raise FormatError(f"{name} lies in another file, which is not read")
  return name in file


def file_has(path: str | os.PathLike, name: str) -> bool:
  """Whether a path is an HDF5 file that has something of this name."""
  if not os.path.isfile(path) or not is_hdf5(path):
    return False
  with open_file(path) as file:
    return has(file, name)


def numbers(file, name: str, shape: tuple[int, ...] | None = None):
  """Reads a data set of numbers.

  Args:
    file: an open file.
    name: path inside it.
    shape: that it must have; -1 for any length of modes.

  Returns:
    A float32 or int64 array.

  Raises:
    FormatError: it is missing, another kind of thing, or too large.
  """
  data = _data_set(file, name)
  if data.dtype.kind not in "fiu":
    raise FormatError(f"{name} is {data.dtype}, wanted numbers")
  raw_model.check_size(name, data.shape, data.dtype.itemsize)
  value = np.asarray(data[()])
  value = value.astype(np.float32 if value.dtype.kind == "f" else np.int64)
  if shape is not None:
    raw_model.check_shape(name, value, shape)
  return value


def parse_json(file, name: str):
  """Reads text in JSON.

  Raises:
    FormatError: it is missing or not JSON.
  """
  data = _data_set(file, name)
  raw_model.check_size(name, data.shape, max(1, data.dtype.itemsize))
  if int(np.prod(data.shape, dtype=np.int64)) > _MAX_TEXT:
    raise FormatError(f"{name} has {data.shape} texts, wanted one")
  value = data[()]
  if isinstance(value, np.ndarray):
    first = value.ravel()[:1]
    value = first[0] if value.dtype.kind in "OS" else value.tobytes()
  text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
  try:
    return json.loads(text)
  except (TypeError, ValueError):
    raise FormatError(f"{name} is not JSON") from None


def _data_set(file, name):
  import h5py

  if not has(file, name):
    raise FormatError(f"no data set {name!r}; has {', '.join(sorted(file))}")
  data = file[name]
  if not isinstance(data, h5py.Dataset):
    raise FormatError(f"{name} is a group, wanted a data set")
  if data.is_virtual or data.external:
    raise FormatError(f"{name} lies in another file, which is not read")
  return data
