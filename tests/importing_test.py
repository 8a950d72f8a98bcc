"""Tests of the import: units, frame, landmarks, colours, mesh, cache, card."""

import dataclasses

import fake_model
import model_writers as writers
import numpy as np
import pytest

from facerec_jax import model_files
from facerec_jax.model_files import archive
from facerec_jax.model_files import builtin
from facerec_jax.model_files import correspondence
from facerec_jax.model_files import decimation
from facerec_jax.model_files import formats
from facerec_jax.model_files import importing
from facerec_jax.model_files import mesh_editing
from facerec_jax.model_files import normalize
from facerec_jax.model_files import surface
from facerec_jax.model_files import unwrapping
from facerec_jax.model_files.formats import basel

Options = importing.Options


@pytest.fixture(scope="module")
def face():
  return fake_model.make(num_rings=16, albedo=2)


@pytest.fixture(scope="module")
def model(face):
  return writers.plain(face)


@pytest.fixture
def raw(tmp_path, model):
  """A model without colour or landmarks, metres."""
  writers.write_gnm(tmp_path / "gnm.npz", model, {})
  return formats.read(tmp_path / "gnm.npz")


def same_faces(imported, model, tolerance=0.05):
  """Random faces of the written model and of what was made of it."""
  rng = np.random.default_rng(0)
  count = min(imported.num_vertices, len(model.mean))
  for _ in range(3):
    a = rng.normal(size=model.identity.shape[-1])
    b = rng.normal(size=model.expression.shape[-1])
    wanted = model.mean + model.identity @ a + model.expression @ b
    got = (
      np.asarray(imported.mean)
      + np.asarray(imported.identity)[..., : len(a)] @ a
      + np.asarray(imported.expression)[..., : len(b)] @ b
    )
    assert np.abs(got[:count] - wanted[:count]).max() < tolerance


def test_basel_comes_back_with_its_colours(tmp_path, face, model):
  path = tmp_path / "model2019_bfm.h5"
  writers.write_basel(path, model, basel._NAMES)
  result = importing.import_model(path, face)
  same_faces(result.model, model)
  np.testing.assert_allclose(
    result.model.albedo_mean, face.albedo_mean, atol=1e-5
  )
  np.testing.assert_allclose(
    np.asarray(result.model.albedo) @ [0.3, -1.0],
    _linear_modes(face, model) @ [0.3, -1.0],
    atol=1e-5,
  )
  np.testing.assert_array_equal(result.model.landmarks, face.landmarks)
  derived = result.provenance.derived_landmarks
  assert len(derived) == 68 - len(basel._NAMES)
  assert not set(derived) & set(basel._NAMES.values())
  card = "\n".join(result.card)
  assert "mm, by the outer canthi" in card
  assert (
    f"{len(basel._NAMES)} published, {len(derived)} derived (0-7, 9" in card
  )
  assert "academic use only" in card and "https://faces.dmi.unibas.ch" in card


def _linear_modes(face, model):
  """The written modes in linear RGB: by finite differences of the curve."""

  def linear(srgb):
    return np.where(
      srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4
    )

  mean, step = model.albedo_mean.astype(np.float64)[..., None], 1e-5
  upper, lower = (linear(mean + s * model.albedo) for s in (step, -step))
  return (upper - lower) / (2 * step)


def test_model_without_colour_or_landmarks_gets_both(tmp_path, face, model):
  writers.write_gnm(tmp_path / "gnm.npz", model, {})
  result = importing.import_model(
    tmp_path / "gnm.npz", face, Options(uv="none")
  )
  same_faces(result.model, model)
  count = len(model.mean)
  np.testing.assert_allclose(
    result.model.albedo_mean[:count], face.albedo_mean, atol=1e-3
  )
  np.testing.assert_array_equal(result.model.landmarks, face.landmarks)
  assert result.provenance.derived_landmarks == tuple(range(68))
  assert "0 published, 68 derived (0-67)" in "\n".join(result.card)


@pytest.mark.parametrize("unit, scale", [("m", 1e3), ("cm", 10), ("um", 1e-3)])
def test_units_are_found(raw, unit, scale):
  in_unit = normalize.scaled(raw, 1000.0 / scale)
  found, how = normalize.find_unit(in_unit)
  assert found == scale and how.startswith(f"{unit}, by the width of the head")


