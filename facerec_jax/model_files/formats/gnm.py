"""GNM Head v3 (Google, 2026): one .npz of arrays, unit metre.

Identity: 170 modes of the head, 3 of the eyes, 80 of the teeth; expression: the
eyes' regions, the lower face, tongue, pupils. The 68 landmarks are a file of
their own, `head_sparse_68.txt`: rows of three vertices and their weights, the
jaw line in an order of its own.
"""

from __future__ import annotations

import os

import numpy as np

from facerec_jax.model_files.formats import arrays
from facerec_jax.model_files.formats import raw_model

FormatError = raw_model.FormatError

_NEEDED = (
  "template_vertex_positions",
  "vertex_identity_basis",
  "expression_basis",
  "triangles",
)
_MORE = (
  "identity_names",
  "expression_names",
  "triangle_uvs",
  "vertex_groups",
  "vertex_group_names",
)
_LICENCE = "Apache License 2.0, Copyright Google LLC"
_LINK = "https://github.com/google/GNM"
# Groups of vertices -> our names; later ones win.
_GROUPS = (
  ("upper_lip", "lips"),
  ("lower_lip", "lips"),
  ("mouth_sock", "mouth_interior"),
  ("left_eye", "left_eye"),
  ("right_eye", "right_eye"),
  ("upper_teeth_and_gums", "mouth_interior"),
  ("lower_teeth_and_gums", "mouth_interior"),
  ("teeth", "teeth"),
  ("tongue", "mouth_interior"),
  # The corneas are see-through shells around irises.
  ("eye_exteriors", "dropped"),
)
_REGIONS = (
  "skin",
  "lips",
  "left_eye",
  "right_eye",
  "mouth_interior",
  "teeth",
  "dropped",
)
_MAX_TEXT = 1 << 20


def recognises(path: str | os.PathLike) -> bool:
  """Whether a file has GNM's arrays."""
  return os.path.isfile(path) and set(_NEEDED) <= arrays.member_names(path)


def read(path: str | os.PathLike) -> raw_model.RawModel:
  """Reads gnm_head.npz.

  Raises:
    FormatError: the file is not of the layout.
  """
  data = arrays.read_npz(path, _NEEDED, _MORE)
  mean = np.asarray(data["template_vertex_positions"], np.float32)
  identity = _basis(data, "vertex_identity_basis", mean)
  expression = _basis(data, "expression_basis", mean)
  triangles = data["triangles"].astype(np.int64)
  uv = data.get("triangle_uvs")
  region = _regions(data, len(mean))
  if region is not None:
    raw_model.check_indices("triangles", triangles, len(mean))
    keep = (region[triangles] != _REGIONS.index("dropped")).all(axis=1)
    triangles = triangles[keep]
    uv = None if uv is None else uv[keep]
  names = {
    name: arrays.text(data[name])
    for name in ("identity_names", "expression_names")
    if name in data
  }
  # The file has one region after the other: codes of fewer coefficients would
  # move one eye only.
  order = np.argsort(-(expression**2).sum(axis=(0, 1)), kind="stable")
  if "expression_names" in names:
    own = names["expression_names"]
    raw_model.check_shape("expression_names", np.array(own), (len(order),))
    names["expression_names"] = tuple(own[k] for k in order)
  return raw_model.RawModel(
    name="GNM-Head",
    format="gnm",
    mean=mean,
    identity=identity,
    triangles=triangles,
    expression=expression[..., order],
    corner_uv=None if uv is None else np.asarray(uv, np.float32),
    region=region,
    region_names=_REGIONS,
    licence=_LICENCE,
    link=_LINK,
    notes=(
      "joints and pose correctives are left out, and the corneas",
      "expression modes are sorted by how much they move",
    ),
    **names,
  )


def _basis(data, name, mean):
  value = data[name]
  raw_model.check_shape(name, value, (len(value), *mean.shape))
  return np.moveaxis(np.asarray(value, np.float32), 0, -1)


def _regions(data, num):
  if "vertex_groups" not in data or "vertex_group_names" not in data:
    return None
  groups = data["vertex_groups"]
  names = arrays.text(data["vertex_group_names"])
  raw_model.check_shape("vertex_groups", groups, (len(names), num))
  region = np.zeros(num, np.int64)
  for group, name in _GROUPS:
    if group in names:
      region[groups[names.index(group)] > 0.5] = _REGIONS.index(name)
  return region


def read_landmarks(path: str | os.PathLike, mean: np.ndarray) -> np.ndarray:
  """Reads head_sparse_68.txt.

  Some of its rows of the jaw line run the other way than iBUG's points: of both
  orders the one is taken in which the line is shorter.

  Args:
    path: of the file.
    mean: [V, 3] of the model.

  Returns:
    [68, 3] points on the mean.

  Raises:
    FormatError: the file is not of the layout.
  """
  try:
    if os.path.getsize(path) > _MAX_TEXT:
      raise ValueError
    with open(path, encoding="ascii") as file:
      rows = np.array([line.split() for line in file if line.strip()], float)
    if rows.shape != (68, 6) or not np.isfinite(rows).all():
      raise ValueError
  except (ValueError, UnicodeDecodeError):
    raise FormatError(
      f"{path}: wanted 68 rows of vertex and weight, three times"
    ) from None
  vertex = rows[:, ::2].astype(np.int64)
  raw_model.check_indices(f"{path}: vertices", vertex, len(mean))
  points = (mean[vertex] * rows[:, 1::2, None]).sum(axis=1)
  turned = points.copy()
  turned[2:7] = turned[2:7][::-1]
  return min(points, turned, key=_jaw_length)


def _jaw_length(points):
  return np.linalg.norm(np.diff(points[:17], axis=0), axis=1).sum()
