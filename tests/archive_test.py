"""Tests of the model archive: round trip and files that someone broke."""

import io
import json
import os
import pathlib
import zipfile

from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
import numpy as np
import pytest

from facerec_jax import model_files
from facerec_jax.face import morphable_model
from facerec_jax.model_files import archive
from facerec_jax.model_files import builtin


def small_model(*, uv=True, seed=0):
  random = np.random.default_rng(seed)
  num = 12
  return morphable_model.create(
    mean=random.normal(0, 50, (num, 3)),
    identity=random.normal(0, 3, (num, 3, 4)) * [1.0, 1e-6, 1e4, 0.0],
    expression=random.normal(0, 3, (num, 3, 2)),
    albedo_mean=random.uniform(0, 1, (num, 3)),
    albedo=random.normal(0, 0.1, (num, 3, 3)),
    triangles=random.integers(0, num, (9, 3)),
    landmarks=random.integers(0, num, 68),
    occlusion=random.uniform(0, 1, num),
    region=random.integers(0, 2, num),
    uv=random.uniform(0, 1, (num, 2)) if uv else None,
    name="small ü",
    region_names=("skin", "eye"),
    identity_names=("a", "b", "c", "d"),
    expression_names=("AU12_L", "AU12_R"),
    expression_kind="blendshape",
  )


def with_members(data, **changes):
  """An archive with some members' raw bytes replaced or removed (None)."""
  stream = io.BytesIO()
  with (
    zipfile.ZipFile(io.BytesIO(data)) as old,
    zipfile.ZipFile(stream, "w") as new,
  ):
    members = {
      name.removesuffix(".npy"): old.read(name) for name in old.namelist()
    }
    for name, content in (members | changes).items():
      if content is not None:
        new.writestr(f"{name}.npy", content)
  return stream.getvalue()


def npy(array, **options):
  stream = io.BytesIO()
  np.save(stream, array, **options)
  return stream.getvalue()


def header(data, **changes):
  with zipfile.ZipFile(io.BytesIO(data)) as file:
    text = np.load(io.BytesIO(file.read("header.npy"))).tobytes()
  text = json.dumps(json.loads(text) | changes).encode()
  return npy(np.frombuffer(text, np.uint8))


@pytest.mark.parametrize("uv", [True, False])
def test_round_trip_keeps_everything(tmp_path, uv):
  model = small_model(uv=uv)
  path = tmp_path / "model.npz"
  archive.save(path, model)
  loaded = archive.load(path)
  exact = (
    "mean", "albedo_mean", "occlusion", "triangles",
    "landmarks", "region", "uv",
  )  # fmt: skip
  for name in exact:
    np.testing.assert_array_equal(getattr(loaded, name), getattr(model, name))
  for name in ("identity", "expression", "albedo"):
    wanted = getattr(model, name)
    largest = np.abs(wanted).max(axis=(0, 1), keepdims=True)
    error = np.abs(getattr(loaded, name) - wanted)
    assert (error <= 2.0**-11 * largest + 1e-30).all()
  for name in (
    "name", "region_names", "identity_names", "expression_names",
    "expression_kind",
  ):  # fmt: skip
    assert getattr(loaded, name) == getattr(model, name)


def test_second_round_trip_changes_nothing():
  once = archive.decode(archive.encode(small_model()))
  assert archive.encode(once) == archive.encode(
    archive.decode(archive.encode(once))
  )


def test_numpy_opens_an_archive_without_pickle(tmp_path):
  path = tmp_path / "model.npz"
  archive.save(path, small_model())
  with np.load(path, allow_pickle=False) as members:
    assert members["identity"].dtype == np.float16
    assert members["triangles"].dtype == np.int32
    assert json.loads(members["header"].tobytes())["version"] == archive.VERSION


def test_saving_replaces_and_leaves_no_temporary_file(tmp_path):
  path = tmp_path / "model.npz"
  archive.save(path, small_model(seed=1))
  archive.save(path, small_model(seed=2))
  assert os.listdir(tmp_path) == ["model.npz"]
  np.testing.assert_array_equal(
    archive.load(path).mean, small_model(seed=2).mean
  )


def test_failed_saving_keeps_the_old_file(tmp_path, monkeypatch):
  path = tmp_path / "model.npz"
  archive.save(path, small_model())
  before = path.read_bytes()

  def no_space(*_):
    raise OSError("no space left")

  monkeypatch.setattr(os, "replace", no_space)
  with pytest.raises(OSError, match="no space"):
    archive.save(path, small_model(seed=3))
  assert os.listdir(tmp_path) == ["model.npz"]
  assert path.read_bytes() == before


GOOD = archive.encode(small_model())


def swapped_bytes(data):
  """One number of the mean changed, with zip's own checksum made to fit."""
  mean = small_model().mean + np.float32(1)
  return with_members(data, mean=npy(mean))


