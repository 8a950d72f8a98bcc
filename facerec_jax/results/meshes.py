"""Meshes as files for other programs: glb with sliders, obj, ply.

* glb (glTF 2.0): metre, y up, face toward +z, which is our frame scaled by
  0.001; the face at rest and its sliders (`gltf`).
* obj: millimetre, as its first line says. With a texture there are an mtl and a
  png file beside it; else the colours follow the coordinates
  ("v x y z r g b", sRGB, 0 to 1, as Blender and MeshLab read them).
* ply: millimetre, sRGB colours at the vertices.

obj and ply hold the face with its expression. All keep the order of vertices
and (within a material) of triangles.
"""

from __future__ import annotations

import os
import pathlib

import numpy as np
from PIL import Image

from facerec_jax.render import color
from facerec_jax.results import face_mesh
from facerec_jax.results import gltf

# Digits after the point in obj files: 0.1 micrometre.
_DIGITS = 4
_UNIT = "unit: millimetre, y up"


def write_mesh(
  path: str | os.PathLike, mesh: face_mesh.Mesh
) -> list[pathlib.Path]:
  """Writes a mesh; the ending of the path decides on the format.

  Args:
    path: ends in .glb, .obj or .ply.
    mesh: what to write.

  Returns:
    The files: the path, for a textured obj NAME.mtl and NAME.png as well.

  Raises:
    ValueError: another ending.
  """
  path = pathlib.Path(path)
  if path.suffix not in _FORMATS:
    raise ValueError(
      f"{path}: got a mesh file ending in {path.suffix!r}, wanted one of "
      f"{', '.join(_FORMATS)}"
    )
  files = _FORMATS[path.suffix](path.stem, mesh)
  for name, content in files.items():
    (path.parent / name).write_bytes(content)
  return [path.parent / name for name in files]


def _encode_glb(stem, mesh):
  return {f"{stem}.glb": gltf.encode(mesh)}


def _encode_obj(stem, mesh):
  from trimesh import visual
  from trimesh.exchange import obj

  solid = _trimesh(mesh)
  options = {"include_normals": True, "digits": _DIGITS}
  if mesh.texture is None:
    header = f"{_UNIT}; vertex colours: sRGB, 0 to 1"
    text = obj.export_obj(solid, header=header, **options)
    return {f"{stem}.obj": text.encode()}
  material = visual.material.SimpleMaterial(
    image=Image.fromarray(mesh.texture),
    name=stem,
    diffuse=[255] * 3,
    ambient=[0] * 3,
    specular=[0] * 3,
  )
  solid.visual = visual.TextureVisuals(uv=mesh.uv, material=material)
  text, files = obj.export_obj(
    solid,
    header=_UNIT,
    mtl_name=f"{stem}.mtl",
    return_texture=True,
    **options,
  )
  return {f"{stem}.obj": text.encode(), **files}


def _encode_ply(stem, mesh):
  from trimesh.exchange import ply

  content = ply.export_ply(_trimesh(mesh), vertex_normal=True)
  return {f"{stem}.ply": content}


# {file name: content} of a file name without its ending, by ending.
_FORMATS = {".glb": _encode_glb, ".obj": _encode_obj, ".ply": _encode_ply}


def _trimesh(mesh):
  import trimesh
  from trimesh import visual

  # Not processed: that would merge and reorder vertices.
  solid = trimesh.Trimesh(
    mesh.vertices,
    mesh.triangles,
    vertex_normals=mesh.normals,
    process=False,
  )
  srgb = np.asarray(color.linear_to_srgb(np.asarray(mesh.colors, np.float32)))
  opaque = np.concatenate([srgb, np.ones_like(srgb[:, :1])], axis=1)
  colors = np.round(255 * opaque).astype(np.uint8)
  solid.visual = visual.ColorVisuals(solid, vertex_colors=colors)
  return solid
