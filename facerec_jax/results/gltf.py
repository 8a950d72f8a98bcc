"""glTF 2.0 binary files (glb) of meshes with sliders.

One mesh with a primitive for each material; they share their vertices, so that
programs show one set of sliders (morph targets, shape keys in Blender). Their
names stand in `mesh.extras.targetNames`, where Blender and three.js look, their
positions in the face's own expression in `mesh.weights`.

Vertex colours are LINEAR RGB by the standard ("linear multiplier of the base
colour"), so albedo is stored as it is; a texture replaces them. Materials are
rough and not metallic: glTF's default is a metal, in which a face looks black.

Written by pygltflib: trimesh, which writes obj and ply, knows no morph targets.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image
import pygltflib

from facerec_jax.results import atlas
from facerec_jax.results import face_mesh

METERS_PER_MM = 0.001
# Skin without its sheen; eyes are wet.
_ROUGHNESS = {"skin": 0.8, "eyes": 0.2, "teeth": 0.4, "mouth": 0.6}
_TYPES = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4"}
_COMPONENTS = {
  "uint8": pygltflib.UNSIGNED_BYTE,
  "uint32": pygltflib.UNSIGNED_INT,
  "float32": pygltflib.FLOAT,
}
# Displacements that are zero at more than this share of vertices are stored
# without them.
_SPARSE = 0.25


def encode(mesh: face_mesh.Mesh) -> bytes:
  """A glb file of a mesh."""
  return _Writer(mesh).encode()


class _Writer:
  """Collects the JSON and the binary part of a file."""

  def __init__(self, mesh):
    self._mesh = mesh
    self._binary = bytearray()
    self._gltf = pygltflib.GLTF2(
      asset=pygltflib.Asset(generator="facerec_jax", version="2.0"),
      scene=0,
      scenes=[pygltflib.Scene(nodes=[0])],
      nodes=[pygltflib.Node(mesh=0, name="face")],
    )

  def encode(self):
    gltf, mesh = self._gltf, self._mesh
    if mesh.texture is not None:
      self._add_texture(mesh.texture)
    primitives = self._primitives()
    gltf.meshes = [pygltflib.Mesh(name="face", primitives=primitives)]
    if mesh.morphs is not None and mesh.morphs.names:
      gltf.meshes[0].weights = [float(w) for w in mesh.morphs.weights]
      gltf.meshes[0].extras = {"targetNames": list(mesh.morphs.names)}
    gltf.buffers = [pygltflib.Buffer(byteLength=len(self._binary))]
    gltf.set_binary_blob(bytes(self._binary))
    return b"".join(gltf.save_to_bytes())

  def _primitives(self):
    mesh = self._mesh
    triangles = np.asarray(mesh.triangles, np.uint32)
    part = np.zeros(len(triangles), int) if mesh.part is None else mesh.part
    attributes, targets = self._attributes(), self._targets()
    primitives = []
    for number in np.unique(part):
      indices = self._add_array(
        triangles[part == number].reshape(-1, 1),
        target=pygltflib.ELEMENT_ARRAY_BUFFER,
      )
      primitives.append(
        pygltflib.Primitive(
          attributes=attributes,
          indices=indices,
          targets=targets,
          material=self._add_material(atlas.PARTS[number]),
        )
      )
    return primitives

  def _attributes(self):
    mesh = self._mesh
    if mesh.morphs is None:
      points, normals = mesh.vertices, mesh.normals
    else:
      points, normals = mesh.morphs.rest, mesh.morphs.rest_normals
    add = self._add_vertices
    attributes = pygltflib.Attributes(
      POSITION=add(points * METERS_PER_MM, bounds=True)
    )
    if normals is not None:
      attributes.NORMAL = add(normals)
    if mesh.texture is None:
      attributes.COLOR_0 = add(_to_bytes(mesh.colors))
    else:
      # The first row of an image has v = 0 here.
      attributes.TEXCOORD_0 = add(np.abs([0, 1] - np.asarray(mesh.uv)))
    return attributes

  def _targets(self):
    morphs = self._mesh.morphs
    if morphs is None:
      return []
    pairs = zip(morphs.displacements, morphs.normal_changes, strict=True)
    return [
      pygltflib.Attributes(
        POSITION=self._add_sparse(move * METERS_PER_MM, bounds=True),
        NORMAL=self._add_sparse(turn),
      )
      for move, turn in pairs
    ]

  def _add_vertices(self, values, *, bounds=False):
    values = np.asarray(values)
    if values.dtype != np.uint8:
      values = values.astype(np.float32)
    return self._add_array(values, target=pygltflib.ARRAY_BUFFER, bounds=bounds)

  def _add_sparse(self, values, *, bounds=False):
    values = np.asarray(values, np.float32)
    used = np.flatnonzero(values.any(axis=1)).astype(np.uint32)
    if len(used) > (1 - _SPARSE) * len(values):
      return self._add_vertices(values, bounds=bounds)
    accessor = _accessor(values, bounds=bounds)
    if len(used):
      accessor.sparse = pygltflib.Sparse(
        count=len(used),
        indices=pygltflib.AccessorSparseIndices(
          bufferView=self._add_bytes(used.tobytes()),
          componentType=pygltflib.UNSIGNED_INT,
        ),
        values=pygltflib.AccessorSparseValues(
          bufferView=self._add_bytes(values[used].tobytes())
        ),
      )
    return self._add_accessor(accessor)

  def _add_array(self, values, *, target, bounds=False):
    accessor = _accessor(values, bounds=bounds)
    accessor.normalized = values.dtype == np.uint8
    accessor.bufferView = self._add_bytes(values.tobytes(), target=target)
    return self._add_accessor(accessor)

  def _add_accessor(self, accessor):
    self._gltf.accessors.append(accessor)
    return len(self._gltf.accessors) - 1

  def _add_bytes(self, data, *, target=None):
    self._gltf.bufferViews.append(
      pygltflib.BufferView(
        buffer=0,
        byteOffset=len(self._binary),
        byteLength=len(data),
        target=target,
      )
    )
    self._binary += data + bytes(-len(data) % 4)
    return len(self._gltf.bufferViews) - 1

  def _add_texture(self, texture):
    stream = io.BytesIO()
    Image.fromarray(texture).save(stream, "png")
    view = self._add_bytes(stream.getvalue())
    self._gltf.images = [
      pygltflib.Image(name="texture", bufferView=view, mimeType="image/png")
    ]
    self._gltf.samplers = [
      pygltflib.Sampler(
        magFilter=pygltflib.LINEAR,
        minFilter=pygltflib.LINEAR_MIPMAP_LINEAR,
        wrapS=pygltflib.CLAMP_TO_EDGE,
        wrapT=pygltflib.CLAMP_TO_EDGE,
      )
    ]
    self._gltf.textures = [pygltflib.Texture(source=0, sampler=0)]

  def _add_material(self, name):
    surface = pygltflib.PbrMetallicRoughness(
      metallicFactor=0.0, roughnessFactor=_ROUGHNESS[name]
    )
    if self._mesh.texture is not None:
      surface.baseColorTexture = pygltflib.TextureInfo(index=0)
    self._gltf.materials.append(
      pygltflib.Material(name=name, pbrMetallicRoughness=surface)
    )
    return len(self._gltf.materials) - 1


def _accessor(values, *, bounds):
  accessor = pygltflib.Accessor(
    # Not 0: only an accessor with a buffer view may name an offset.
    byteOffset=None,
    componentType=_COMPONENTS[values.dtype.name],
    count=len(values),
    type=_TYPES[values.shape[1]],
  )
  if bounds:
    accessor.min = [float(x) for x in values.min(axis=0)]
    accessor.max = [float(x) for x in values.max(axis=0)]
  return accessor


def _to_bytes(colors):
  opaque = np.concatenate([colors, np.ones_like(colors[:, :1])], axis=1)
  return np.round(np.clip(opaque, 0, 1) * 255).astype(np.uint8)
