"""Models in statismo's HDF5 layout, which Scalismo and others write.

A group holds `model/mean` (3 V, interleaved), `model/pcaBasis` (3 V, K),
`model/pcaVariance` (K) and `representer/cells` (3, T). A plain statismo file
has these at its top and models one thing, shape.
"""

from __future__ import annotations

import os

import numpy as np

from facerec_jax.model_files.formats import hdf5
from facerec_jax.model_files.formats import raw_model

FormatError = raw_model.FormatError

# Relative difference at which the length of a column is 1, or its deviation.
_TOLERANCE = 0.02


def recognises(path: str | os.PathLike) -> bool:
  """Whether a file is a plain statismo model."""
  return hdf5.file_has(path, "model/pcaBasis")


def read(path: str | os.PathLike) -> raw_model.RawModel:
  """Reads a plain statismo model: shapes without expressions or colour.

  Raises:
    FormatError: the file is not of the layout.
  """
  with hdf5.open_file(path) as file:
    mean, identity = linear_model(file, "")
    triangles = cells(file, "", len(mean))
  return raw_model.RawModel(
    name=os.path.splitext(os.path.basename(path))[0],
    format="statismo",
    mean=mean,
    identity=identity,
    triangles=triangles,
    expression=raw_model.empty_basis(len(mean)),
    licence="unknown: ask whoever made the file",
    link="https://github.com/statismo/statismo",
    notes=("statismo files have shapes only: no expressions, no colour",),
  )


def linear_model(file, group: str) -> tuple[np.ndarray, np.ndarray]:
  """Mean and basis of a group.

  Args:
    file: an open HDF5 file.
    group: its path with a slash at the end, or "" for the top.

  Returns:
    ([V, 3], [V, 3, K] per standard deviation).

  Raises:
    FormatError: shapes do not match, or the basis has neither columns of
      length 1 nor of the length of their standard deviation.
  """
  mean = hdf5.numbers(file, f"{group}model/mean").ravel()
  if len(mean) % 3:
    raise FormatError(f"{group}model/mean has {len(mean)} numbers, not 3 V")
  variance = hdf5.numbers(file, f"{group}model/pcaVariance").ravel()
  shape = (len(mean), len(variance))
  basis = hdf5.numbers(file, f"{group}model/pcaBasis", shape)
  if (variance < 0).any():
    raise FormatError(f"{group}model/pcaVariance is negative")
  return mean.reshape(-1, 3), _scaled(basis, np.sqrt(variance), group)


def _scaled(basis, deviation, group):
  """[V, 3, K]: columns of length 1 are multiplied by their deviation."""
  length = np.linalg.norm(basis, axis=0)
  used = deviation > 1e-9 * deviation.max(initial=0)
  if np.allclose(length[used], 1, atol=_TOLERANCE):
    basis = basis * deviation
  elif not np.allclose(length[used], deviation[used], rtol=_TOLERANCE):
    raise FormatError(
      f"{group}model/pcaBasis: columns of length {length[:3].round(3)} are "
      f"neither 1 nor the standard deviations {deviation[:3].round(3)}"
    )
  return basis.reshape(-1, 3, basis.shape[1])


def cells(file, group: str, num_vertices: int) -> np.ndarray:
  """[T, 3] triangles of a group's representer, in file or older layout."""
  name = f"{group}representer/cells"
  if not hdf5.has(file, name):
    name = f"{group}representer/mesh/cells"
  value = hdf5.numbers(file, name)
  if value.ndim == 2 and value.shape[0] == 3:
    value = value.T
  raw_model.check_shape(name, value, (len(value), 3))
  raw_model.check_indices(name, value, num_vertices)
  return value.astype(np.int64)


def points(file, group: str, num_vertices: int) -> np.ndarray | None:
  """[V, 3] points of a group's representer, or None."""
  name = f"{group}representer/points"
  if not hdf5.has(file, name):
    return None
  value = hdf5.numbers(file, name)
  if value.ndim == 2 and value.shape == (3, num_vertices):
    value = value.T
  return value if value.shape == (num_vertices, 3) else None
