"""The expressions of codes that facerec_jax.reconstruct wrote."""

from __future__ import annotations

from collections.abc import Mapping
import json
import pathlib

import numpy as np

from facerec_jax import trained_expression

FILE = "code.json"


class CodeError(ValueError):
  """A code file cannot be used; the message names it and the reason."""


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
    content = _read_content(path)
    recognizer = recognizers["refinement" in content]
    code = _find_code(recognizer, path, content)
  except CodeError as error:
    return record | {"message": str(error)}
  return record | {"faces": [recognizer.predict(code[None]).describe(0)]}


def _read_content(path):
  try:
    content = json.loads(path.read_text("utf-8"))
  except (OSError, ValueError) as error:
    raise _no_code(path, error) from error
  if not isinstance(content, dict):
    raise _no_code(path, TypeError("no object"))
  return content


def _no_code(path, error):
  return CodeError(
    f"{path}: no code that facerec_jax.reconstruct wrote "
    f"({type(error).__name__}: {' '.join(str(error).split())})"
  )


def _find_code(recognizer, path, content):
  try:
    name = content["morphable_model"]
    code = np.asarray(content["expression"], np.float32)
  except (ValueError, KeyError, TypeError) as error:
    raise _no_code(path, error) from error
  if (name, code.shape) != (recognizer.model_name, (recognizer.size,)):
    raise CodeError(
      f"{path}: {code.size} expression numbers of {name!r}, but the network "
      f"reads {recognizer.size} of {recognizer.model_name!r}"
    )
  if not np.isfinite(code).all():
    raise CodeError(f"{path}: the expression is not finite")
  return code
