"""A face's code as files: code.json for people, code.npz for programs."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Mapping
import json
import math
import os
import pathlib
import re
from typing import Any

import numpy as np

from facerec_jax import messages
from facerec_jax.face import code_vector
from facerec_jax.face import morphable_model
from facerec_jax.render import geometry

# Lists of numbers; between brackets of a string there is no line end.
_INNER_LIST = re.compile(r'\[\n[^\[\]{}"]*\]')
# In code.json: angle across the square that the encoder read, degrees, of the
# camera that took the photograph.
FIELD_OF_VIEW = "field_of_view_degrees"
_COEFFICIENTS = "standard deviations"
_UNITS = {
  "identity": _COEFFICIENTS,
  "expression": _COEFFICIENTS,
  "albedo": _COEFFICIENTS,
  "rotation": "radians: pitch (+ raises the chin), yaw (+ turns to the image "
  "right), roll (+ counter-clockwise)",
  "translation": "millimetres: x right, y up, z towards the camera",
  "illumination": "radiance, 9 spherical harmonics x linear RGB",
}


def write_code(
  folder: str | os.PathLike,
  model: morphable_model.MorphableModel,
  code: code_vector.CodeVector,
  *,
  facts: Mapping[str, Any],
  field_of_view: float = geometry.REFERENCE_FIELD_OF_VIEW,
) -> None:
  """Writes code.json and code.npz.

  Args:
    folder: an existing folder.
    model: that the code belongs to.
    code: without batch axes.
    facts: what else to store in code.json; its arrays go into code.npz, too.
    field_of_view: see `geometry.dolly_zoom`, radians.
  """
  folder = pathlib.Path(folder)
  groups = {name: np.asarray(getattr(code, name)) for name in _UNITS}
  arrays = {k: v for k, v in facts.items() if isinstance(v, np.ndarray)}
  camera = {FIELD_OF_VIEW: math.degrees(field_of_view)}
  np.savez(folder / "code.npz", **groups, **camera, **arrays)
  content = {"morphable_model": model.name, **groups, "units": units(model)}
  content |= camera
  for name in ("identity", "expression"):
    names = getattr(model, f"{name}_names")
    if names:
      content[f"{name}_names"] = names[: len(groups[name])]
  write_json(folder / "code.json", {**content, **facts})


class CodeFileError(ValueError):
  """A code file cannot be used; the message names it and the reason."""


def read_groups(
  path: str | os.PathLike, names: Iterable[str]
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
  """Reads groups of a code.json, whatever its face model and their sizes.

  Args:
    path: of the file.
    names: of the groups.

  Returns:
    (all that the file holds, the groups as float32 arrays).

  Raises:
    CodeFileError: no such file, or no code.
  """
  try:
    content = json.loads(pathlib.Path(path).read_text("utf-8"))
    content["morphable_model"]  # Raises where there is none.
    groups = {k: np.asarray(content[k], np.float32) for k in names}
  except (OSError, ValueError, KeyError, TypeError) as error:
    raise CodeFileError(
      f"{path}: no code that facerec_jax.reconstruct wrote "
      f"({type(error).__name__}: {messages.one_line(error)})"
    ) from error
  return content, groups


def read_code(
  path: str | os.PathLike, model_name: str, like: code_vector.CodeVector
) -> tuple[code_vector.CodeVector, dict[str, Any]]:
  """Reads code.json.

  Args:
    path: of the file.
    model_name: that the code must belong to.
    like: a code of the wanted sizes.

  Returns:
    The code, and all that the file holds.

  Raises:
    CodeFileError: no such file, no code, or one of another model.
  """
  content, groups = read_groups(path, _UNITS)
  if (name := content["morphable_model"]) != model_name:
    raise CodeFileError(
      f"{path}: a code of the face model {name!r}, but the encoder reads "
      f"codes of {model_name!r}"
    )
  for group, value in groups.items():
    wanted = np.shape(getattr(like, group))
    if value.shape != wanted:
      raise CodeFileError(
        f"{path}: {group} has the shape {value.shape}, but the encoder's "
        f"codes have {wanted}"
      )
    if not np.isfinite(value).all():
      raise CodeFileError(f"{path}: {group} is not finite")
  return code_vector.CodeVector(**groups), content


def field_of_view(path: str | os.PathLike, content: Mapping) -> float:
  """What a code.json says of the camera, see `geometry.dolly_zoom`.

  Args:
    path: of the file.
    content: all that it holds.

  Returns:
    Radians; the reference camera's where it says nothing.

  Raises:
    CodeFileError: it says what no camera has.
  """
  usual = math.degrees(geometry.REFERENCE_FIELD_OF_VIEW)
  degrees = content.get(FIELD_OF_VIEW, usual)
  if not isinstance(degrees, int | float) or not 0 < degrees < 180:
    raise CodeFileError(
      f"{path}: {FIELD_OF_VIEW} is {degrees!r}, wanted 0 to 180"
    )
  return math.radians(degrees)


def units(model: morphable_model.MorphableModel) -> dict[str, str]:
  """The unit of each group of a model's codes."""
  if model.expression_kind == "blendshape":
    return _UNITS | {"expression": "blendshape weights, 0 to 1"}
  return dict(_UNITS)


def write_json(path: str | os.PathLike, content: Any) -> None:
  """Writes JSON in one piece: whoever reads meets the old file or the new.

  Args:
    path: of the file.
    content: nested mappings and sequences; NumPy arrays and numbers, too. What
      is not finite becomes null, which JSON can hold.
  """
  path = pathlib.Path(path)
  text = json.dumps(_plain(content), indent=2, ensure_ascii=False)
  text = _INNER_LIST.sub(_on_one_line, text)
  partial = path.with_name(path.name + ".partial")
  partial.write_text(text + "\n", "utf-8")
  os.replace(partial, path)


def _on_one_line(match):
  return "[" + " ".join(match[0][1:-1].split()) + "]"


def _plain(value):
  if isinstance(value, Mapping):
    return {str(key): _plain(item) for key, item in value.items()}
  if isinstance(value, np.ndarray):
    return _plain(value.tolist() if value.dtype.kind != "f" else list(value))
  if isinstance(value, list | tuple):
    return [_plain(item) for item in value]
  if isinstance(value, float | np.floating):
    # Seven digits are all that float32 has.
    return float(f"{value:.7g}") if np.isfinite(value) else None
  return value.item() if isinstance(value, np.generic) else value
