"""glb and obj files, read back by trimesh and by hand."""

import json
import re
import struct

import numpy as np
import pytest
import trimesh

from facerec_jax.render import color
from facerec_jax.results import meshes
from tests import fake_model


@pytest.fixture(scope="module")
def model():
  return fake_model.make(num_rings=4)


def write(folder, model, ending):
  path = folder / f"mesh{ending}"
  return meshes.write_mesh(path, model.mean, model.triangles, model.albedo_mean)


def read_glb(path):
  """JSON and binary chunk of a glb file, by the standard's byte layout."""
  data = path.read_bytes()
  magic, version, length = struct.unpack_from("<4sII", data)
  assert (magic, version, length) == (b"glTF", 2, len(data))
  size, kind = struct.unpack_from("<I4s", data, 12)
  assert kind == b"JSON" and size % 4 == 0
  tree = json.loads(data[20 : 20 + size])
  binary_size, kind = struct.unpack_from("<I4s", data, 20 + size)
  assert kind == b"BIN\0"
  binary = data[28 + size :]
  assert len(binary) == binary_size
  return tree, binary


def read_accessor(tree, binary, index):
  accessor = tree["accessors"][index]
  view = tree["bufferViews"][accessor["bufferView"]]
  dtype = {5121: "<u1", 5125: "<u4", 5126: "<f4"}[accessor["componentType"]]
  width = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}[accessor["type"]]
  start = view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
  values = np.frombuffer(
    binary, dtype, count=accessor["count"] * width, offset=start
  )
  return values.reshape(-1, width), accessor


def test_glb_by_hand(tmp_path, model):
  tree, binary = read_glb(write(tmp_path, model, ".glb"))
  ((primitive,),) = [mesh["primitives"] for mesh in tree["meshes"]]
  names = primitive["attributes"]
  points, accessor = read_accessor(tree, binary, names["POSITION"])
  np.testing.assert_allclose(points, model.mean / 1000, atol=1e-7)
  # The standard asks for the exact bounds; viewers frame the mesh by them.
  np.testing.assert_allclose(accessor["min"], points.min(0), atol=1e-7)
  np.testing.assert_allclose(accessor["max"], points.max(0), atol=1e-7)
  faces, _ = read_accessor(tree, binary, primitive["indices"])
  np.testing.assert_array_equal(faces.reshape(-1, 3), model.triangles)
  colors, accessor = read_accessor(tree, binary, names["COLOR_0"])
  assert accessor["normalized"] and colors.dtype == np.uint8
  # Linear, not sRGB.
  np.testing.assert_allclose(
    colors[:, :3] / 255, model.albedo_mean, atol=0.5 / 255 + 1e-6
  )
  assert (colors[:, 3] == 255).all()
  normals, _ = read_accessor(tree, binary, names["NORMAL"])
  np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-5)
  # Outward: the nose tip (landmark 30) looks forward, +z in glTF.
  assert normals[30, 2] > 0.5


def test_glb_material_is_no_metal_and_stands_upright(tmp_path, model):
  tree, _ = read_glb(write(tmp_path, model, ".glb"))
  primitive = tree["meshes"][0]["primitives"][0]
  material = tree["materials"][primitive["material"]]
  surface = material["pbrMetallicRoughness"]
  assert surface["metallicFactor"] == 0
  assert surface.get("baseColorFactor", [1, 1, 1, 1]) == [1, 1, 1, 1]
  for node in tree["nodes"]:
    matrix = np.reshape(node.get("matrix", np.eye(4)), (4, 4))
    np.testing.assert_array_equal(matrix, np.eye(4))


@pytest.mark.parametrize("ending, scale", ((".glb", 1e-3), (".obj", 1.0)))
def test_trimesh_reads_the_same_mesh(tmp_path, model, ending, scale):
  path = write(tmp_path, model, ending)
  mesh = trimesh.load(path, force="mesh", process=False)
  np.testing.assert_allclose(mesh.vertices, scale * model.mean, atol=1e-4)
  np.testing.assert_array_equal(mesh.faces, model.triangles)


def test_obj_by_hand(tmp_path, model):
  lines = write(tmp_path, model, ".obj").read_text().splitlines()
  assert lines[0] == "# unit: millimetre, y up; vertex colours: sRGB, 0 to 1"
  vertices = np.array([x.split()[1:] for x in lines if x[:2] == "v "], float)
  np.testing.assert_allclose(vertices[:, :3], model.mean, atol=1e-4)
  srgb = np.asarray(color.linear_to_srgb(model.albedo_mean))
  np.testing.assert_allclose(vertices[:, 3:], srgb, atol=0.5 / 255 + 1e-4)
  corners = [re.findall(r" (\d+)", x) for x in lines if x[:2] == "f "]
  np.testing.assert_array_equal(
    np.array(corners, int), np.asarray(model.triangles) + 1
  )


def test_coinciding_vertices_stay_apart(tmp_path):
  # Lips and lids have such vertices; their order is the model's order.
  vertices = np.zeros((4, 3))
  vertices[1:3] = [[10, 0, 0], [0, 10, 0]]
  faces = np.array([[0, 1, 2], [3, 1, 2]])
  colors = np.ones((4, 3))
  for ending in (".glb", ".obj"):
    path = tmp_path / f"twins{ending}"
    meshes.write_mesh(path, vertices, faces, colors)
    mesh = trimesh.load(path, force="mesh", process=False)
    assert len(mesh.vertices) == 4
    np.testing.assert_array_equal(mesh.faces, faces)


def test_colors_out_of_range_are_clipped(tmp_path):
  path = tmp_path / "bright.glb"
  vertices = np.eye(3)
  colors = np.array([[-0.5, 0.0, 0.5], [1.0, 1.5, 99], [0.2, 0.4, 0.6]])
  meshes.write_mesh(path, vertices, [[0, 1, 2]], colors)
  tree, binary = read_glb(path)
  index = tree["meshes"][0]["primitives"][0]["attributes"]["COLOR_0"]
  stored, _ = read_accessor(tree, binary, index)
  wanted = [[0, 0, 128], [255, 255, 255], [51, 102, 153]]
  np.testing.assert_array_equal(stored[:, :3], wanted)


def test_errors_name_what_is_wrong(tmp_path):
  points = np.zeros((3, 3))
  with pytest.raises(ValueError, match="ending in '.stl', wanted .glb or .obj"):
    meshes.write_mesh(tmp_path / "a.stl", points, [[0, 1, 2]], points)
  with pytest.raises(ValueError, match=r"colors \(2, 3\), wanted \(3, 3\)"):
    meshes.write_mesh(tmp_path / "a.obj", points, [[0, 1, 2]], points[:2])
  with pytest.raises(ValueError, match=r"vertices \(3, 2\), wanted \(V, 3\)"):
    meshes.write_mesh(tmp_path / "a.obj", points[:, :2], [[0, 1, 2]], points)
