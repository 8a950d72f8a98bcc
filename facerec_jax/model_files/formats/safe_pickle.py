"""Reads the arrays of a pickle without running anything that it names.

A pickle is a program: it may name any function of any module and call it. Here
every name is looked up in a short table; what stands there are inert classes of
this file that only hold what they are given. Neither NumPy nor SciPy is called
until the pickle is at its end and its arrays are checked. What is not in the
table is refused by name.
"""

from __future__ import annotations

import io

# The pure Python unpickler: its memory grows with the file alone, where the C
# one allocates what a single hostile opcode asks for.
import pickle
from typing import Any

import numpy as np

from facerec_jax import messages
from facerec_jax.model_files.formats import raw_model

FormatError = raw_model.FormatError

_MAX_DEPTH = 20


class _Dtype:
  """Stands for numpy.dtype."""

  def __init__(self, code="", *_):
    self.code, self.order = str(code), "<"

  def __setstate__(self, state):
    order = state[1] if len(state) > 1 else "<"
    self.order = order if order in ("<", ">", "=", "|") else "<"

  def resolve(self) -> np.dtype | None:
    """The type, if it is one of plain numbers."""
    code = self.code.lstrip("<>=|")
    if code[:1] not in ("b", "i", "u", "f") or not code[1:].isdigit():
      return None
    order = "=" if self.order == "|" else self.order
    try:
      return np.dtype(order + code)
    except TypeError:
      return None


class _Array:
  """Stands for numpy.ndarray while it is put together."""

  def __init__(self, *_):
    self.state = None

  def __setstate__(self, state):
    self.state = state

  def resolve(self):
    """The array; objects inside an array of objects as a list."""
    if not isinstance(self.state, tuple) or len(self.state) < 4:
      raise FormatError("pickle: an array without content")
    shape, dtype, fortran, content = self.state[-4:]
    kind = dtype.resolve() if isinstance(dtype, _Dtype) else None
    if kind is None:
      return content if isinstance(content, list) else None
    return _from_bytes(content, kind, shape, "F" if fortran else "C")


class _Sparse:
  """Stands for scipy.sparse's matrices: their parts, by name."""

  def __init__(self, *_):
    self.parts = {}

  def __setstate__(self, state):
    self.parts = dict(state) if isinstance(state, dict) else {}


class _SparseByColumn(_Sparse):
  """Stands for scipy.sparse's matrices that are compressed by columns."""


class _Chumpy:
  """Stands for chumpy's array: what it is made of, by name."""

  def __init__(self, *_):
    self.parts = {}

  def __setstate__(self, state):
    self.parts = dict(state) if isinstance(state, dict) else {"x": state}


class _Ignored:
  """Stands for what a model file may carry along and nobody reads."""

  def __init__(self, *_):
    pass

  def __setstate__(self, _):
    pass


def _from_bytes(content, dtype, shape, order="C"):
  if isinstance(content, str):
    # Bytes of Python 2.
    content = content.encode("latin1", "replace")
  if not isinstance(content, bytes | bytearray):
    raise FormatError("pickle: an array whose content is not bytes")
  raw_model.check_size("pickle: an array", shape, dtype.itemsize)
  size = dtype.itemsize * int(np.prod(shape, dtype=np.int64))
  if size != len(content):
    raise FormatError(
      f"pickle: an array claims {size} bytes, holds {len(content)}"
    )
  return np.frombuffer(content, dtype).reshape(shape, order=order)


def _reconstruct(*_):
  return _Array()


def _reconstructor(kind=_Ignored, *_):
  if kind not in _TABLE.values():
    raise FormatError("pickle: copyreg._reconstructor of an unknown class")
  return kind()


def _frombuffer(content, dtype, shape, order="C"):
  kind = dtype.resolve() if isinstance(dtype, _Dtype) else None
  if kind is None or order not in ("C", "F"):
    raise FormatError("pickle: an array of an unknown type")
  return _from_bytes(content, kind, shape, order)


def _scalar(dtype, content=b""):
  kind = dtype.resolve() if isinstance(dtype, _Dtype) else None
  return None if kind is None else _from_bytes(content, kind, ())


def _encode(text, encoding="latin1"):
  if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
    raise FormatError("pickle: text in an unknown encoding")
  return text.encode("latin1", "replace")


