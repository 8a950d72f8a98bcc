"""Our own file of a morphable model: a versioned, checked .npz archive.

An archive is an uncompressed zip of .npy members (`numpy.load` opens it):

  header          [n] uint8, JSON text: format, version, name, region_names,
                  identity_names, expression_names, expression_kind,
                  provenance (null, or as in `Provenance`; since version 2)
  mean            [V, 3] float32, mm
  identity        [V, 3, Ki] float16 (or float32, since version 2), in units of
                  `identity_scale`
  identity_scale  [Ki] float32, largest entry of each column, mm
  expression      [V, 3, Ke] likewise, `expression_scale` [Ke] float32
  albedo          [V, 3, Ka] likewise, `albedo_scale` [Ka] float32
  albedo_mean     [V, 3] float32;  occlusion [V] float32
  uv              [V, 2] float32, absent if the model has none
  triangles       [T, 3] int32;  landmarks [68] int32;  region [V] int32
  sha256          [32] uint8, of every other member (`_digest`)

Nothing is pickled. Every size that the file claims is compared with the bytes
that are there before anything is allocated.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import zipfile

import numpy as np

from facerec_jax.face import morphable_model
from facerec_jax.face.morphable_model import MorphableModel
from facerec_jax.model_files import archive_members

FORMAT = "facerec_jax morphable model"
VERSION = 2

ArchiveError = archive_members.ArchiveError

_NAMES = (
  "name",
  "region_names",
  "identity_names",
  "expression_names",
  "expression_kind",
)
_BASES = archive_members.BASES
_FLOATS = archive_members.FLOATS
_INDICES = archive_members.INDICES
_DTYPES = archive_members.DTYPES
_OPTIONAL = ("uv",)


@dataclasses.dataclass(frozen=True)
class Provenance:
  """Where an imported model comes from.

  Attributes:
    format: that it was read as.
    licence: one line.
    link: where to get the original.
    derived_landmarks: iBUG indices that were found by the import; the others
      are published ones.
    notes: what was left out or assumed.
  """

  format: str
  licence: str
  link: str = ""
  derived_landmarks: tuple[int, ...] = ()
  notes: tuple[str, ...] = ()


def save(
  path: str | os.PathLike,
  model: MorphableModel,
  *,
  provenance: Provenance | None = None,
  precision: str = "float16",
) -> None:
  """Writes a model; the file appears complete or not at all.

  Args:
    path: of the archive, replaced if it exists.
    model: the morphable model.
    provenance: of an imported model.
    precision: of the bases, "float16" or "float32".
  """
  path = os.fspath(path)
  data = encode(model, provenance=provenance, precision=precision)
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


def is_archive(path: str | os.PathLike) -> bool:
  """Whether a file has the names of an archive's members."""
  try:
    with zipfile.ZipFile(path) as file:
      return {"header.npy", "sha256.npy"} <= set(file.namelist())
  except archive_members.ZIP_ERRORS:
    return False


def load(path: str | os.PathLike) -> MorphableModel:
  """Reads a model.

  Raises:
    ArchiveError: the file is no archive of ours, is newer than this program,
      is cut short, or was changed after it was written.
  """
  path = os.fspath(path)
  with open(path, "rb") as file:
    return decode(file.read(), path)


def load_provenance(path: str | os.PathLike) -> Provenance | None:
  """Where an archive's model comes from; None if it was not imported.

  Raises:
    ArchiveError: see `load`.
  """
  path = os.fspath(path)
  try:
    with open(path, "rb") as file:
      header = _read_header(archive_members.read(file.read()))
  except ArchiveError as error:
    raise ArchiveError(f"{path}: {error}") from None
  return header["provenance"]


def encode(
  model: MorphableModel,
  *,
  provenance: Provenance | None = None,
  precision: str = "float16",
) -> bytes:
  """The bytes of an archive, see `save`; equal models give equal bytes."""
  if precision not in archive_members.PRECISIONS:
    raise ValueError(
      f"precision {precision!r} is none of {archive_members.PRECISIONS}"
    )
  members = {"header": _text(_header(model, provenance))}
  for name in _FLOATS + _INDICES:
    value = getattr(model, name)
    if value is not None:
      members[name] = np.asarray(value, _DTYPES[name])
  for name in _BASES:
    basis = np.asarray(getattr(model, name), np.float32)
    scale = np.abs(basis).max(axis=(0, 1), initial=0.0)
    scale = np.where(scale > 0, scale, np.float32(1)).astype(np.float32)
    members[name] = (basis / scale).astype(precision)
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
  members = archive_members.read(data)
  header = _read_header(members)
  del header["provenance"]
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
  provenance = header.pop("provenance", None)
  if set(header) != set(_NAMES):
    raise ArchiveError(f"header has {sorted(header)}, wanted {sorted(_NAMES)}")
  fields = {name: _tuple(value) for name, value in header.items()}
  return fields | {"provenance": _read_provenance(provenance)}


def _tuple(value):
  return tuple(value) if isinstance(value, list) else value


def _read_provenance(content):
  if content is None:
    return None
  try:
    return Provenance(**{k: _tuple(v) for k, v in content.items()})
  except (AttributeError, TypeError):
    raise ArchiveError("header: provenance is not sound") from None


def _header(model, provenance):
  names = {name: getattr(model, name) for name in _NAMES}
  origin = None if provenance is None else dataclasses.asdict(provenance)
  return json.dumps(
    {"format": FORMAT, "version": VERSION} | names | {"provenance": origin}
  )


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
