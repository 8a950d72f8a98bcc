"""Reads a file of eos and writes its arrays: a program of its own.

python eos_reader.py (model|blendshapes) INPUT OUTPUT.npz

`surrey` starts it: what a damaged file does to eos stays in here.
"""

from __future__ import annotations

import sys

import numpy as np

# Address space, bytes: lists of a damaged file claim any length.
_MEMORY = 4 << 30


def main(kind: str, source: str, output: str) -> None:
  """Writes the arrays that `surrey` names."""
  _limit_memory()
  read = {"model": _model, "blendshapes": _blendshapes}[kind]
  np.savez(output, **read(source))


def _limit_memory():
  try:
    import resource
  except ImportError:  # Not on Windows.
    return
  resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))


def _model(source):
  import eos

  model = eos.morphablemodel.load_model(source)
  shape, color = model.get_shape_model(), model.get_color_model()
  return {
    "mean": np.asarray(shape.get_mean(), np.float32),
    "basis": _columns(shape),
    "triangles": np.array(shape.get_triangle_list(), np.int64).reshape(-1, 3),
    "uv": np.array(model.get_texture_coordinates(), np.float32).reshape(-1, 2),
    "color_mean": np.asarray(color.get_mean(), np.float32),
    "color_basis": _columns(color),
  }


def _columns(pca):
  """[3 V, K] per standard deviation; eos' models of nothing have K = 0."""
  basis = np.asarray(pca.get_rescaled_pca_basis(), np.float32)
  return basis if basis.ndim == 2 else np.zeros((0, 0), np.float32)


def _blendshapes(source):
  import eos

  shapes = eos.morphablemodel.load_blendshapes(source)
  columns = [np.asarray(s.deformation, np.float32).ravel() for s in shapes]
  return {
    "names": np.array([str(s.name) for s in shapes]),
    "basis": np.stack(columns, axis=-1),
  }


if __name__ == "__main__":
  main(*sys.argv[1:])
