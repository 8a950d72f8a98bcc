"""Tests of the readers: each layout gives back the model written in it."""

import fake_model
import model_writers as writers
import numpy as np
import pytest

from facerec_jax.model_files import formats
from facerec_jax.model_files.formats import basel
from facerec_jax.model_files.formats import flame
from facerec_jax.model_files.formats import ict

NAMES = ("jawOpen", "mouthClose", "mouthSmile_L")


@pytest.fixture(scope="module")
def model():
  return writers.plain(fake_model.make(num_rings=8))


def check(raw, model, *, unit, atol=2e-4):
  """The geometry is the written one, in the file's unit."""
  np.testing.assert_allclose(raw.mean * unit, model.mean, atol=atol)
  np.testing.assert_allclose(raw.identity * unit, model.identity, atol=atol)
  for row in raw.triangles[:3]:
    assert sorted(row) in np.sort(model.triangles, axis=1).tolist()
  assert raw.licence and raw.link.startswith("https://")


def test_basel_h5(tmp_path, model):
  path = tmp_path / "model2019_face12.h5"
  names = {"center.nose.tip": 30, "right.eye.corner_outer": 36}
  writers.write_basel(path, model, names)
  assert formats.recognise(path) == "basel"
  raw = formats.read(path)
  check(raw, model, unit=1)
  np.testing.assert_allclose(raw.expression, model.expression, atol=1e-4)
  np.testing.assert_allclose(raw.albedo_mean, model.albedo_mean, atol=1e-6)
  np.testing.assert_allclose(raw.albedo, model.albedo, atol=1e-6)
  np.testing.assert_array_equal(raw.triangles, model.triangles)
  assert raw.landmarks == {k: model.landmarks[k] for k in names.values()}
  assert raw.color_space == "srgb"


def test_landmark_tables_of_basel_count_from_one(tmp_path, model, monkeypatch):
  # A mesh of as many vertices as the real one.
  monkeypatch.setattr(basel, "_VERTICES_2017", len(model.mean))
  monkeypatch.setattr(basel, "_TABLE_2017", {31: 5, 37: 7})
  path = tmp_path / "bfm.h5"
  writers.write_basel(path, model, {"center.nose.tip": 30})
  assert formats.read(path).landmarks == {30: 5, 36: 7}


@pytest.mark.parametrize("scaled", [False, True])
def test_statismo_takes_both_lengths_of_columns(tmp_path, model, scaled):
  path = tmp_path / "any.h5"
  writers.write_statismo(path, model, scaled=scaled)
  assert formats.recognise(path) == "statismo"
  raw = formats.read(path)
  check(raw, model, unit=1)
  assert raw.expression.shape[-1] == 0 and raw.albedo_mean is None


@pytest.mark.parametrize("compressed", [False, True])
def test_matlab_files_are_read_as_scipy_writes_them(tmp_path, compressed):
  from scipy import io

  from facerec_jax.model_files.formats import matlab

  rng = np.random.default_rng(0)
  content = {
    "a": rng.normal(size=(7, 5)),
    "b": rng.normal(size=(3, 4)).astype(np.float32),
    "c": np.arange(6, dtype=np.int16).reshape(2, 3),
    "one": np.array([[3]], np.uint8),
    "text": "hello",
    "cell": np.array([1, "x"], object),
    "long": np.arange(70_000.0)[None],
  }
  path = tmp_path / "a.mat"
  io.savemat(path, content, do_compression=compressed)
  read = matlab.read(path, ("a", "b", "c", "one", "long"))
  for name, value in read.items():
    np.testing.assert_array_equal(value, content[name].astype(np.float32))
  for name, message in [
    ("text", "text is no array of numbers"),
    ("cell", "cell is no array of numbers"),
    ("none", "no variable 'none'; has"),
  ]:
    with pytest.raises(formats.FormatError, match=message):
      matlab.read(path, (name,))


