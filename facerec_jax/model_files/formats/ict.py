"""ICT-FaceKit, the light model (Li et al. 2020): OBJ files, or one .npz.

The folder holds `generic_neutral_mesh.obj`, `identity000.obj` and on (neutral +
one standard deviation of one mode) and expressions named after ARKit. Vertex
ranges of parts and the 68 landmarks are those of its README. Unit: cm.
"""

from __future__ import annotations

import os
import pathlib

import numpy as np

from facerec_jax.model_files.formats import arrays
from facerec_jax.model_files.formats import obj
from facerec_jax.model_files.formats import raw_model

FormatError = raw_model.FormatError

_NEUTRAL = "generic_neutral_mesh.obj"
_VERTICES = 26719
_LICENCE = "MIT, Copyright (c) 2020 USC Institute for Creative Technologies"
_LINK = "https://github.com/ICT-VGL/ICT-FaceKit"
# Ranges of vertices and our names of the parts; None: see-through shells around
# the eyes and strips of lashes, which an opaque renderer cannot show.
_PARTS = (
  (0, "skin"),
  (11248, "mouth_interior"),
  (13294, "lid_margin"),
  (14062, "mouth_interior"),
  (17039, "teeth"),
  (21451, "left_eye"),
  (23021, "right_eye"),
  (24591, None),
)
_REGIONS = (
  "skin",
  "left_eye",
  "right_eye",
  "lid_margin",
  "mouth_interior",
  "teeth",
)
_LANDMARKS = (
  1225, 1888, 1052, 367, 1719, 1722, 2199, 1447, 966, 3661, 4390, 3927, 3924,
  2608, 3272, 4088, 3443, 268, 493, 1914, 2044, 1401, 3615, 4240, 4114, 2734,
  2509, 978, 4527, 4942, 4857, 1140, 2075, 1147, 4269, 3360, 1507, 1542, 1537,
  1528, 1518, 1511, 3742, 3751, 3756, 3721, 3725, 3732, 5708, 5695, 2081, 0,
  4275, 6200, 6213, 6346, 6461, 5518, 5957, 5841, 5702, 5711, 5533, 6216, 6207,
  6470, 5517, 5966,
)  # fmt: skip


def recognises_folder(path: str | os.PathLike) -> bool:
  """Whether a path is the folder with the OBJ files, or holds it."""
  return os.path.isdir(path) and _folder(path) is not None


def _folder(path):
  for folder in (pathlib.Path(path), pathlib.Path(path, "FaceXModel")):
    if (folder / _NEUTRAL).is_file():
      return folder
  return None


def recognises_npz(path: str | os.PathLike) -> bool:
  """Whether a file is the model as one .npz."""
  return os.path.isfile(path) and {
    "neutral",
    "identity",
    "expression",
    "triangles",
  } <= arrays.member_names(path)


def read_folder(path: str | os.PathLike) -> raw_model.RawModel:
  """Reads the folder of OBJ files.

  Raises:
    FormatError: a file is missing, lies elsewhere, or has other vertices.
  """
  folder = _folder(path)
  files = sorted(folder.glob("*.obj"))
  for file in files:
    if not file.resolve().is_relative_to(folder.resolve()):
      raise FormatError(f"{file.name} is a link out of the folder")
    if not file.is_file():
      raise FormatError(f"{file.name} is not a plain file")
  mean, triangles, uv = obj.read_mesh(folder / _NEUTRAL)
  modes = [file for file in files if file.stem.startswith("identity")]
  others = [file for file in files if file not in modes]
  expressions = [file for file in others if file.name != _NEUTRAL]
  if not modes:
    raise FormatError("no identity000.obj beside the neutral mesh")
  return _model(
    mean=mean,
    identity=_deltas(modes, mean),
    triangles=triangles,
    expression=_deltas(expressions, mean),
    expression_names=tuple(file.stem for file in expressions),
    corner_uv=uv,
  )


def _deltas(files, mean):
  basis = np.zeros((*mean.shape, len(files)), np.float32)
  for column, file in enumerate(files):
    positions = obj.read_positions(file)
    if positions.shape != mean.shape:
      raise FormatError(
        f"{file.name} has {len(positions)} vertices, the neutral mesh "
        f"{len(mean)}"
      )
    basis[..., column] = positions - mean
  return basis


def read_npz(path: str | os.PathLike) -> raw_model.RawModel:
  """Reads the model as one .npz (`neutral`, `identity` [K, V, 3], ...).

  Raises:
    FormatError: the file is not of the layout.
  """
  data = arrays.read_npz(
    path,
    ("neutral", "identity", "expression", "triangles", "expression_names"),
    ("uv", "tri_uv"),
  )
  uv = None
  if "tri_uv" in data and "uv" in data:
    raw_model.check_indices("tri_uv", data["tri_uv"], len(data["uv"]))
    uv = data["uv"][data["tri_uv"]]
  for name in ("identity", "expression"):
    raw_model.check_shape(
      name, data[name], (len(data[name]), *data["neutral"].shape)
    )
  return _model(
    mean=np.asarray(data["neutral"], np.float32),
    identity=np.moveaxis(data["identity"], 0, -1).astype(np.float32),
    triangles=data["triangles"].astype(np.int64),
    expression=np.moveaxis(data["expression"], 0, -1).astype(np.float32),
    expression_names=arrays.text(data["expression_names"]),
    corner_uv=uv,
  )


def _model(*, mean, triangles, corner_uv, **bases):
  bases["expression"] = _whole_movements(**bases)
  landmarks, region, names = {}, None, ("skin",)
  notes = ["mouthClose contains jawOpen: closed lips over an open jaw"]
  if len(mean) > max(_LANDMARKS):
    landmarks = dict(enumerate(_LANDMARKS))
  if len(mean) == _VERTICES:
    region, names = _regions(len(mean)), (*_REGIONS, "dropped")
    keep = (region[triangles] != len(_REGIONS)).all(axis=1)
    triangles = triangles[keep]
    corner_uv = None if corner_uv is None else corner_uv[keep]
    notes.append("eyelashes and see-through shells of the eyes are left out")
  return raw_model.RawModel(
    name="ICT-FaceKit",
    format="ict",
    mean=mean,
    triangles=triangles,
    corner_uv=corner_uv,
    expression_kind="blendshape",
    landmarks=landmarks,
    region=region,
    region_names=names,
    licence=_LICENCE,
    link=_LINK,
    notes=tuple(notes),
    **bases,
  )


def _whole_movements(*, expression, expression_names, **_):
  """ARKit's mouthClose is a correction of jawOpen: alone it is no movement."""
  if not {"mouthClose", "jawOpen"} <= set(expression_names):
    return expression
  column = expression_names.index("mouthClose")
  expression = expression.copy()
  expression[..., column] += expression[..., expression_names.index("jawOpen")]
  return expression


def _regions(num):
  region = np.zeros(num, np.int64)
  for start, name in _PARTS:
    region[start:] = len(_REGIONS) if name is None else _REGIONS.index(name)
  return region
