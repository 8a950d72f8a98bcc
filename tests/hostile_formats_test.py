"""Damaged and hostile model files: one clear line, nothing executed."""

import io
import os
import pickle
import struct
import tracemalloc
import zipfile

import fake_model
import model_writers as writers
import numpy as np
import pytest

from facerec_jax import model_files
from facerec_jax.model_files import archive
from facerec_jax.model_files import formats
from facerec_jax.model_files.formats import arrays
from facerec_jax.model_files.formats import safe_pickle

FormatError = formats.FormatError


@pytest.fixture(scope="module")
def model():
  return writers.plain(fake_model.make(num_rings=6))


class Call:
  """Pickles as a call of a function."""

  def __init__(self, function, *args):
    self._call = function, args

  def __reduce__(self):
    return self._call


def fails(path, *texts):
  with pytest.raises(FormatError) as error:
    formats.read(path)
  message = str(error.value)
  assert "\n" not in message and str(path) in message
  for text in texts:
    assert text in message
  return message


@pytest.mark.parametrize(
  "content, name",
  [
    (Call(os.system, "touch {marker}"), "posix.system"),
    (Call(eval, "open('{marker}', 'w')"), "builtins.eval"),
    (Call(__import__, "os"), "builtins.__import__"),
    (Call(getattr, "", "x"), "builtins.getattr"),
    (Call(np.load, "{marker}"), "numpy.load"),
    (Call(os.path.join, "a", "b"), "posixpath.join"),
  ],
)
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_calls_are_refused_by_name(tmp_path, content, name, protocol):
  marker = tmp_path / "executed"
  function, args = content._call
  args = tuple(str(a).replace("{marker}", str(marker)) for a in args)
  path = tmp_path / "generic_model.pkl"
  path.write_bytes(
    pickle.dumps({"v_template": Call(function, *args)}, protocol)
  )
  message = fails(path, "nothing is executed", "(read as flame)")
  # Python 2's name of the module under old protocols.
  assert name.split(".")[1] in message
  assert not marker.exists()


def test_stand_ins_are_not_the_real_classes():
  """What an allowed name gives cannot reach NumPy or SciPy."""
  for found in safe_pickle._TABLE.values():
    assert found is dict or found.__module__ == safe_pickle.__name__


@pytest.mark.parametrize(
  "data",
  [
    # A memo index that the C unpickler would allocate 32 GiB for.
    b"\x80\x02K\x01r\xff\xff\xff\x7f.",
    # numpy.ndarray called with a shape of 10^12.
    b"\x80\x02cnumpy\nndarray\n\x8a\x06\x00\x10\xa5\xd4\xe8\x00\x85R.",
    # Bytes that claim 2^40 and hold none.
    b"\x80\x04\x8e" + struct.pack("<Q", 1 << 40) + b".",
  ],
)
def test_pickles_that_ask_for_memory(tmp_path, data):
  path = tmp_path / "a.pkl"
  path.write_bytes(data)
  tracemalloc.start()
  fails(path)
  peak = tracemalloc.get_traced_memory()[1]
  tracemalloc.stop()
  assert peak < 20e6


def test_array_that_claims_more_than_it_holds():
  data = pickle.dumps(np.zeros((4, 3)), 2)
  # The shape (4, 3) is written as two one-byte numbers.
  assert data.count(b"K\x04K\x03") == 1
  with pytest.raises(FormatError, match="claims 2400 bytes, holds 96"):
    safe_pickle.loads(data.replace(b"K\x04K\x03", b"K\x64K\x03"))


def test_arrays_of_objects_hold_plain_data_only():
  content = np.array([{"a": np.arange(3)}, None], object)
  read = safe_pickle.loads(pickle.dumps(content, 4))
  np.testing.assert_array_equal(read[0]["a"], np.arange(3))
  with pytest.raises(FormatError, match="names posix.system"):
    evil = np.array([Call(os.system, "true")], object)
    safe_pickle.loads(pickle.dumps(evil, 4))