def _names():
  table = {
    ("_codecs", "encode"): _encode,
    ("numpy", "dtype"): _Dtype,
    ("numpy", "ndarray"): _Array,
    ("__builtin__", "object"): _Ignored,
    ("builtins", "object"): _Ignored,
    ("copy_reg", "_reconstructor"): _reconstructor,
    ("copyreg", "_reconstructor"): _reconstructor,
    ("collections", "OrderedDict"): dict,
    ("torch._utils", "_rebuild_tensor_v2"): _Ignored,
    ("torch.storage", "_load_from_bytes"): _Ignored,
    ("chumpy.ch", "Ch"): _Chumpy,
    ("chumpy", "Ch"): _Chumpy,
    ("chumpy.reordering", "Select"): _Chumpy,
  }
  for core in ("numpy.core", "numpy._core"):
    table[f"{core}.multiarray", "_reconstruct"] = _reconstruct
    table[f"{core}.multiarray", "scalar"] = _scalar
    table[f"{core}.numeric", "_frombuffer"] = _frombuffer
  for kind in ("csc", "csr", "coo"):
    for module in (f"scipy.sparse.{kind}", f"scipy.sparse._{kind}"):
      for suffix in ("matrix", "array"):
        stand_in = _SparseByColumn if kind == "csc" else _Sparse
        table[module, f"{kind}_{suffix}"] = stand_in
  return table


_TABLE = _names()


class _Unpickler(pickle._Unpickler):
  """Knows the names of the table only."""

  def find_class(self, module, name):
    """The stand-in of a name."""
    found = _TABLE.get((module, name))
    if found is None:
      raise FormatError(
        f"pickle names {module}.{name}: only arrays are read from pickles, "
        "nothing is executed"
      )
    return found


def loads(data: bytes) -> Any:
  """The content of a pickle: dicts, lists, text, numbers and arrays.

  Sparse matrices come out as dense arrays, chumpy's arrays as plain ones.

  Args:
    data: the pickle, of any protocol.

  Raises:
    FormatError: it names something that is not an array, or is damaged.
  """
  try:
    content = _Unpickler(io.BytesIO(data), encoding="latin1").load()
    return _plain(content, 0)
  except FormatError:
    raise
  except Exception as error:  # Damaged pickles fail in every way there is.
    text = messages.one_line(error)
    raise FormatError(f"pickle is damaged: {text[:120]}") from None


def _plain(value, depth):
  if depth > _MAX_DEPTH:
    raise FormatError("pickle is nested too deeply")
  if isinstance(value, _Array):
    value = value.resolve()
  if isinstance(value, _Sparse):
    return _dense(value.parts, isinstance(value, _SparseByColumn))
  if isinstance(value, _Chumpy):
    return _plain(_chumpy_content(value.parts), depth + 1)
  if isinstance(value, dict):
    return {str(k): _plain(v, depth + 1) for k, v in value.items()}
  if isinstance(value, list | tuple):
    return [_plain(item, depth + 1) for item in value]
  return value


def _chumpy_content(parts):
  """The array of a chumpy object, or of a selection of another one."""
  if "x" in parts:
    return parts["x"]
  source, index = parts.get("a"), parts.get("idxs")
  if source is None or index is None:
    return None
  source, index = _plain(source, 1), _plain(index, 1)
  if not isinstance(source, np.ndarray) or not isinstance(index, np.ndarray):
    return None
  raw_model.check_indices("pickle: selection", index, source.size)
  return source.ravel()[index]


def _dense(parts, by_column):
  """[rows, columns] of the parts of a compressed or coordinate matrix."""
  get = {key: _plain(value, 1) for key, value in parts.items()}
  shape = tuple(int(n) for n in get.get("_shape") or get.get("shape") or ())
  if len(shape) != 2 or not isinstance(get.get("data"), np.ndarray):
    raise FormatError("pickle: a sparse matrix without content")
  raw_model.check_size("pickle: a sparse matrix", shape, 8)
  data = get["data"]
  if "indptr" in get:
    counts = np.diff(get["indptr"])
    if (counts < 0).any() or counts.sum() != len(get["indices"]):
      raise FormatError("pickle: a sparse matrix with wrong row starts")
    major, minor = np.repeat(np.arange(len(counts)), counts), get["indices"]
  else:
    major, minor = get.get("row"), get.get("col")
  if (
    major is None or minor is None or not len(major) == len(minor) == len(data)
  ):
    raise FormatError("pickle: a sparse matrix whose parts do not match")
  row, column = (minor, major) if by_column else (major, minor)
  raw_model.check_indices("pickle: sparse rows", row, shape[0])
  raw_model.check_indices("pickle: sparse columns", column, shape[1])
  dense = np.zeros(shape)
  np.add.at(dense, (row, column), data)
  return dense
