"""FLAME's separate files: landmark embeddings and texture spaces.

An embedding gives triangles and barycentric coordinates: `full_lmk_*` has all
68 points, `static_lmk_*` and `lmk_*` the 51 without the jaw line. A texture
space gives images over the UV chart: `mean` and `tex_dir` in [0, 255], or `MU`
and `PC` in [0, 1] (Basel's albedo, converted), with `vt` and `ft`.
"""

from __future__ import annotations

import dataclasses
import os

import numpy as np

from facerec_jax.model_files.formats import arrays
from facerec_jax.model_files.formats import flame
from facerec_jax.model_files.formats import raw_model
from facerec_jax.model_files.formats import safe_pickle

FormatError = raw_model.FormatError

# Names of (triangles, barycentric coordinates), the most complete first.
_EMBEDDINGS = (
  ("full_lmk_faces_idx", "full_lmk_bary_coords"),
  ("static_lmk_faces_idx", "static_lmk_bary_coords"),
  ("lmk_face_idx", "lmk_b_coords"),
)
_MAX_ARRAY = 256 << 20
_FIRST = {68: 0, 51: 17}


def read_embedding(
  path: str | os.PathLike,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Reads a landmark embedding (.npz, .npy or .pkl).

  Returns:
    (iBUG numbers [n], triangles [n], barycentric coordinates [n, 3]).

  Raises:
    FormatError: the file holds none.
  """
  data = _dictionary(path)
  for faces, weights in _EMBEDDINGS:
    if data.get(faces) is not None and data.get(weights) is not None:
      triangle = np.asarray(data[faces]).ravel().astype(np.int64)
      weight = np.asarray(data[weights], np.float64).reshape(-1, 3)
      break
  else:
    raise FormatError(
      f"{path}: no landmark embedding; has {sorted(data)[:6]}, wanted "
      f"{_EMBEDDINGS[0][0]} or {_EMBEDDINGS[1][0]}"
    )
  if len(triangle) not in _FIRST or len(weight) != len(triangle):
    raise FormatError(
      f"{path}: {len(triangle)} triangles and {len(weight)} coordinates, "
      "wanted 51 or 68 of each"
    )
  if not np.allclose(weight.sum(axis=1), 1, atol=1e-3):
    raise FormatError(f"{path}: barycentric coordinates do not sum to 1")
  first = _FIRST[len(triangle)]
  return np.arange(first, 68), triangle, weight


def _dictionary(path):
  with open(path, "rb") as file:
    head = file.read(6)
  if head[:2] == b"PK":
    names = [name for pair in _EMBEDDINGS for name in pair]
    return arrays.read_npz(path, (), names)
  if head == b"\x93NUMPY":
    return _pickled_array(path)
  data = flame.read_pickle(path)
  return data if isinstance(data, dict) else {}


def _pickled_array(path):
  """The dictionary in an .npy file of one object."""
  size = os.path.getsize(path)
  if size > _MAX_ARRAY:
    raise FormatError(f"{path}: {size} bytes, wanted at most {_MAX_ARRAY}")
  with open(path, "rb") as file:
    shape, _, dtype = arrays.read_any_header(file, os.path.basename(path))
    if not dtype.hasobject or shape not in ((), (1,)):
      raise FormatError(f"{path}: an array {dtype}, wanted a dictionary")
    content = safe_pickle.loads(file.read(size))
  while isinstance(content, list) and len(content) == 1:
    content = content[0]
  return content if isinstance(content, dict) else {}


def with_texture(
  model: raw_model.RawModel, path: str | os.PathLike
) -> raw_model.RawModel:
  """Gives a model the colours and the UV chart of a texture space.

  Args:
    model: of FLAME's topology.
    path: of the .npz.

  Returns:
    The model with `albedo_mean`, `albedo` (at the vertices) and `corner_uv`.

  Raises:
    FormatError: the file holds no texture space of these triangles.
  """
  names = arrays.member_names(path)
  mean_name, modes_name = (
    ("mean", "tex_dir") if "mean" in names else ("MU", "PC")
  )
  data = arrays.read_npz(path, (mean_name, modes_name, "vt", "ft"))
  mean = np.asarray(data[mean_name], np.float32)
  if mean.ndim != 3 or mean.shape[2] != 3:
    raise FormatError(f"{mean_name} has shape {mean.shape}, wanted (H, W, 3)")
  faces = data["ft"].astype(np.int64)
  raw_model.check_shape("ft", faces, (len(model.triangles), 3))
  raw_model.check_indices("ft", faces, len(data["vt"]))
  uv = np.asarray(data["vt"], np.float32)[faces]
  place = np.zeros((len(model.mean), 2), np.float32)
  place[model.triangles.ravel()] = uv.reshape(-1, 2)
  modes = data[modes_name].reshape(*mean.shape, -1)
  color, colors = _at(mean, place), _at(modes, place)
  scale = 255.0 if mean_name == "mean" or color.max() > 2 else 1.0
  note = ()
  if np.median(color[:, 0] - color[:, 2]) < 0:
    # Images written by OpenCV; skin is redder than blue.
    color, colors = color[:, ::-1], colors[:, ::-1]
    note = ("the texture's channels were blue, green, red",)
  return dataclasses.replace(
    model,
    albedo_mean=color / scale,
    albedo=np.asarray(colors, np.float32) / np.float32(scale),
    corner_uv=uv,
    notes=(*model.notes, *note),
  )


def _at(image, uv):
  """Bilinear samples of an image [H, W, ...] at (u, v up), float32."""
  height, width = image.shape[:2]
  column = np.clip(uv[:, 0] * width - 0.5, 0, width - 1)
  row = np.clip((1 - uv[:, 1]) * height - 0.5, 0, height - 1)
  left, top = column.astype(int), row.astype(int)
  right, bottom = (
    np.minimum(left + 1, width - 1),
    np.minimum(top + 1, height - 1),
  )
  extra = (1,) * (image.ndim - 2)
  across = (column - left).reshape(-1, *extra).astype(np.float32)
  down = (row - top).reshape(-1, *extra).astype(np.float32)
  upper = image[top, left] * (1 - across) + image[top, right] * across
  lower = image[bottom, left] * (1 - across) + image[bottom, right] * across
  return upper * (1 - down) + lower * down
