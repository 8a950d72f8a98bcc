"""The arrays inside a model archive: their types, and reading them safely."""

from __future__ import annotations

import io
import math
import struct
import tokenize
import zipfile

import numpy as np

BASES = ("identity", "expression", "albedo")
FLOATS = ("mean", "albedo_mean", "occlusion", "uv")
INDICES = ("triangles", "landmarks", "region")
PRECISIONS = ("float16", "float32")
DTYPES = (
  dict.fromkeys(BASES, np.float16)
  | dict.fromkeys([f"{name}_scale" for name in BASES], np.float32)
  | dict.fromkeys(FLOATS, np.float32)
  | dict.fromkeys(INDICES, np.int32)
  | dict.fromkeys(("header", "sha256"), np.uint8)
)
# What zipfile raises on damaged files: wrong checksums and offsets, flags of
# encryption or of unknown methods, names that are no text.
ZIP_ERRORS = (
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


def read(data: bytes) -> dict[str, np.ndarray]:
  """The members of an archive by name.

  Raises:
    ArchiveError: it is no archive, is cut short, or claims what it does not
      hold.
  """
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
  except ZIP_ERRORS as error:
    raise ArchiveError(f"damaged: {error}") from None


def _read_member(archive, info):
  name = info.filename.removesuffix(".npy")
  if name not in DTYPES:
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
  except (KeyError, ValueError, TypeError, SyntaxError, tokenize.TokenError):
    raise ArchiveError(f"member {name!r} is not an array") from None
  wanted = np.dtype(DTYPES[name])
  if name in BASES and dtype.name in PRECISIONS:
    wanted = dtype
  if dtype != wanted or fortran or any(length < 0 for length in shape):
    raise ArchiveError(f"member {name!r} is {dtype}, wanted {wanted}")
  size = math.prod(shape) * dtype.itemsize
  have = len(content) - stream.tell()
  if size != have:
    raise ArchiveError(f"member {name!r} claims {size} bytes, holds {have}")
  return np.frombuffer(content, dtype, offset=stream.tell()).reshape(shape)
