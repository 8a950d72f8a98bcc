"""MATLAB files of version 5: arrays of numbers, of bounded size."""

from __future__ import annotations

import os

import numpy as np

from facerec_jax.model_files.formats import raw_model

FormatError = raw_model.FormatError


def read(
  path: str | os.PathLike, names: tuple[str, ...]
) -> dict[str, np.ndarray]:
  """Reads arrays of numbers from a MATLAB file of version 5.

  Raises:
    FormatError: one is missing or too large, or the file is damaged.
  """
  from scipy import io

  try:
    found = {name: shape for name, shape, _ in io.whosmat(path)}
    missing = [name for name in names if name not in found]
    if missing:
      raise FormatError(f"no variable {missing[0]!r}; has {sorted(found)[:8]}")
    for name in names:
      raw_model.check_size(name, found[name], 8)
    data = io.loadmat(path, variable_names=names)
  except FormatError:
    raise
  except Exception as error:  # scipy raises of every kind on damaged files.
    raise FormatError(f"MATLAB file is damaged: {error}") from None
  return {name: _float(name, data[name]) for name in names}


def _float(name, value):
  if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiu":
    raise FormatError(f"{name} is no array of numbers")
  return np.asarray(value, np.float32)
