"""Reading files of named arrays, without executing anything in them."""

from __future__ import annotations

import pathlib
import zipfile

import numpy as np
import safetensors

from facerec_jax import messages


class WeightsError(ValueError):
  """A weight file cannot be used; the message says why."""


def read(path) -> dict[str, np.ndarray]:
  """Reads an .npz or .safetensors file, recognised by content.

  Args:
    path: of the file.

  Returns:
    Arrays of floating-point or integer numbers by name.

  Raises:
    WeightsError: no such file, of another kind, damaged, or with values that
      are no finite numbers.
  """
  path = pathlib.Path(path)
  try:
    with path.open("rb") as file:
      is_zip = file.read(2) == b"PK"
  except OSError as error:
    raise WeightsError(f"{path}: {error.strerror}") from error
  try:
    arrays = _read_npz(path) if is_zip else _read_safetensors(path)
  except (
    safetensors.SafetensorError,
    zipfile.BadZipFile,
    EOFError,
    OSError,
    TypeError,
    ValueError,
  ) as error:
    reason = messages.one_line(error)
    raise WeightsError(
      f"{path}: neither an .npz nor a .safetensors file of plain arrays "
      f"({reason})"
    ) from error
  for name, array in arrays.items():
    if not np.isfinite(array).all():
      raise WeightsError(f"{path}: {name} holds values that are not finite")
  return arrays


def _read_npz(path):
  with np.load(path, allow_pickle=False) as archive:
    arrays = {name: archive[name] for name in archive.files}
  for name, array in arrays.items():
    if not isinstance(array, np.ndarray):
      raise ValueError(f"{name} is no array")
    if array.dtype.kind not in "fiu":
      raise ValueError(f"{name} is of type {array.dtype}")
  return arrays


def _read_safetensors(path):
  with safetensors.safe_open(path, framework="numpy") as file:
    return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
