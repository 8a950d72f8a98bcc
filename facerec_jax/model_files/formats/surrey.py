"""The Surrey face model (Huber et al. 2016) through the eos library.

eos' binary is what one C++ library writes of itself; the package eos-py reads
it. Texture coordinates run downward.
"""

from __future__ import annotations

import os

import numpy as np

from facerec_jax.model_files.formats import raw_model

FormatError = raw_model.FormatError

_LICENCE = "Surrey Face Model licence: non-commercial use only"
_LINK = "https://github.com/patrikhuber/eos (the 3448-vertex model, in share/)"
_MAX_BYTES = 200 << 20
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
  model = _load("load_model", path)
  shape = model.get_shape_model()
  mean = np.asarray(shape.get_mean(), np.float32).reshape(-1, 3)
  expression, names, notes = raw_model.empty_basis(len(mean)), (), ()
  if expression_file is None:
    notes = (f"no expressions: {_BLENDSHAPES} is not beside the model",)
  else:
    expression, names = _blendshapes(expression_file, len(mean))
  color, colors = _color(model.get_color_model(), len(mean))
  triangles = np.array(shape.get_triangle_list(), np.int64).reshape(-1, 3)
  raw_model.check_indices("triangles", triangles, len(mean))
  landmarks = {}
  if len(mean) == _VERTICES:
    landmarks = {number - 1: vertex for number, vertex in _TABLE.items()}
  return raw_model.RawModel(
    name=os.path.splitext(os.path.basename(path))[0],
    format="surrey",
    mean=mean,
    identity=_basis(shape, len(mean)),
    triangles=triangles,
    expression=expression,
    expression_kind="blendshape" if names else "gaussian",
    expression_names=names,
    albedo_mean=color,
    albedo=colors,
    corner_uv=_uv(model, triangles, len(mean)),
    landmarks=landmarks,
    licence=_LICENCE,
    link=_LINK,
    notes=notes,
  )


def _load(function, path):
  try:
    import eos
  except ImportError:
    raise FormatError(
      "eos' files need the package eos-py: pip install 'facerec_jax[surrey]'"
    ) from None
  if os.path.getsize(path) > _MAX_BYTES:
    raise FormatError(f"{path} is larger than any model of eos")
  try:
    return getattr(eos.morphablemodel, function)(os.fspath(path))
  except Exception as error:  # What its C++ throws.
    text = " ".join(str(error).split()) or type(error).__name__
    raise FormatError(f"{path} is no file of eos: {text[:120]}") from None


def _basis(pca, num):
  basis = np.asarray(pca.get_rescaled_pca_basis(), np.float32)
  if basis.ndim != 2 or len(basis) != 3 * num:
    raise FormatError(f"basis has shape {basis.shape}, wanted ({3 * num}, K)")
  return basis.reshape(num, 3, -1)


def _blendshapes(path, num):
  shapes = _load("load_blendshapes", path)
  columns = [np.asarray(s.deformation, np.float32).ravel() for s in shapes]
  if any(len(column) != 3 * num for column in columns):
    raise FormatError(f"{path}: blendshapes of other vertices than the model")
  if not columns:
    return raw_model.empty_basis(num), ()
  basis = np.stack(columns, axis=-1).reshape(num, 3, -1)
  return basis, tuple(str(s.name) for s in shapes)


def _color(pca, num):
  mean = np.asarray(pca.get_mean(), np.float32).ravel()
  if len(mean) != 3 * num:
    return None, None
  scale = 255 if mean.max() > 2 else 1
  return mean.reshape(-1, 3) / scale, _basis(pca, num) / scale


def _uv(model, triangles, num):
  uv = np.asarray(model.get_texture_coordinates(), np.float32)
  if uv.shape != (num, 2):
    return None
  return np.column_stack([uv[:, 0], 1 - uv[:, 1]])[triangles]