def test_units_that_are_none(raw):
  marks = dataclasses.replace(raw, landmarks={36: 36, 45: 45})
  assert "by the outer canthi" in normalize.find_unit(marks)[1]
  far = normalize.scaled(raw, 3.0)
  with pytest.raises(formats.FormatError, match="in none of m, cm, mm, um"):
    normalize.find_unit(dataclasses.replace(far, landmarks={36: 36, 45: 45}))
  assert normalize.find_unit(far, "m")[0] == 1000.0


def test_exchanged_axes_are_turned_back(raw, face, model):
  marks = np.asarray(face.mean)[np.asarray(face.landmarks)]
  raw = normalize.scaled(raw, 1000.0)
  raw = dataclasses.replace(raw, landmarks=dict(enumerate(model.landmarks)))
  # z up, face toward -y, as some editors have it.
  turn = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
  back, how = normalize.face_forward(normalize.rotated(raw, turn), marks)
  np.testing.assert_allclose(back.mean, raw.mean, atol=1e-3)
  np.testing.assert_allclose(back.identity, raw.identity, atol=1e-4)
  assert how == "turned, by the landmarks"
  assert "confirmed" in normalize.face_forward(raw, marks)[1]
  shuffled = np.random.default_rng(0).permutation(68)
  wrong = dataclasses.replace(
    raw, landmarks={k: int(v) for k, v in enumerate(shuffled)}
  )
  with pytest.raises(formats.FormatError, match="do not lie as on a face"):
    normalize.face_forward(wrong, marks)


def test_clockwise_triangles_are_turned(raw):
  raw = normalize.scaled(raw, 1000.0)
  assert not normalize.outward(raw)[1]
  wrong = dataclasses.replace(
    raw,
    triangles=raw.triangles[:, ::-1],
    corner_uv=raw.corner_uv[:, ::-1],
  )
  turned, changed = normalize.outward(wrong)
  assert changed
  np.testing.assert_array_equal(turned.triangles, raw.triangles)
  np.testing.assert_array_equal(turned.corner_uv, raw.corner_uv)


def test_a_moved_and_scaled_face_is_found_again(face):
  """Correspondence without landmarks, of a pitched, smaller, moved face."""
  own = correspondence.template(face)
  angle = np.deg2rad(10.0)
  c, s = np.cos(angle), np.sin(angle)
  turn = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
  points = 0.93 * own.points @ turn.T + [4.0, 150.0, -20.0]
  laid = correspondence.lay_over(own, points, own.triangles, {})
  distance = np.linalg.norm(laid - points, axis=1)[own.landmarks]
  assert np.median(distance) < 1.5 and distance.max() < 5.0


def test_closest_points_agree_with_brute_force():
  rng = np.random.default_rng(3)
  corners = rng.normal(size=(200, 3, 3))
  points = 2 * rng.normal(size=(200, 3))
  weights = surface.closest_weights(points, corners)
  assert (weights >= 0).all()
  np.testing.assert_allclose(weights.sum(axis=1), 1)
  found = (corners * weights[..., None]).sum(axis=1)
  grid = rng.dirichlet((0.5, 0.5, 0.5), 5000)
  tried = np.einsum("gk,nkc->ngc", grid, corners)
  best = np.linalg.norm(tried - points[:, None], axis=2).min(axis=1)
  assert (np.linalg.norm(found - points, axis=1) <= best + 1e-9).all()


def test_degenerate_triangles_have_closest_points():
  corners = np.zeros((2, 3, 3))
  corners[1, 1, 0] = corners[1, 2, 0] = 2.0
  weights = surface.closest_weights(np.array([[1.0, 1, 0]] * 2), corners)
  found = (corners * weights[..., None]).sum(axis=1)
  np.testing.assert_allclose(found, [[0, 0, 0], [1, 0, 0]], atol=1e-12)


def test_inserted_landmarks_move_with_their_triangle(raw):
  triangle = np.array([5, 5, 40])
  weights = np.array([[0.2, 0.3, 0.5], [0.6, 0.2, 0.2], [0.3, 0.3, 0.4]])
  corners = raw.triangles[triangle]
  points = (raw.mean[corners] * weights[..., None]).sum(axis=1)
  more = mesh_editing.insert_points(raw, [1, 2, 3], points, snap=1e-6)
  assert len(more.mean) == len(raw.mean) + 3
  assert len(more.triangles) == len(raw.triangles) + 6
  for row, number in enumerate((1, 2, 3)):
    vertex = more.landmarks[number]
    np.testing.assert_allclose(more.mean[vertex], points[row], atol=1e-6)
    moved = (raw.identity[corners[row]] * weights[row, :, None, None]).sum(0)
    np.testing.assert_allclose(more.identity[vertex], moved, atol=1e-6)
  # The surface is the same: as large, without holes.
  assert area(more) == pytest.approx(area(raw), rel=1e-5)
  assert more.corner_uv.shape == (len(more.triangles), 3, 2)