@pytest.mark.parametrize(
  "data, message",
  [
    (b"", "not a model archive"),
    (b"hello", "not a model archive"),
    (GOOD[: len(GOOD) // 2], "truncated: the end of the file is missing"),
    (GOOD[:-30], "truncated: the end of the file is missing"),
    (swapped_bytes(GOOD), "checksum differs: the file was damaged or edited"),
    (
      with_members(GOOD, header=header(GOOD, version=archive.VERSION + 1)),
      "format version 3 is newer than this program's 2; update facerec_jax",
    ),
    (
      with_members(GOOD, header=header(GOOD, format="other")),
      "no header of ours",
    ),
    (with_members(GOOD, header=None), "no header of ours"),
    (
      with_members(GOOD, header=npy(np.zeros(3, np.uint8))),
      "no header of ours",
    ),
    (with_members(GOOD, mean=None), "no member 'mean'"),
    (
      with_members(GOOD, surprise=npy(np.zeros(2))),
      "unknown member 'surprise'",
    ),
    (with_members(GOOD, mean=b"not an array"), "member 'mean' is not an array"),
    (
      with_members(GOOD, mean=npy(np.zeros((12, 3)))),
      "member 'mean' is float64, wanted float32",
    ),
    (
      with_members(
        GOOD, mean=npy(np.array([{"a": 1}], object), allow_pickle=True)
      ),
      "member 'mean' is object, wanted float32",
    ),
    (
      with_members(GOOD, mean=npy(np.zeros((12, 3), np.float32))[:-8]),
      "member 'mean' claims 144 bytes, holds 136",
    ),
    (
      with_members(
        GOOD,
        mean=npy(np.zeros((12, 3), np.float32)).replace(
          b"(12, 3), }        ", b"(12000000000, 3),}"
        ),
      ),
      "member 'mean' claims 144000000000 bytes, holds 144",
    ),
  ],
)  # fmt: skip
def test_bad_files_give_one_clear_line(tmp_path, data, message):
  path = tmp_path / "bad.npz"
  path.write_bytes(data)
  with pytest.raises(archive.ArchiveError) as error:
    archive.load(path)
  assert str(path) in str(error.value)
  assert message in str(error.value)
  assert "\n" not in str(error.value)


def test_compressed_members_are_refused_before_they_unfold():
  stream = io.BytesIO()
  with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as file:
    file.writestr("mean.npy", npy(np.zeros((3_000_000, 3), np.float32)))
  assert len(stream.getvalue()) < 100_000
  with pytest.raises(archive.ArchiveError, match="compressed, wanted stored"):
    archive.decode(stream.getvalue())


def test_unsound_model_with_a_true_checksum_is_refused():
  model = small_model()
  far = model.replace(landmarks=np.full(68, 99, np.int32))
  with pytest.raises(archive.ArchiveError, match="landmarks has indices 99"):
    archive.decode(archive.encode(far))


@settings(max_examples=150, deadline=None)
@given(
  place=st.integers(0, len(GOOD) - 1),
  value=st.integers(0, 255),
  length=st.integers(1, 40),
)
def test_damage_is_noticed_or_harmless(place, value, length):
  damaged = bytearray(GOOD)
  damaged[place : place + length] = bytes([value]) * length
  try:
    model = archive.decode(bytes(damaged[: len(GOOD)]))
  except archive.ArchiveError:
    return
  # Bytes that carry nothing, such as dates in the table of contents.
  assert archive.encode(model) == archive.encode(archive.decode(GOOD))


def test_load_names_what_it_wants():
  with pytest.raises(ValueError, match="'nobody': got neither 'builtin' nor"):
    model_files.load("nobody")


def test_load_takes_paths(tmp_path):
  path = tmp_path / "model.npz"
  archive.save(path, small_model())
  assert model_files.load(path).name == "small ü"
  assert model_files.load(str(path)).name == "small ü"


@pytest.fixture
def quick_builtin(tmp_path, monkeypatch):
  """The built-in face's cache, with a tiny face and a count of its makings."""
  from facerec_jax.model_files.builtin import build

  made = []

  def fake():
    made.append(1)
    return small_model()

  monkeypatch.setenv("FACEREC_CACHE", str(tmp_path / "cache"))
  monkeypatch.setattr(build, "build", fake)
  return made


def test_builtin_is_made_once_and_kept(quick_builtin):
  first, second = model_files.load("builtin"), model_files.load("builtin")
  assert len(quick_builtin) == 1
  np.testing.assert_array_equal(first.identity, second.identity)


def test_damaged_cache_is_made_anew(quick_builtin):
  model_files.load("builtin")
  (path,) = builtin.cache_folder().iterdir()
  path.write_bytes(path.read_bytes()[:100])
  assert model_files.load("builtin").name == "small ü"
  assert len(quick_builtin) == 2
  assert archive.load(path).name == "small ü"


def test_cache_that_cannot_be_written_is_no_error(quick_builtin, tmp_path):
  (tmp_path / "cache").write_text("a file where the folder should be")
  assert model_files.load("builtin").name == "small ü"


def test_fingerprint_follows_the_source(monkeypatch, tmp_path):
  before = builtin.fingerprint()
  for file in pathlib.Path(builtin.__file__).parent.glob("*.py"):
    (tmp_path / file.name).write_bytes(file.read_bytes())
  monkeypatch.setattr(builtin, "_FOLDER", tmp_path)
  copied = builtin.fingerprint()
  (tmp_path / "skin_color.py").write_text("changed")
  assert len({before, copied, builtin.fingerprint()}) == 3


@pytest.mark.parametrize(
  "variables, wanted",
  [
    ({"FACEREC_CACHE": "/a", "XDG_CACHE_HOME": "/b"}, "/a"),
    ({"XDG_CACHE_HOME": "/b"}, "/b/facerec_jax"),
    ({"HOME": "/c"}, "/c/.cache/facerec_jax"),
  ],
)
def test_cache_folder(monkeypatch, variables, wanted):
  for name in ("FACEREC_CACHE", "XDG_CACHE_HOME"):
    monkeypatch.delenv(name, raising=False)
  for name, value in variables.items():
    monkeypatch.setenv(name, value)
  assert builtin.cache_folder() == pathlib.Path(wanted)
