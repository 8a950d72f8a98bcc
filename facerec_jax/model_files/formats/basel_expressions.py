"""The expression basis for the Basel model of 2009 (Guo et al. 2018).

Exp_Pca.bin holds the number K of modes (int32), a mean (float32, 3 n) and K
modes (float32, 3 n each) for the n vertices that BFM_exp_idx.mat lists
(`trimIndex`, counted from 1); std_exp.txt holds K standard deviations.
"""

from __future__ import annotations

import os

import numpy as np

from facerec_jax.model_files.formats import matlab
from facerec_jax.model_files.formats import raw_model

FormatError = raw_model.FormatError

_MAX_TEXT = 1 << 20


def read(path: str | os.PathLike, num_vertices: int) -> np.ndarray:
  """Reads Exp_Pca.bin with the two files beside it.

  Args:
    path: of Exp_Pca.bin.
    num_vertices: V of the model.

  Returns:
    [V, 3, K] per standard deviation, file units; zero where the file has no
    vertices.

  Raises:
    FormatError: a file is missing or of another size.
  """
  folder = os.path.dirname(os.fspath(path))
  index = _trim_index(os.path.join(folder, "BFM_exp_idx.mat"), num_vertices)
  deviation = _deviations(os.path.join(folder, "std_exp.txt"))
  with open(path, "rb") as file:
    head = file.read(4)
    count = int(np.frombuffer(head, "<i4")[0]) if len(head) == 4 else 0
    size = 4 + 4 * 3 * len(index) * (1 + count)
    have = os.path.getsize(path)
    if not 0 < count <= raw_model.MAX_MODES or have != size:
      raise FormatError(
        f"{path}: {have} bytes for {count} modes of {len(index)} vertices, "
        f"wanted {size}"
      )
    values = np.frombuffer(file.read(size - 4), "<f4")
  if len(deviation) != count:
    raise FormatError(
      f"std_exp.txt has {len(deviation)} numbers for {count} modes"
    )
  modes = values[3 * len(index) :].reshape(count, len(index), 3)
  basis = np.zeros((num_vertices, 3, count), np.float32)
  basis[index] = np.moveaxis(modes, 0, -1) * deviation
  return basis


def _trim_index(path, num_vertices):
  if not os.path.isfile(path):
    raise FormatError(
      f"{path} is missing: it lists the vertices of Exp_Pca.bin"
    )
  index = matlab.read(path, ("trimIndex",))["trimIndex"].ravel()
  index = index.astype(np.int64) - 1
  raw_model.check_indices("trimIndex", index, num_vertices)
  return index


def _deviations(path):
  if not os.path.isfile(path) or os.path.getsize(path) > _MAX_TEXT:
    raise FormatError(f"{path} is missing: it has the standard deviations")
  try:
    with open(path, encoding="ascii") as file:
      return np.array(file.read().split(), np.float32)
  except ValueError:
    raise FormatError(f"{path} holds something else than numbers") from None