def area(model):
  a, b, c = (model.mean[model.triangles[:, k]].astype(float) for k in range(3))
  return np.linalg.norm(np.cross(b - a, c - a), axis=1).sum()


def test_seams_are_split_and_tiles_packed(raw):
  uv = np.array(raw.corner_uv)
  uv[::2] += [1.0, 0.0]
  split = mesh_editing.split_seams(dataclasses.replace(raw, corner_uv=uv))
  count = len(raw.mean)
  np.testing.assert_array_equal(split.mean[:count], raw.mean)
  assert len(split.mean) > count
  np.testing.assert_array_equal(
    split.mean[split.triangles], raw.mean[raw.triangles]
  )
  assert split.uv.min() >= 0 and split.uv.max() <= 1
  got = split.uv[split.triangles]
  np.testing.assert_allclose(got[1::2], 0.75 * uv[1::2], atol=1e-5)
  np.testing.assert_allclose(
    got[::2], [0.75, 0.0] + 0.25 * (uv[::2] - [1, 0]), atol=1e-5
  )


def test_normals_do_not_show_seams(raw, face):
  """Copies of a vertex on a seam share the triangles around it."""
  from facerec_jax.face import morphable_model
  from facerec_jax.render import geometry

  uv = np.array(raw.corner_uv)
  uv[::2] += [1.0, 0.0]
  raw = normalize.scaled(raw, 1000.0)
  split = mesh_editing.split_seams(dataclasses.replace(raw, corner_uv=uv))
  model = morphable_model.create(
    mean=split.mean,
    identity=split.identity,
    expression=split.expression,
    albedo_mean=np.zeros_like(split.mean),
    albedo=np.zeros((len(split.mean), 3, 0)),
    triangles=split.triangles,
    landmarks=np.arange(68),
  )
  normals = geometry.vertex_normals(
    model.mean, model.triangles, model.incidence
  )
  wanted = geometry.vertex_normals(face.mean, face.triangles, face.incidence)
  np.testing.assert_allclose(normals[: len(wanted)], wanted, atol=1e-4)
  # A copy that moves otherwise is another point.
  apart = np.array(split.expression)
  apart[len(raw.mean) :] += 1.0
  other = morphable_model.create(
    mean=split.mean,
    identity=split.identity,
    expression=apart,
    albedo_mean=np.zeros_like(split.mean),
    albedo=np.zeros((len(split.mean), 3, 0)),
    triangles=split.triangles,
    landmarks=np.arange(68),
  )
  assert model.incidence.copies is not None
  assert other.incidence.copies is None


def complete(raw, model):
  """As the pipeline has it before decimation."""
  return dataclasses.replace(
    normalize.scaled(raw, 1000.0),
    landmarks=dict(enumerate(map(int, model.landmarks))),
    albedo_mean=model.albedo_mean.astype(np.float32),
    albedo=model.albedo.astype(np.float32),
    corner_uv=None,
  )


def test_decimation_carries_everything(raw, model):
  pytest.importorskip("fast_simplification", reason="the extra 'import'")
  full = complete(raw, model)
  coarse, loss = decimation.decimate(full, 600)
  assert 0.5 * 600 < len(coarse.triangles) <= 600
  assert loss.rms < 0.6 and loss.largest < 4.0
  for index in range(68):
    old, new = full.landmarks[index], coarse.landmarks[index]
    for name in ("mean", "identity", "albedo_mean"):
      np.testing.assert_allclose(
        getattr(coarse, name)[new], getattr(full, name)[old], atol=1e-4
      )
  assert len(set(coarse.landmarks.values())) == 68
  # Columns are carried by the same means as the place: a column that is the
  # place itself stays it.
  as_place = dataclasses.replace(full, identity=full.mean[..., None])
  coarse, _ = decimation.decimate(as_place, 600)
  np.testing.assert_allclose(coarse.identity[..., 0], coarse.mean, atol=1e-3)
  formats.raw_model.checked(coarse)


def test_decimation_needs_triangles(raw, model):
  full = complete(raw, model)
  assert decimation.decimate(full, 10**6)[1] == (0.0, 0.0)
  with pytest.raises(formats.FormatError, match="at least 200"):
    decimation.decimate(full, 20)


