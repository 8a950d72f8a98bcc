"""Our own file of a morphable model: a versioned, checked .npz archive.

An archive is an uncompressed zip of .npy members (`numpy.load` opens it):

  header          [n] uint8, JSON text: format, version, name, region_names,
                  identity_names, expression_names, expression_kind
  mean            [V, 3] float32, mm
  identity        [V, 3, Ki] float16, in units of `identity_scale`
  identity_scale  [Ki] float32, largest entry of each column, mm
  expression      [V, 3, Ke] float16, `expression_scale` [Ke] float32
  albedo          [V, 3, Ka] float16, `albedo_scale` [Ka] float32
  albedo_mean     [V, 3] float32;  occlusion [V] float32
  uv              [V, 2] float32, absent if the model has none
  triangles       [T, 3] int32;  landmarks [68] int32;  region [V] int32
  sha256          [32] uint8, of every other member (`_digest`)

Nothing is pickled. Every size that the file claims is compared with the bytes
that are there before anything is allocated.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import struct
import zipfile

import numpy as np

from facerec_jax.face import morphable_model
from facerec_jax.face.morphable_model import MorphableModel

FORMAT = "facerec_jax morphable model"
VERSION = 1

_BASES = ("identity", "expression", "albedo")
_FLOATS = ("mean", "albedo_mean", "occlusion", "uv")
_INDICES = ("triangles", "landmarks", "region")
_NAMES = (
  "name",
  "region_names",
  "identity_names",
  "expression_names",
  "expression_kind",
)
_OPTIONAL = ("uv",)
_DTYPES = (
  dict.fromkeys(_BASES, np.float16)
  | dict.fromkeys([f"{name}_scale" for name in _BASES], np.float32)
  | dict.fromkeys(_FLOATS, np.float32)
  | dict.fromkeys(_INDICES, np.int32)
  | dict.fromkeys(("header", "sha256"), np.uint8)
)
# What zipfile raises on damaged files: wrong checksums and offsets, flags of
# encryption or of unknown methods, names that are no text.
_ZIP_ERRORS = (
  zipfile.BadZipFile,
  EOFError,
  OSError,
  NotImplementedError,
  RuntimeError,
  UnicodeDecodeError,
  struct.error,
)


class ArchiveError(ValueError):
  """A file is not a sound model archive; the message says why, in one line."""


def save(path: str | os.PathLike, model: MorphableModel) -> None:
  """Writes a model; the file appears complete or not at all.

  Args:
    path: of the archive, replaced if it exists.
    model: the morphable model; bases are rounded to half precision.
  """
  path = os.fspath(path)
  data = encode(model)
  # Beside the file, for a rename; not `tempfile`, whose files only the owner
  # may read.
  temporary = f"{path}.{os.getpid()}.tmp"
  try:
    with open(temporary, "wb") as file:
      file.write(data)
    os.replace(temporary, path)
  finally:
    if os.path.exists(temporary):
      os.unlink(temporary)


def load(path: str | os.PathLike) -> MorphableModel:
  """Reads a model.

  Raises:
    ArchiveError: the file is no archive of ours, is newer than this program,
      is cut short, or was changed after it was written.
  """
  path = os.fspath(path)
  with open(path, "rb") as file:
    return decode(file.read(), path)


def encode(model: MorphableModel) -> bytes:
  """The bytes of a model's archive; equal models give equal bytes."""
  members = {"header": _text(_header(model))}
  for name in _FLOATS + _INDICES:
    value = getattr(model, name)
    if value is not None:
      members[name] = np.asarray(value, _DTYPES[name])
  for name in _BASES:
    basis = np.asarray(getattr(model, name), np.float32)
    scale = np.abs(basis).max(axis=(0, 1), initial=0.0)
    scale = np.where(scale > 0, scale, np.float32(1)).astype(np.float32)
    members[name] = (basis / scale).astype(np.float16)
    members[f"{name}_scale"] = scale
  members["sha256"] = np.frombuffer(_digest(members), np.uint8)
  stream = io.BytesIO()
  with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
    for name, value in members.items():
      # A ZipInfo of its own has a fixed date: equal models, equal bytes.
      with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w") as member:
        np.lib.format.write_array(member, value, allow_pickle=False)
  return stream.getvalue()


