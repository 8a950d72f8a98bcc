"""A page that shows one face in 3D, from a file, without a network.

Everything is inside the page: the mesh and its sliders (compressed), the
texture, and the program that draws them with WebGL 2.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
import gzip
import importlib.resources
import io
import os
import pathlib

import jinja2
import markupsafe
import numpy as np
from PIL import Image

from facerec_jax.face import code_vector
from facerec_jax.render import color
from facerec_jax.render import geometry
from facerec_jax.render import illumination
from facerec_jax.results import face_mesh
from facerec_jax.results import unit_labels

# Quality of the texture inside the page, 0 to 100.
_JPEG_QUALITY = 92
_GREY = 0.4
_LOOKS = (
  (0, "As photographed"),
  (1, "The model's colours"),
  (2, "Grey"),
)


def write_viewer(
  path: str | os.PathLike,
  mesh: face_mesh.Mesh,
  code: code_vector.CodeVector,
  *,
  title: str,
  presets: Mapping[str, np.ndarray] | None = None,
  limits: tuple[float, float] = (0.0, 1.0),
) -> pathlib.Path:
  """Writes the page.

  Args:
    path: of the html file.
    mesh: of the face, with morphs.
    code: its pose and light are those of the mesh's texture.
    title: plain text.
    presets: {name: expression weights} to choose from, besides the face's own.
    limits: of the sliders.

  Returns:
    The path.
  """
  path = pathlib.Path(path)
  arrays = _arrays(mesh)
  layout, data = _pack(arrays)
  center, radius = _frame(mesh)
  facts = {
    **_sliders(mesh, presets or {}, limits),
    "layout": layout,
    "moveScales": arrays["moves"][1],
    "turnScales": arrays["turns"][1],
    "pose": np.asarray(geometry.rotation_matrix(code.rotation)).T.ravel(),
    "light": np.asarray(code.illumination).ravel(),
    "center": center,
    "radius": radius,
    "grey": _grey(code),
    "texture": _data_url(mesh.texture),
  }
  facts = {
    name: value.tolist() if isinstance(value, np.ndarray) else value
    for name, value in facts.items()
  }
  page = _template("viewer.html").render(
    title=title,
    looks=_LOOKS if mesh.texture is not None else _LOOKS[1:],
    facts=facts,
    arrays=base64.b64encode(data).decode(),
    script=markupsafe.Markup(_read("viewer.js")),
  )
  path.write_text(page, "utf-8")
  return path


def _read(name):
  folder = importlib.resources.files("facerec_jax.results") / "templates"
  return (folder / name).read_text("utf-8")


def _template(name):
  environment = jinja2.Environment(
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
  )
  return environment.from_string(_read(name))


def _sliders(mesh, presets, limits):
  morphs = mesh.morphs
  own = {"as photographed": morphs.weights}
  own["expressionless"] = np.zeros(len(morphs.weights))
  return {
    "names": list(morphs.names),
    "labels": [unit_labels.label(name) for name in morphs.names],
    "weights": np.asarray(morphs.weights, float),
    "range": list(limits),
    "presets": [
      [name, np.asarray(values, float).tolist()]
      for name, values in (own | dict(presets)).items()
    ],
  }


def _arrays(mesh):
  """{name: (array, scales of its rows or None)}."""
  morphs = mesh.morphs
  colors = np.clip(np.asarray(mesh.colors), 0, 1)
  arrays = {
    "points": (np.asarray(morphs.rest, np.float32), None),
    "normals": (np.asarray(morphs.rest_normals, np.float32), None),
    "triangles": (np.asarray(mesh.triangles, np.uint32), None),
    "moves": _integers(morphs.displacements, np.int16),
    "turns": _integers(morphs.normal_changes, np.int8),
    "colors": (np.round(255 * colors).astype(np.uint8), None),
  }
  if mesh.texture is not None:
    # The first row of an image is at 0 here.
    uv = np.abs([0, 1] - np.asarray(mesh.uv)).astype(np.float32)
    arrays["uv"] = (uv, None)
  return arrays


def _integers(values, dtype):
  """Rows as integers and the scales [n] that give them back."""
  values = np.asarray(values, np.float32)
  largest = np.abs(values).max(axis=(1, 2), initial=0)
  scales = np.maximum(largest, 1e-12) / np.iinfo(dtype).max
  return np.round(values / scales[:, None, None]).astype(dtype), scales


def _pack(arrays):
  """(name, type, first byte, count) of each array, and all bytes, gzipped."""
  layout, data = [], b""
  for name, (array, _) in arrays.items():
    little = array.astype(array.dtype.newbyteorder("<"))
    layout.append([name, little.dtype.str[1:], len(data), array.size])
    data += little.tobytes() + bytes(-array.nbytes % 4)
  return layout, gzip.compress(data, 9, mtime=0)


def _frame(mesh):
  """Centre and radius of what is to be seen, mm."""
  points = np.asarray(mesh.morphs.rest, float)
  low, high = points.min(axis=0), points.max(axis=0)
  return 0.5 * (low + high), 0.5 * float((high - low)[:2].max())


def _grey(code):
  """Albedo that looks grey from the front in the light of a code."""
  toward = illumination.shading(np.array([0.0, 0.0, 1.0]), code.illumination)
  return _GREY / max(float(color.luminance(toward)), 1e-3)


def _data_url(texture):
  if texture is None:
    return None
  stream = io.BytesIO()
  Image.fromarray(texture).save(stream, "jpeg", quality=_JPEG_QUALITY)
  content = base64.b64encode(stream.getvalue()).decode()
  return f"data:image/jpeg;base64,{content}"