def test_crop_keeps_the_face(raw, model):
  full = complete(raw, model)
  part = decimation.crop(full, "face")
  assert len(part.mean) < len(full.mean) and len(part.landmarks) == 68
  for index, vertex in part.landmarks.items():
    np.testing.assert_array_equal(
      part.mean[vertex], full.mean[full.landmarks[index]]
    )
  assert decimation.crop(full, "all") is full
  # Everything from the middle of the chin's neck up, with a straight edge.
  height = full.mean[full.landmarks[8], 1] + 20.0
  head = decimation._cut_neck(full, height)
  assert head.mean[:, 1].min() == pytest.approx(height)
  assert (full.mean[:, 1] > height).sum() <= len(head.mean) < len(full.mean)


def test_unwrapping_gives_each_corner_a_place(raw, model):
  pytest.importorskip("xatlas", reason="the extra 'import'")
  full = complete(raw, model)
  chart = unwrapping.with_chart(full)
  assert chart.uv.min() >= 0 and chart.uv.max() <= 1
  np.testing.assert_array_equal(
    chart.mean[chart.triangles], full.mean[full.triangles]
  )
  a, b, c = (chart.uv[chart.triangles[:, k]] for k in range(3))
  ab, ac = b - a, c - a
  twice = np.abs(ab[:, 0] * ac[:, 1] - ab[:, 1] * ac[:, 0])
  assert (twice > 0).mean() > 0.99


def test_archives_keep_provenance_and_precision(tmp_path, face):
  provenance = archive.Provenance("gnm", "Apache", "https://x", (1, 2), ("a",))
  path = tmp_path / "a.npz"
  archive.save(path, face, provenance=provenance, precision="float32")
  assert archive.load_provenance(path) == provenance
  loaded = archive.load(path)
  np.testing.assert_allclose(
    loaded.identity, face.identity, rtol=1e-6, atol=1e-6
  )
  with np.load(path) as members:
    assert members["identity"].dtype == np.float32
  archive.save(path, face)
  assert archive.load_provenance(path) is None
  with pytest.raises(ValueError, match="precision 'int8' is none of"):
    archive.encode(face, precision="int8")


def test_archives_of_version_1_are_read(face):
  import archive_test

  data = archive.encode(face)
  text = archive_test.header(data, version=1)
  import io
  import json

  content = json.loads(np.load(io.BytesIO(text)).tobytes())
  del content["provenance"]
  old = np.frombuffer(json.dumps(content).encode(), np.uint8)
  members = archive_test.with_members(data, header=archive_test.npy(old))
  # Its checksum was of other bytes.
  with pytest.raises(archive.ArchiveError, match="checksum differs"):
    archive.decode(members)
  arrays = archive.archive_members.read(members)
  arrays.pop("sha256")
  digest = np.frombuffer(archive._digest(arrays), np.uint8)
  members = archive_test.with_members(members, sha256=archive_test.npy(digest))
  assert archive.decode(members).name == face.name


def test_config_takes_the_original_file(tmp_path, monkeypatch, face, model):
  """Imported once, then read from the cache."""
  monkeypatch.setenv("FACEREC_CACHE", str(tmp_path / "cache"))
  monkeypatch.setattr(builtin, "load", lambda: face)
  path = tmp_path / "model2019_bfm.h5"
  writers.write_basel(path, model, basel._NAMES)
  first = model_files.load(path)
  same_faces(first, model)
  (cached,) = (tmp_path / "cache").iterdir()
  assert archive.load_provenance(cached).format == "basel"
  monkeypatch.setattr(importing, "import_model", None)
  second = model_files.load(str(path))
  np.testing.assert_array_equal(first.identity, second.identity)


def test_thesis_code_on_a_model_of_its_size(tmp_path, monkeypatch, face):
  """The 231 numbers: 64 identity, 64 expression, 100 albedo, 3 angles."""
  from configs import resnet
  from facerec_jax import experiment

  monkeypatch.setenv("FACEREC_CACHE", str(tmp_path / "cache"))
  monkeypatch.setattr(builtin, "load", lambda: face)
  big = fake_model.make(num_rings=7, identity=70, expression=70, albedo=110)
  path = tmp_path / "model2017-1_bfm_nomouth.h5"
  writers.write_basel(
    path,
    writers.plain(big, identity=70, expression=70, albedo=110),
    basel._NAMES,
  )
  config = resnet.get_config("thesis").to_dict()
  config["morphable_model"] = str(path)
  built = experiment.build(config)
  assert built.layout.size == 231
  assert built.model.albedo.shape[-1] == 100