def decode(data: bytes, origin: str = "model archive") -> MorphableModel:
  """The model in an archive's bytes.

  Args:
    data: what `encode` returned.
    origin: names the source in error messages.

  Raises:
    ArchiveError: see `load`.
  """
  try:
    return _decode(data)
  except ArchiveError as error:
    raise ArchiveError(f"{origin}: {error}") from None


def _decode(data):
  members = _read_members(data)
  header = _read_header(members)
  missing = [
    name for name in _DTYPES if name not in members and name not in _OPTIONAL
  ]
  if missing:
    raise ArchiveError(f"not a model archive: no member {missing[0]!r}")
  claimed = members.pop("sha256").tobytes()
  if claimed != _digest(members):
    raise ArchiveError("checksum differs: the file was damaged or edited")
  fields = {name: members.get(name) for name in _FLOATS + _INDICES}
  for name in _BASES:
    fields[name] = members[name].astype(np.float32) * members[f"{name}_scale"]
  try:
    return morphable_model.create(**fields, **header)
  except (TypeError, ValueError) as error:
    raise ArchiveError(f"unsound model: {error}") from None


def _read_members(data):
  stream = io.BytesIO(data)
  if not zipfile.is_zipfile(stream):
    # A zip file's table of contents is at its end.
    cut = data[:4] == b"PK\x03\x04"
    raise ArchiveError(
      "truncated: the end of the file is missing"
      if cut
      else "not a model archive (.npz)"
    )
  try:
    with zipfile.ZipFile(stream) as archive:
      return {
        info.filename.removesuffix(".npy"): _read_member(archive, info)
        for info in archive.infolist()
      }
  except _ZIP_ERRORS as error:
    raise ArchiveError(f"damaged: {error}") from None


def _read_member(archive, info):
  name = info.filename.removesuffix(".npy")
  if name not in _DTYPES:
    raise ArchiveError(f"not a model archive: unknown member {name[:40]!r}")
  # Stored members cannot claim more than the file holds; deflated ones could.
  if info.compress_type != zipfile.ZIP_STORED:
    raise ArchiveError(f"member {name!r} is compressed, wanted stored")
  with archive.open(info) as member:
    content = member.read(info.compress_size)
  return _parse_array(name, content)


def _parse_array(name, content):
  stream = io.BytesIO(content)
  try:
    version = np.lib.format.read_magic(stream)
    readers = {
      (1, 0): np.lib.format.read_array_header_1_0,
      (2, 0): np.lib.format.read_array_header_2_0,
    }
    shape, fortran, dtype = readers[version](stream)
  except (KeyError, ValueError):
    raise ArchiveError(f"member {name!r} is not an array") from None
  wanted = np.dtype(_DTYPES[name])
  if dtype != wanted or fortran or any(length < 0 for length in shape):
    raise ArchiveError(f"member {name!r} is {dtype}, wanted {wanted}")
  size = math.prod(shape) * dtype.itemsize
  have = len(content) - stream.tell()
  if size != have:
    raise ArchiveError(f"member {name!r} claims {size} bytes, holds {have}")
  return np.frombuffer(content, dtype, offset=stream.tell()).reshape(shape)


def _read_header(members):
  header = members.get("header")
  try:
    header = json.loads(header.tobytes().decode("utf-8"))
    known = header.pop("format") == FORMAT
    version = int(header.pop("version"))
  except (AttributeError, KeyError, TypeError, ValueError):
    known = False
  if not known:
    raise ArchiveError("not a model archive: no header of ours")
  if version > VERSION:
    raise ArchiveError(
      f"format version {version} is newer than this program's {VERSION}; "
      "update facerec_jax"
    )
  if set(header) != set(_NAMES):
    raise ArchiveError(f"header has {sorted(header)}, wanted {sorted(_NAMES)}")
  return {
    name: tuple(value) if isinstance(value, list) else value
    for name, value in header.items()
  }


def _header(model):
  names = {name: getattr(model, name) for name in _NAMES}
  return json.dumps({"format": FORMAT, "version": VERSION} | names)


def _text(text):
  return np.frombuffer(text.encode("utf-8"), np.uint8)


def _digest(members):
  """SHA-256 over names, types, shapes and contents, in order of names."""
  digest = hashlib.sha256()
  for name in sorted(members):
    value = np.ascontiguousarray(members[name])
    digest.update(f"{name} {value.dtype.str} {value.shape}\n".encode())
    digest.update(value.tobytes())
  return digest.digest()
