"""glb, obj and ply files, read back by trimesh, pygltflib and by hand."""

import io
import json
import re
import struct

import jax.numpy as jnp
import numpy as np
from PIL import Image
import pygltflib
import pytest
import trimesh

from facerec_jax.face import code_vector
from facerec_jax.face import morphable_model
from facerec_jax.render import color
from facerec_jax.results import atlas as atlases
from facerec_jax.results import face_mesh
from facerec_jax.results import meshes
from tests import fake_model

NAMES = ("AU12_L", "AU12_R", "AU26")
ENDINGS = (".glb", ".obj", ".ply")
SIZE = 16


@pytest.fixture(scope="module")
def model():
  """A charted model with teeth, which get a place of their own."""
  made = fake_model.make(num_rings=4, expression_names=NAMES, chart=True)
  made = made.replace(region_names=("skin", "teeth"))
  # The last unit moves a few vertices only.
  few = made.expression.at[: made.num_vertices // 2, :, 2].set(0.0)
  return made.replace(expression=few)


@pytest.fixture(scope="module")
def code():
  neutral = code_vector.CodeLayout(5, 3, 3).neutral()
  return neutral.replace(
    identity=jnp.array([1.0, -1.0, 0.5, 0.0, 1.0]),
    expression=jnp.array([0.5, 0.0, 0.8]),
  )


@pytest.fixture(scope="module")
def texture():
  rng = np.random.default_rng(0)
  return rng.integers(0, 256, (SIZE, SIZE, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def mesh(model, code, texture):
  return face_mesh.of_face(model, atlases.create(model), code, texture)


def plain(model):
  return face_mesh.Mesh(
    np.asarray(model.mean),
    np.asarray(model.triangles),
    np.asarray(model.albedo_mean),
  )


def write(folder, mesh, ending):
  return meshes.write_mesh(folder / f"mesh{ending}", mesh)[0]


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


def read_view(tree, binary, index, component, width=1):
  view = tree["bufferViews"][index]
  dtype = np.dtype({5121: "<u1", 5125: "<u4", 5126: "<f4"}[component])
  start = view.get("byteOffset", 0)
  assert start % dtype.itemsize == 0
  data = binary[start : start + view["byteLength"]]
  return np.frombuffer(data, dtype).reshape(-1, width)


def read_accessor(tree, binary, index):
  accessor = tree["accessors"][index]
  width = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}[accessor["type"]]
  component = accessor["componentType"]
  if "bufferView" in accessor:
    values = read_view(tree, binary, accessor["bufferView"], component, width)
    assert len(values) == accessor["count"]
    return values, accessor
  # glTF 2.0, 5.1.2: an offset without a buffer view is an error to validators.
  assert "byteOffset" not in accessor
  values = np.zeros((accessor["count"], width), np.float32)
  if sparse := accessor.get("sparse"):
    where, what = sparse["indices"], sparse["values"]
    index = read_view(tree, binary, where["bufferView"], where["componentType"])
    assert (np.diff(index.ravel().astype(int)) > 0).all()
    values[index.ravel()] = read_view(
      tree, binary, what["bufferView"], component, width
    )
  return values, accessor


def test_plain_glb_by_hand(tmp_path, model):
  tree, binary = read_glb(write(tmp_path, plain(model), ".glb"))
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


def test_sliders_are_the_basis(tmp_path, model, code, mesh):
  tree, binary = read_glb(write(tmp_path, mesh, ".glb"))
  (content,) = tree["meshes"]
  assert content["extras"]["targetNames"] == list(NAMES)
  np.testing.assert_allclose(content["weights"], code.expression)
  source = atlases.create(model).source
  for primitive in content["primitives"]:
    assert len(primitive["targets"]) == len(NAMES)
    rest, _ = read_accessor(tree, binary, primitive["attributes"]["POSITION"])
    moved = rest.astype(np.float64)
    for column, target in enumerate(primitive["targets"]):
      move, accessor = read_accessor(tree, binary, target["POSITION"])
      wanted = np.asarray(model.expression)[source, :, column] / 1000
      np.testing.assert_allclose(move, wanted, atol=1e-8)
      np.testing.assert_allclose(accessor["min"], move.min(0), atol=1e-8)
      np.testing.assert_allclose(accessor["max"], move.max(0), atol=1e-8)
      moved += content["weights"][column] * move
    # With its weights the file shows the face as it was read.
    face = morphable_model.vertices(model, code.identity, code.expression)
    np.testing.assert_allclose(moved, face[source] / 1000, atol=1e-6)
  # Three quarters of the vertices at most are stored of the last one.
  assert "sparse" in tree["accessors"][target["POSITION"]]


def test_slider_turns_the_normals(tmp_path, mesh):
  tree, binary = read_glb(write(tmp_path, mesh, ".glb"))
  primitive = tree["meshes"][0]["primitives"][0]
  normals, _ = read_accessor(tree, binary, primitive["attributes"]["NORMAL"])
  np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-5)
  # Outward: the nose tip (landmark 30) looks forward, +z in glTF.
  assert normals[30, 2] > 0.5
  turn, _ = read_accessor(tree, binary, primitive["targets"][0]["NORMAL"])
  turned = face_mesh.Mesh(
    mesh.morphs.rest + mesh.morphs.displacements[0], mesh.triangles, mesh.colors
  )
  solid = trimesh.Trimesh(turned.vertices, turned.triangles, process=False)
  # trimesh weights triangles by angle, we by area; copies of vertices on the
  # border of the teeth lack half of their neighbours in it.
  inner = np.arange(len(normals)) < mesh.morphs.rest.shape[0] - 40
  cosine = ((normals + turn) * solid.vertex_normals).sum(axis=1)[inner]
  assert np.median(cosine) > 0.99


def test_pygltflib_and_trimesh_read_the_same(tmp_path, model, mesh, texture):
  path = write(tmp_path, mesh, ".glb")
  tree = pygltflib.GLTF2().load(str(path))
  (content,) = tree.meshes
  assert content.extras["targetNames"] == list(NAMES)
  assert [len(p.targets) for p in content.primitives] == [len(NAMES)] * 2
  assert [m.name for m in tree.materials] == ["skin", "teeth"]
  for material in tree.materials:
    surface = material.pbrMetallicRoughness
    assert surface.metallicFactor == 0
    assert surface.baseColorFactor == [1, 1, 1, 1]
    assert surface.baseColorTexture.index == 0
  scene = trimesh.load(path, process=False)
  pieces = list(scene.geometry.values())
  assert sum(len(piece.faces) for piece in pieces) == model.num_triangles
  for piece in pieces:
    np.testing.assert_allclose(
      piece.vertices, mesh.morphs.rest / 1000, atol=1e-6
    )
    np.testing.assert_allclose(piece.visual.uv, mesh.uv, atol=1e-6)
    image = np.asarray(piece.visual.material.baseColorTexture.convert("RGB"))
    np.testing.assert_array_equal(image, texture)
  for node in tree.nodes:
    assert node.matrix is None and node.scale is None


def test_textured_obj_has_its_png(tmp_path, mesh, texture):
  files = meshes.write_mesh(tmp_path / "face.obj", mesh)
  assert {f.name for f in files} == {"face.obj", "face.mtl", "face.png"}
  assert "map_Kd face.png" in (tmp_path / "face.mtl").read_text()
  image = Image.open(io.BytesIO((tmp_path / "face.png").read_bytes()))
  np.testing.assert_array_equal(np.asarray(image), texture)
  solid = trimesh.load(tmp_path / "face.obj", process=False)
  np.testing.assert_allclose(solid.vertices, mesh.vertices, atol=1e-4)
  np.testing.assert_allclose(solid.visual.uv, mesh.uv, atol=1e-4)
  np.testing.assert_array_equal(
    np.asarray(solid.visual.material.image), texture
  )


@pytest.mark.parametrize(
  "ending, scale", ((".glb", 1e-3), (".obj", 1.0), (".ply", 1.0))
)
def test_trimesh_reads_the_same_mesh(tmp_path, model, ending, scale):
  path = write(tmp_path, plain(model), ending)
  solid = trimesh.load(path, force="mesh", process=False)
  np.testing.assert_allclose(solid.vertices, scale * model.mean, atol=1e-4)
  np.testing.assert_array_equal(solid.faces, model.triangles)


def test_obj_without_texture_by_hand(tmp_path, model):
  lines = write(tmp_path, plain(model), ".obj").read_text().splitlines()
  assert lines[0] == "# unit: millimetre, y up; vertex colours: sRGB, 0 to 1"
  vertices = np.array([x.split()[1:] for x in lines if x[:2] == "v "], float)
  np.testing.assert_allclose(vertices[:, :3], model.mean, atol=1e-4)
  srgb = np.asarray(color.linear_to_srgb(model.albedo_mean))
  np.testing.assert_allclose(vertices[:, 3:], srgb, atol=0.5 / 255 + 1e-4)
  corners = [re.findall(r" (\d+)", x) for x in lines if x[:2] == "f "]
  np.testing.assert_array_equal(
    np.array(corners, int), np.asarray(model.triangles) + 1
  )


def test_ply_has_the_colours_of_the_face(tmp_path, mesh):
  solid = trimesh.load(write(tmp_path, mesh, ".ply"), process=False)
  np.testing.assert_allclose(solid.vertices, mesh.vertices, atol=1e-4)
  srgb = 255 * np.asarray(color.linear_to_srgb(mesh.colors))
  np.testing.assert_allclose(solid.visual.vertex_colors[:, :3], srgb, atol=0.51)


def test_coinciding_vertices_stay_apart(tmp_path):
  # Lips and lids have such vertices; their order is the model's order.
  vertices = np.zeros((4, 3))
  vertices[1:3] = [[10, 0, 0], [0, 10, 0]]
  faces = np.array([[0, 1, 2], [3, 1, 2]])
  twins = face_mesh.Mesh(vertices, faces, np.ones((4, 3)))
  for ending in ENDINGS:
    path = write(tmp_path, twins, ending)
    solid = trimesh.load(path, force="mesh", process=False)
    assert len(solid.vertices) == 4
    np.testing.assert_array_equal(solid.faces, faces)


def test_colors_out_of_range_are_clipped(tmp_path):
  colors = np.array([[-0.5, 0.0, 0.5], [1.0, 1.5, 99], [0.2, 0.4, 0.6]])
  bright = face_mesh.Mesh(np.eye(3), np.array([[0, 1, 2]]), colors)
  tree, binary = read_glb(write(tmp_path, bright, ".glb"))
  index = tree["meshes"][0]["primitives"][0]["attributes"]["COLOR_0"]
  stored, _ = read_accessor(tree, binary, index)
  wanted = [[0, 0, 128], [255, 255, 255], [51, 102, 153]]
  np.testing.assert_array_equal(stored[:, :3], wanted)


def test_model_without_chart_keeps_its_colours(tmp_path, code):
  bare = fake_model.make(num_rings=4, expression=3)
  mesh = face_mesh.of_face(bare, atlases.create(bare), code)
  tree, _ = read_glb(write(tmp_path, mesh, ".glb"))
  (primitive,) = tree["meshes"][0]["primitives"]
  assert "COLOR_0" in primitive["attributes"] and "images" not in tree
  names = tree["meshes"][0]["extras"]["targetNames"]
  assert names == ["expression_0", "expression_1", "expression_2"]


def test_errors_name_what_is_wrong(tmp_path):
  points, faces = np.zeros((3, 3)), np.array([[0, 1, 2]])
  good = face_mesh.Mesh(points, faces, points)
  with pytest.raises(
    ValueError, match="'.stl', wanted one of .glb, .obj, .ply"
  ):
    meshes.write_mesh(tmp_path / "a.stl", good)
  with pytest.raises(ValueError, match=r"colors \(2, 3\), wanted \(3, 3\)"):
    face_mesh.Mesh(points, faces, points[:2])
  with pytest.raises(ValueError, match=r"vertices \(3, 2\), wanted \(V, 3\)"):
    face_mesh.Mesh(points[:, :2], faces, points)
  with pytest.raises(ValueError, match="texture without uv"):
    face_mesh.Mesh(points, faces, points, texture=np.zeros((4, 4, 3)))