@pytest.mark.filterwarnings("ignore:(overflow|invalid)")
def test_damage_is_refused_or_harmless(tmp_path, model):
  """Random bytes in every file: a model, or one line; nothing else."""
  rng = np.random.default_rng(0)
  jaw = np.full(len(model.mean), 0.5)
  writers.write_basel(tmp_path / "a.h5", model)
  writers.write_basel_2009(tmp_path / "a.mat", model)
  writers.write_flame(tmp_path / "a.pkl", writers.flame_arrays(model, jaw))
  writers.write_gnm(tmp_path / "a.npz", model, {"skin": [1]})
  for path in sorted(tmp_path.iterdir()):
    good = path.read_bytes()
    for _ in range(15):
      data = bytearray(good)
      for place in rng.integers(len(data) - 8, size=2) % 5000:
        data[place : place + 4] = bytes([rng.integers(256)]) * 4
      path.write_bytes(data)
      try:
        formats.read(path)
      except FormatError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.95])
def test_files_cut_short(tmp_path, model, fraction):
  written = {
    "a.h5": lambda path: writers.write_basel(path, model),
    "a.mat": lambda path: writers.write_basel_2009(path, model),
    "a.pkl": lambda path: writers.write_flame(
      path, writers.flame_arrays(model, np.zeros(len(model.mean)))
    ),
    "a.npz": lambda path: writers.write_gnm(path, model, {}),
  }
  for name, write in written.items():
    path = tmp_path / name
    write(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(fraction * len(data))])
    with pytest.raises(FormatError) as error:
      formats.read(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def gnm(model, **changes):
  content = {
    "template_vertex_positions": model.mean / 1000,
    "vertex_identity_basis": np.moveaxis(model.identity, -1, 0) / 1000,
    "expression_basis": np.moveaxis(model.expression, -1, 0) / 1000,
    "triangles": model.triangles,
  }
  return content | changes


def test_wrong_content_of_npz(tmp_path, model):
  path = tmp_path / "a.npz"
  broken = model.mean / 1000
  broken[3, 1] = np.nan
  cases = [
    ({"template_vertex_positions": broken}, "mean holds NaN or infinity"),
    ({"triangles": model.triangles + 1}, "triangles: indices 1..175, wanted"),
    ({"triangles": model.triangles[:, :2]}, "triangles has shape"),
    (
      {"vertex_identity_basis": np.zeros((2, 5, 3))},
      "vertex_identity_basis has shape (2, 5, 3), wanted (2, 194, 3)",
    ),
    (
      {"template_vertex_positions": np.array([{}], object)},
      "'template_vertex_positions' holds pickled Python objects",
    ),
  ]
  limit = len(model.mean)
  for changes, message in cases:
    np.savez(path, **gnm(model, **changes))
    fails(path, message.replace("175", str(limit)).replace("194", str(limit)))


def test_sizes_that_are_claimed_are_not_allocated(tmp_path, model):
  path = tmp_path / "a.npz"
  np.savez(path, **gnm(model))
  members = {}
  with zipfile.ZipFile(path) as file:
    for name in file.namelist():
      members[name] = file.read(name)
  head = io.BytesIO()
  np.lib.format.write_array_header_1_0(
    head,
    {"descr": "<f8", "fortran_order": False, "shape": (10**9, 3)},
  )
  members["template_vertex_positions.npy"] = head.getvalue()
  with zipfile.ZipFile(path, "w") as file:
    for name, content in members.items():
      file.writestr(name, content)
  fails(path, "claims 22.4 GiB (1000000000, 3), wanted at most 2 GiB")


@pytest.mark.parametrize("header", ["{'shape': (", "{'descr': 1", "x y", "{}"])
def test_headers_of_arrays_that_are_no_python(tmp_path, header):
  text = header.encode().ljust(117) + b"\n"
  data = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text
  with zipfile.ZipFile(tmp_path / "a.npz", "w") as file:
    file.writestr("neutral.npy", data)
  with pytest.raises(FormatError, match="'neutral' is not a NumPy array"):
    arrays.read_npz(tmp_path / "a.npz", ["neutral"])
  with pytest.raises(archive.ArchiveError, match="'mean' is not an array"):
    archive.load(_only(tmp_path, data))


def _only(folder, data):
  path = folder / "mean.npz"
  with zipfile.ZipFile(path, "w") as file:
    file.writestr("mean.npy", data)
  return path


def test_zip_bomb(tmp_path):
  path = tmp_path / "bomb.npz"
  head = io.BytesIO()
  np.lib.format.write_array_header_1_0(
    head,
    {"descr": "<f4", "fortran_order": False, "shape": (7_000_000, 3)},
  )
  with (
    zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file,
    file.open("neutral.npy", "w") as member,
  ):
    member.write(head.getvalue())
    for _ in range(84):
      member.write(bytes(1_000_000))
  tracemalloc.start()
  with pytest.raises(FormatError, match="would unfold from"):
    arrays.read_npz(path, ["neutral"])
  assert tracemalloc.get_traced_memory()[1] < 20e6
  tracemalloc.stop()


def test_hdf5_that_lies_elsewhere(tmp_path, model):
  import h5py

  path = tmp_path / "a.h5"
  writers.write_basel(path, model)
  with h5py.File(path, "a") as file:
    del file["color/model/mean"]
    file["color/model/mean"] = h5py.ExternalLink("/etc/passwd", "x")
  fails(path, "color/model/mean lies in another file, which is not read")
  with h5py.File(path, "a") as file:
    del file["color/model/mean"]
    # 12 TB of a fill value, of which nothing is stored.
    file.create_dataset("color/model/mean", (10**12, 3), "f4", chunks=True)
  fails(path, "GiB")


def test_hdf5_with_columns_of_another_length(tmp_path, model):
  import h5py

  path = tmp_path / "a.h5"
  writers.write_basel(path, model)
  with h5py.File(path, "a") as file:
    file["shape/model/pcaBasis"][...] *= 3
  fails(path, "are neither 1 nor the standard deviations")


def test_links_out_of_ict_folder(tmp_path, model):
  folder = tmp_path / "ict"
  writers.write_ict_folder(folder, model, ["jawOpen"])
  (folder / "identity000.obj").unlink()
  (folder / "identity000.obj").symlink_to("/dev/zero")
  fails(folder, "identity000.obj is a link out of the folder")
  (folder / "identity000.obj").unlink()
  os.mkfifo(folder / "identity000.obj")
  fails(folder, "identity000.obj is not a plain file")


def test_ict_file_of_another_mesh(tmp_path, model):
  folder = tmp_path / "ict"
  writers.write_ict_folder(folder, model, ["jawOpen"])
  writers.write_obj(folder / "jawOpen.obj", model.mean[:9])
  fails(folder, "jawOpen.obj has 9 vertices, the neutral mesh")
  (folder / "jawOpen.obj").write_text("v 1 2\nv a b c\n")
  fails(folder, "does not have 3 numbers")


def test_eos_refuses_what_is_no_file_of_it(tmp_path):
  pytest.importorskip("eos", reason="needs eos-py, the extra 'surrey'")
  path = tmp_path / "a.bin"
  path.write_bytes(b"hello")
  fails(path, "is no file of eos, or damaged")


def test_what_crashes_eos_does_not_crash_us(tmp_path, model):
  pytest.importorskip("eos", reason="needs eos-py, the extra 'surrey'")
  path, beside = tmp_path / "a.bin", tmp_path / "b.bin"
  writers.write_surrey(path, beside, model, ("x", "y", "z"))
  data = bytearray(path.read_bytes())
  # The first sizes of the file become as large as they can be.
  data[4:60] = b"\x7f" * 56
  path.write_bytes(data)
  fails(path, "is no file of eos, or damaged")


def test_unknown_files_are_named(tmp_path):
  path = tmp_path / "a.txt"
  path.write_text("hello")
  fails(path, "not recognised as one of ict-folder, ict, gnm, basel")
  fails(tmp_path / "none", "no such file or folder")
  with pytest.raises(ValueError, match="not a model archive"):
    model_files.load(path)


def test_landmark_files(tmp_path, model):
  writers.write_gnm(tmp_path / "a.npz", model, {})
  raw = formats.read(tmp_path / "a.npz")
  path = tmp_path / "a.json"
  for text, message in [
    ('{"70": 1}', "landmarks: indices 70..70, wanted 0..67"),
    ('{"7": 100000}', "vertices: indices 100000..100000"),
    ('["x"]', "wanted JSON"),
    ("{", "wanted JSON"),
  ]:
    path.write_text(text)
    with pytest.raises(FormatError, match=message):
      formats.landmark_points(path, raw)
  bad = tmp_path / "head_sparse_68.txt"
  bad.write_text("1 2 3\n")
  with pytest.raises(FormatError, match="wanted 68 rows"):
    formats.landmark_points(bad, raw)
