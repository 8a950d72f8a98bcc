"""The Surrey face model (Huber et al. 2016) through the eos library.

eos' binary is what one C++ library writes of itself; the package eos-py reads
it. Texture coordinates run downward.
"""

from __future__ import annotations

import importlib.util
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

from facerec_jax.model_files.formats import arrays
from facerec_jax.model_files.formats import raw_model

FormatError = raw_model.FormatError

_LICENCE = "Surrey Face Model licence: non-commercial use only"
_LINK = "https://github.com/patrikhuber/eos (the 3448-vertex model, in share/)"
_MAX_BYTES = 200 << 20
_READER = str(pathlib.Path(__file__).with_name("eos_reader.py"))
_SECONDS = 120
_ARRAYS = {
  "model": ("mean", "basis", "triangles", "uv", "color_mean", "color_basis"),
  "blendshapes": ("names", "basis"),
}
_BLENDSHAPES = "expression_blendshapes_3448.bin"
_VERTICES = 3448
# iBUG number, counted from 1 -> vertex (eos' public mapping table).
_TABLE = {
  9: 33, 18: 225, 19: 229, 20: 233, 21: 2086, 22: 157, 23: 590, 24: 2091,
  25: 666, 26: 662, 27: 658, 28: 2842, 29: 379, 30: 272, 31: 114, 32: 100,
  33: 2794, 34: 270, 35: 2797, 36: 537, 37: 177, 38: 172, 39: 191, 40: 181,
  41: 173, 42: 174, 43: 614, 44: 624, 45: 605, 46: 610, 47: 607, 48: 606,
  49: 398, 50: 315, 51: 413, 52: 329, 53: 825, 54: 736, 55: 812, 56: 841,
  57: 693, 58: 411, 59: 264, 60: 431, 62: 416, 63: 423, 64: 828, 66: 817,
  67: 442, 68: 404,
}  # fmt: skip


def recognises(path: str | os.PathLike) -> bool:
  """Whether a file's name ends as eos' files do: they have no magic bytes."""
  return os.path.isfile(path) and os.fspath(path).endswith(".bin")


def read(
  path: str | os.PathLike, expression_file: str | os.PathLike | None = None
) -> raw_model.RawModel:
  """Reads sfm_shape_3448.bin.

  Args:
    path: of the model.
    expression_file: of the blendshapes; by default the file of the usual name
      beside the model, if it is there.

  Raises:
    FormatError: eos-py is not installed, or the file is not of the layout.
  """
  if expression_file is None:
    beside = os.path.join(os.path.dirname(os.fspath(path)), _BLENDSHAPES)
    expression_file = beside if os.path.isfile(beside) else None
  model = _load("model", path)
  mean = model["mean"].reshape(-1, 3)
  expression, names, notes = raw_model.empty_basis(len(mean)), (), ()
  if expression_file is None:
    notes = (f"no expressions: {_BLENDSHAPES} is not beside the model",)
  else:
    shapes = _load("blendshapes", expression_file)
    expression = _basis(shapes["basis"], len(mean))
    names = arrays.text(shapes["names"])
  color, colors = _color(model, len(mean))
  triangles = model["triangles"].astype(np.int64).reshape(-1, 3)
  raw_model.check_indices("triangles", triangles, len(mean))
  landmarks = {}
  if len(mean) == _VERTICES:
    landmarks = {number - 1: vertex for number, vertex in _TABLE.items()}
  return raw_model.RawModel(
    name=os.path.splitext(os.path.basename(path))[0],
    format="surrey",
    mean=mean,
    identity=_basis(model["basis"], len(mean)),
    triangles=triangles,
    expression=expression,
    expression_kind="blendshape" if names else "gaussian",
    expression_names=names,
    albedo_mean=color,
    albedo=colors,
    corner_uv=_uv(model["uv"], triangles, len(mean)),
    landmarks=landmarks,
    licence=_LICENCE,
    link=_LINK,
    notes=notes,
  )


def _load(kind, path):
  """The arrays of a file, read by eos in a process of its own.

  A damaged file makes eos crash, and would make this process crash with it.
  """
  if importlib.util.find_spec("eos") is None:
    raise FormatError(
      "eos' files need the package eos-py: pip install 'facerec_jax[surrey]'"
    )
  if os.path.getsize(path) > _MAX_BYTES:
    raise FormatError(f"{path} is larger than any model of eos")
  with tempfile.TemporaryDirectory() as folder:
    output = os.path.join(folder, "arrays.npz")
    command = [sys.executable, _READER, kind, os.fspath(path), output]
    try:
      done = subprocess.run(command, capture_output=True, timeout=_SECONDS)
    except subprocess.TimeoutExpired:
      done = None
    if done is None or done.returncode:
      raise FormatError(f"{path} is no file of eos, or damaged")
    return arrays.read_npz(output, _ARRAYS[kind])


def _basis(basis, num):
  raw_model.check_shape("basis", basis, (3 * num, basis.shape[-1]))
  return basis.reshape(num, 3, -1)


def _color(model, num):
  mean = model["color_mean"].ravel()
  if len(mean) != 3 * num:
    return None, None
  scale = 255 if mean.max() > 2 else 1
  return mean.reshape(-1, 3) / scale, _basis(model["color_basis"], num) / scale


def _uv(uv, triangles, num):
  if uv.shape != (num, 2):
    return None
  return np.column_stack([uv[:, 0], 1 - uv[:, 1]])[triangles]
