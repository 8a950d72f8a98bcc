"""Coloured meshes for other programs: glb and obj.

* glb (glTF 2.0): metre, y up, face toward +z, which is our frame scaled by
  0.001. Vertex colours are LINEAR RGB by the standard ("linear multiplier of
  the base colour"), so albedo is stored as it is; Blender and three.js then
  show the sRGB look. The material is rough and not metallic: glTF's default is
  a metal, in which a face looks black.
* obj: millimetre, as its first line says. Vertex colours follow the
  coordinates ("v x y z r g b", 0 to 1), which Blender and MeshLab read as sRGB.

Both keep the order of vertices and triangles.
"""

from __future__ import annotations

import os
import pathlib

import numpy as np

from facerec_jax.render import color

METERS_PER_MM = 0.001
# Skin without its sheen.
_ROUGHNESS = 0.8
# Digits after the point in obj files: 0.1 micrometre.
_DIGITS = 4


def write_mesh(
  path: str | os.PathLike, vertices, triangles, colors
) -> pathlib.Path:
  """Writes a mesh; the ending of the path decides on the format.

  Args:
    path: ends in .glb or .obj.
    vertices: [V, 3] mm.
    triangles: [T, 3] integers, counter-clockwise seen from outside.
    colors: [V, 3] linear RGB in [0, 1].

  Returns:
    The path.

  Raises:
    ValueError: another ending, or shapes that do not fit.
  """
  path = pathlib.Path(path)
  if path.suffix not in _FORMATS:
    raise ValueError(
      f"{path}: got a mesh file ending in {path.suffix!r}, wanted "
      f"{' or '.join(_FORMATS)}"
    )
  vertices = np.asarray(vertices, np.float64)
  colors = np.asarray(colors, np.float32)
  if vertices.ndim != 2 or vertices.shape[1] != 3:
    raise ValueError(f"mesh: got vertices {vertices.shape}, wanted (V, 3)")
  if colors.shape != vertices.shape:
    raise ValueError(
      f"mesh: got colors {colors.shape}, wanted {vertices.shape} as vertices"
    )
  encode = _FORMATS[path.suffix]
  path.write_bytes(encode(vertices, np.asarray(triangles), colors))
  return path


def _encode_glb(vertices, triangles, colors) -> bytes:
  from trimesh import visual
  from trimesh.exchange import gltf

  mesh = _mesh(vertices * METERS_PER_MM, triangles)
  material = visual.material.PBRMaterial(
    name="skin", metallicFactor=0.0, roughnessFactor=_ROUGHNESS
  )
  mesh.visual = visual.TextureVisuals(material=material)
  mesh.visual.vertex_attributes["color"] = _to_bytes(colors)
  return gltf.export_glb(mesh, include_normals=True)


def _encode_obj(vertices, triangles, colors) -> bytes:
  from trimesh import visual
  from trimesh.exchange import obj

  mesh = _mesh(vertices, triangles)
  srgb = _to_bytes(np.asarray(color.linear_to_srgb(colors)))
  mesh.visual = visual.ColorVisuals(mesh, vertex_colors=srgb)
  text = obj.export_obj(
    mesh,
    include_normals=True,
    digits=_DIGITS,
    header="unit: millimetre, y up; vertex colours: sRGB, 0 to 1",
  )
  return text.encode()


# Encoders of files by ending.
_FORMATS = {".glb": _encode_glb, ".obj": _encode_obj}


def _mesh(vertices, triangles):
  import trimesh

  # Not processed: that would merge and reorder vertices.
  return trimesh.Trimesh(vertices, triangles, process=False)


def _to_bytes(colors):
  opaque = np.concatenate([colors, np.ones_like(colors[:, :1])], axis=1)
  return np.round(np.clip(opaque, 0, 1) * 255).astype(np.uint8)