def test_basel_2009_with_expressions(tmp_path, model):
  path = tmp_path / "01_MorphableModel.mat"
  writers.write_basel_2009(path, model)
  index = np.arange(len(model.mean))[::2]
  writers.write_basel_2009_expressions(tmp_path, model, index)
  assert formats.recognise(path) == "basel2009"
  raw = formats.read(path)
  check(raw, model, unit=1e-3, atol=1e-3)
  np.testing.assert_array_equal(raw.triangles, model.triangles[:, ::-1])
  np.testing.assert_allclose(raw.albedo_mean, model.albedo_mean, atol=1e-5)
  assert raw.expression.shape[-1] == 0
  extras = formats.Extras(expression_file=str(tmp_path / "Exp_Pca.bin"))
  raw = formats.read(path, extras=extras)
  np.testing.assert_allclose(
    raw.expression[index] * 1e-3, model.expression[index], atol=1e-3
  )
  assert not raw.expression[1::2].any()


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize("chumpy", [False, True])
def test_flame_pickles(tmp_path, model, protocol, chumpy):
  path = tmp_path / "generic_model.pkl"
  arrays = writers.flame_arrays(model, np.zeros(len(model.mean)))
  writers.write_flame(path, arrays, protocol=protocol, chumpy=chumpy)
  assert formats.recognise(path) == "flame"
  raw = formats.read(path, extras=formats.Extras(jaw=False))
  count = model.identity.shape[-1]
  np.testing.assert_allclose(
    raw.identity[..., :count] * 1000, model.identity, atol=1e-4
  )
  assert raw.identity.shape[-1] == 300
  np.testing.assert_allclose(raw.expression * 1000, model.expression, atol=1e-4)


def test_jaw_of_flame_is_its_rotation(tmp_path, model):
  jaw = (model.mean[:, 1] < -60).astype(float)
  arrays = writers.flame_arrays(model, jaw)
  path = tmp_path / "flame.pkl"
  writers.write_flame(path, arrays)
  raw = formats.read(path)
  hinge = arrays["J_regressor"][2] @ arrays["v_template"]
  angle = 2 * flame.JAW_DEVIATION
  c, s = np.cos(angle), np.sin(angle)
  turn = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
  offset = arrays["v_template"] - hinge
  wanted = jaw[:, None] * (offset @ turn.T - offset)
  np.testing.assert_allclose(2 * raw.expression[..., 0], wanted, atol=1e-6)
  assert raw.expression_names[0] == "jaw_open"
  assert "2.9 degrees per standard deviation" in " ".join(raw.notes)
  # The chin goes down and back.
  chin = raw.expression[model.landmarks[8], :, 0]
  assert chin[1] < 0 and chin[2] < 0


def test_flame_embedding_gives_points_on_triangles(tmp_path, model):
  path = tmp_path / "flame.pkl"
  writers.write_flame(
    path, writers.flame_arrays(model, np.zeros(len(model.mean)))
  )
  raw = formats.read(path)
  triangle = np.arange(51) % len(model.triangles)
  weight = np.tile([0.2, 0.3, 0.5], (51, 1))
  np.savez(
    tmp_path / "embedding.npz", lmk_face_idx=triangle, lmk_b_coords=weight
  )
  wanted = (raw.mean[raw.triangles[triangle]] * weight[..., None]).sum(axis=1)
  content = {
    "static_lmk_faces_idx": triangle,
    "static_lmk_bary_coords": weight,
  }
  np.save(tmp_path / "embedding.npy", np.array(content, object))
  for name in ("embedding.npz", "embedding.npy"):
    numbers, points = formats.landmark_points(tmp_path / name, raw)
    np.testing.assert_array_equal(numbers, np.arange(17, 68))
    np.testing.assert_allclose(points, wanted, atol=1e-7)


def test_flame_texture_is_read_at_the_vertices(tmp_path, model):
  path = tmp_path / "flame.pkl"
  writers.write_flame(
    path, writers.flame_arrays(model, np.zeros(len(model.mean)))
  )
  size = 32
  row, column = np.mgrid[:size, :size]
  # Linear in u and v: bilinear samples are exact. Blue, green, red.
  image = np.stack([0 * row, 4.0 * column, 255 - 4.0 * row], axis=-1)
  place = np.clip(model.mean[:, :2] / 300 + 0.5, 0.1, 0.9)
  np.savez(
    tmp_path / "texture.npz",
    mean=image,
    tex_dir=np.repeat(image[..., None], 2, axis=-1),
    vt=place,
    ft=model.triangles,
  )
  extras = formats.Extras(texture_file=str(tmp_path / "texture.npz"))
  raw = formats.read(path, extras=extras)
  u, v = place.T
  red = (255 - 4 * ((1 - v) * size - 0.5)) / 255
  np.testing.assert_allclose(raw.albedo_mean[:, 0], red, atol=1e-5)
  np.testing.assert_allclose(
    raw.albedo_mean[:, 1], 4 * (u * size - 0.5) / 255, atol=1e-5
  )
  assert raw.albedo.shape == (len(model.mean), 3, 2)


