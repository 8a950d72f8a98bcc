"""The Basel face models: 2009 (MATLAB), 2017 and 2019 (HDF5).

Paysan et al. 2009; Gerig et al. 2018. Landmarks: for the 53,149 vertices of
model2017-1_bfm_nomouth a public table of vertices, otherwise the named points
that the file itself holds.
"""

from __future__ import annotations

import os

import numpy as np

from facerec_jax.model_files.formats import basel_expressions
from facerec_jax.model_files.formats import hdf5
from facerec_jax.model_files.formats import matlab
from facerec_jax.model_files.formats import raw_model
from facerec_jax.model_files.formats import statismo

FormatError = raw_model.FormatError

_LICENCE = "Basel Face Model licence: academic use only, no redistribution"
_LINK = "https://faces.dmi.unibas.ch/bfm/"

# iBUG number, counted from 1 -> vertex (public mapping tables).
_TABLE_2017 = {
  9: 47846, 31: 8156, 37: 2602, 40: 5830, 43: 10390, 46: 13481, 49: 5522,
  50: 6026, 51: 7355, 52: 8181, 53: 9007, 54: 10329, 55: 10857, 56: 9730,
  57: 8670, 58: 8199, 59: 7726, 60: 6898, 61: 6291, 62: 7364, 63: 8190,
  64: 9016, 65: 10088, 66: 8663, 67: 8191, 68: 7719,
}  # fmt: skip
_TABLE_2009 = {
  18: 38792, 20: 40087, 22: 40514, 23: 41091, 25: 41511, 27: 42825, 31: 8319,
  34: 8334, 37: 2088, 40: 5959, 43: 10603, 46: 14472, 49: 5006, 52: 8344,
  55: 11714, 58: 8374, 63: 8354, 67: 8366,
}  # fmt: skip
_VERTICES_2017, _VERTICES_2009 = 53149, 53490
# Named points of metadata/landmarks/json -> iBUG index, counted from 0.
_NAMES = {
  "center.chin.tip": 8,
  "center.nose.tip": 30,
  "center.nose.attachement_to_philtrum": 33,
  "right.eye.corner_outer": 36,
  "right.eye.corner_inner": 39,
  "left.eye.corner_inner": 42,
  "left.eye.corner_outer": 45,
  "right.lips.corner": 48,
  "center.lips.upper.outer": 51,
  "left.lips.corner": 54,
  "center.lips.lower.outer": 57,
  "center.lips.upper.inner": 62,
  "center.lips.lower.inner": 66,
}
_MAT_ARRAYS = (
  "shapeMU", "shapePC", "shapeEV", "texMU", "texPC", "texEV", "tl",
)  # fmt: skip


def recognises_hdf5(path: str | os.PathLike) -> bool:
  """Whether a file is of the models 2017 or 2019."""
  return hdf5.file_has(path, "shape/model/pcaBasis")


def read_hdf5(path: str | os.PathLike) -> raw_model.RawModel:
  """Reads a model of 2017 or 2019; the neutral face is shape + expression.

  Raises:
    FormatError: the file is not of the layout.
  """
  with hdf5.open_file(path) as file:
    mean, identity = statismo.linear_model(file, "shape/")
    num = len(mean)
    template = statismo.points(file, "shape/", num)
    triangles = statismo.cells(file, "shape/", num)
    expression = raw_model.empty_basis(num)
    notes = []
    if hdf5.has(file, "expression/model"):
      shift, expression = statismo.linear_model(file, "expression/")
      raw_model.check_shape("expression/model/mean", shift, (num, 3))
      mean = mean + shift
    else:
      notes.append("the file has no expressions")
    color, colors = _color(file, num)
    landmarks = _landmarks(file, mean if template is None else template)
  return raw_model.RawModel(
    name=os.path.splitext(os.path.basename(path))[0],
    format="basel",
    mean=mean,
    identity=identity,
    triangles=triangles,
    expression=expression,
    albedo_mean=color,
    albedo=colors,
    landmarks=landmarks,
    licence=_LICENCE,
    link=_LINK,
    notes=tuple(notes),
  )


def _color(file, num):
  if not hdf5.has(file, "color/model"):
    return None, None
  color, colors = statismo.linear_model(file, "color/")
  raw_model.check_shape("color/model/mean", color, (num, 3))
  if color.max() > 2:
    color, colors = color / 255, colors / 255
  return color, colors


def _landmarks(file, template):
  if len(template) == _VERTICES_2017:
    return {number - 1: vertex for number, vertex in _TABLE_2017.items()}
  if not hdf5.has(file, "metadata/landmarks/json"):
    return {}
  entries = hdf5.parse_json(file, "metadata/landmarks/json")
  if isinstance(entries, dict):
    entries = [{"id": k, "coordinates": v} for k, v in entries.items()]
  found = {}
  for entry in entries:
    index = _NAMES.get(str(entry.get("id")))
    place = np.asarray(entry.get("coordinates"), np.float64)
    if index is not None and place.shape == (3,):
      distance = ((template - place) ** 2).sum(axis=1)
      found[index] = int(distance.argmin())
  return found


def recognises_2009(path: str | os.PathLike) -> bool:
  """Whether a file is a MATLAB file of version 5."""
  if not os.path.isfile(path):
    return False
  with open(path, "rb") as file:
    return file.read(len(matlab.MAGIC)) == matlab.MAGIC


def read_2009(
  path: str | os.PathLike, expression_file: str | os.PathLike | None = None
) -> raw_model.RawModel:
  """Reads 01_MorphableModel.mat.

  Args:
    path: of the file.
    expression_file: Exp_Pca.bin (Guo et al. 2018, after FaceWarehouse), with
      std_exp.txt and BFM_exp_idx.mat beside it; or None for no expressions.

  Raises:
    FormatError: a file is not of the layout.
  """
  data = matlab.read(path, _MAT_ARRAYS)
  mean = data["shapeMU"].reshape(-1, 3)
  num = len(mean)
  expression = raw_model.empty_basis(num)
  notes = ["no expressions: name Exp_Pca.bin by --expression_file"]
  if expression_file is not None:
    expression = basel_expressions.read(expression_file, num)
    notes = ["the mean of the expression file is left out: it is not neutral"]
  table = _TABLE_2009 if num == _VERTICES_2009 else {}
  return raw_model.RawModel(
    name=os.path.splitext(os.path.basename(path))[0],
    format="basel2009",
    mean=mean,
    identity=_mat_basis(data, "shape", num),
    triangles=_counted_from_one(data["tl"]),
    expression=expression,
    albedo_mean=data["texMU"].reshape(-1, 3) / 255,
    albedo=_mat_basis(data, "tex", num) / 255,
    landmarks={number - 1: vertex for number, vertex in table.items()},
    licence=_LICENCE,
    link=_LINK,
    notes=tuple(notes),
  )


def _counted_from_one(triangles):
  # Float32 holds every whole number up to 2^24.
  if not (np.abs(triangles) < 2**24).all():
    raise FormatError("tl holds no indices of vertices")
  return triangles.astype(np.int64) - 1


def _mat_basis(data, kind, num):
  deviation = data[f"{kind}EV"].ravel()
  basis = data[f"{kind}PC"]
  raw_model.check_shape(f"{kind}PC", basis, (3 * num, len(deviation)))
  return (basis * deviation).reshape(num, 3, -1)
