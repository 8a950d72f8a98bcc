"""The expressions of codes that facerec_jax.reconstruct wrote."""

from __future__ import annotations

from collections.abc import Mapping
import pathlib

import numpy as np

from facerec_jax import trained_expression
from facerec_jax.results import codes

FILE = "code.json"


def list_codes(path: pathlib.Path) -> list[pathlib.Path]:
  """The code.json that a path stands for: itself, or all inside a folder."""
  if path.suffix == ".json":
    return [path]
  return sorted(path.rglob(FILE)) if path.is_dir() else []


def read(
  recognizers: Mapping[bool, trained_expression.TrainedExpression],
  path: pathlib.Path,
) -> dict:
  """Names the expression of a code.

  Args:
    recognizers: for codes that were not refined (False), and that were (True).
    path: of the code.

  Returns:
    A record as of `photo_expressions.Reader.read`; no faces, but a message,
    where the file is no code of the network's face model.
  """
  record = {"file": str(path), "message": "", "faces": []}
  try:
    recognizer, code = _read_code(recognizers, path)
  except codes.CodeFileError as error:
    return record | {"message": str(error)}
  return record | {"faces": [recognizer.predict(code[None]).describe(0)]}


def _read_code(recognizers, path):
  """The network for a file's kind of code, and the code."""
  content, groups = codes.read_groups(path, ["expression"])
  recognizer, code = recognizers["refinement" in content], groups["expression"]
  name = content["morphable_model"]
  if (name, code.shape) != (recognizer.model_name, (recognizer.size,)):
    raise codes.CodeFileError(
      f"{path}: {code.size} expression numbers of {name!r}, but the network "
      f"reads {recognizer.size} of {recognizer.model_name!r}"
    )
  if not np.isfinite(code).all():
    raise codes.CodeFileError(f"{path}: the expression is not finite")
  return recognizer, code