def test_ict_folder_and_npz_agree(tmp_path, model):
  writers.write_ict_folder(tmp_path / "FaceXModel", model, sorted(NAMES))
  writers.write_ict_npz(tmp_path / "ict.npz", model, sorted(NAMES))
  assert formats.recognise(tmp_path) == "ict-folder"
  assert formats.recognise(tmp_path / "ict.npz") == "ict"
  for path in (tmp_path, tmp_path / "ict.npz"):
    raw = formats.read(path)
    check(raw, model, unit=10, atol=2e-4)
    np.testing.assert_array_equal(raw.triangles, model.triangles)
    assert raw.expression_kind == "blendshape"
    assert raw.expression_names == tuple(sorted(NAMES))
    wanted = model.expression.copy()
    # mouthClose corrects jawOpen: it holds it.
    wanted[..., 1] += wanted[..., 0]
    np.testing.assert_allclose(raw.expression * 10, wanted, atol=2e-4)


def test_quads_become_two_triangles(tmp_path):
  from facerec_jax.model_files.formats import obj

  (tmp_path / "q.obj").write_text(
    "v 0 0 0 1 1 1\nv 1 0 0\nv 1 1 0\nv 0 1 0\nvt 0 0\nf 1/1/1 2/1 3/1//4 4/1\n"
  )
  points, triangles, uv = obj.read_mesh(tmp_path / "q.obj")
  assert points.shape == (4, 3) and uv.shape == (2, 3, 2)
  np.testing.assert_array_equal(triangles, [[0, 1, 2], [0, 2, 3]])


def test_gnm_parts_and_landmarks(tmp_path, model):
  path = tmp_path / "gnm_head.npz"
  groups = {"skin": np.arange(len(model.mean)), "upper_lip": [1], "teeth": [3]}
  writers.write_gnm(path, model, groups)
  assert formats.recognise(path) == "gnm"
  raw = formats.read(path)
  check(raw, model, unit=1000)
  assert raw.region_names[raw.region[1]] == "lips"
  assert raw.region_names[raw.region[3]] == "teeth"
  assert raw.identity_names[0] == "head_0"
  # The file's columns, those that move most first.
  energy = (raw.expression**2).sum(axis=(0, 1))
  assert (np.diff(energy) <= 0).all()
  for column, name in enumerate(raw.expression_names):
    np.testing.assert_allclose(
      raw.expression[..., column] * 1000,
      model.expression[..., int(name.removeprefix("lower_face_"))],
      atol=2e-4,
    )
  writers.write_gnm_landmarks(tmp_path / "head_sparse_68.txt", model)
  numbers, points = formats.landmark_points(
    tmp_path / "head_sparse_68.txt", raw
  )
  np.testing.assert_array_equal(numbers, np.arange(68))
  np.testing.assert_allclose(
    points * 1000, model.mean[model.landmarks], atol=1e-4
  )


def test_surrey_through_eos(tmp_path, model):
  pytest.importorskip("eos", reason="needs eos-py, the extra 'surrey'")
  path = tmp_path / "sfm_shape_3448.bin"
  beside = tmp_path / "expression_blendshapes_3448.bin"
  writers.write_surrey(path, beside, model, ("anger", "fear", "joy"))
  assert formats.recognise(path) == "surrey"
  raw = formats.read(path)
  check(raw, model, unit=1, atol=1e-3)
  np.testing.assert_allclose(raw.expression, model.expression, atol=1e-4)
  assert raw.expression_names == ("anger", "fear", "joy")
  wanted = (model.mean[model.triangles][..., :2] / 500) + 0.5
  np.testing.assert_allclose(raw.corner_uv, wanted, atol=1e-5)


def test_published_landmarks_of_ict():
  assert len(ict._LANDMARKS) == 68 and max(ict._LANDMARKS) < 9409


def test_json_landmarks(tmp_path, model):
  path = tmp_path / "marks.json"
  path.write_text('{"30": 4, "36": 9}')
  writers.write_statismo(tmp_path / "a.h5", model)
  raw = formats.read(tmp_path / "a.h5")
  numbers, points = formats.landmark_points(path, raw)
  np.testing.assert_array_equal(numbers, [30, 36])
  np.testing.assert_array_equal(points, raw.mean[[4, 9]])
