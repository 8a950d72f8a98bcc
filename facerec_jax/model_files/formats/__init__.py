"""Face models of others: one module a format, recognised by content."""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
import json
import os

import numpy as np

from facerec_jax import messages
from facerec_jax.model_files.formats import basel
from facerec_jax.model_files.formats import flame
from facerec_jax.model_files.formats import flame_extras
from facerec_jax.model_files.formats import gnm
from facerec_jax.model_files.formats import ict
from facerec_jax.model_files.formats import raw_model
from facerec_jax.model_files.formats import statismo
from facerec_jax.model_files.formats import surrey

FormatError = raw_model.FormatError
RawModel = raw_model.RawModel

_MAX_JSON = 1 << 20


@dataclasses.dataclass(frozen=True)
class Extras:
  """Files and choices beside the model's own file.

  Attributes:
    expression_file: Basel 2009: Exp_Pca.bin; Surrey: the blendshapes.
    texture_file: FLAME: a texture space.
    landmark_file: FLAME: an embedding; GNM: head_sparse_68.txt; any: JSON
      {"iBUG index, 0 to 67": vertex}.
    jaw: FLAME: offer the jaw as an expression coefficient.
  """

  expression_file: str | None = None
  texture_file: str | None = None
  landmark_file: str | None = None
  jaw: bool = True


def _read_flame(path, extras):
  model = flame.read(path, jaw=extras.jaw)
  if extras.texture_file is not None:
    model = flame_extras.with_texture(model, extras.texture_file)
  return model


# Format -> (does it recognise a path, reader), in order of trial.
FORMATS: dict[str, tuple[Callable, Callable]] = {
  "ict-folder": (ict.recognises_folder, lambda path, _: ict.read_folder(path)),
  "ict": (ict.recognises_npz, lambda path, _: ict.read_npz(path)),
  "gnm": (gnm.recognises, lambda path, _: gnm.read(path)),
  "basel": (basel.recognises_hdf5, lambda path, _: basel.read_hdf5(path)),
  "statismo": (statismo.recognises, lambda path, _: statismo.read(path)),
  "basel2009": (
    basel.recognises_2009,
    lambda path, extras: basel.read_2009(path, extras.expression_file),
  ),
  "flame": (flame.recognises, _read_flame),
  "surrey": (
    surrey.recognises,
    lambda path, extras: surrey.read(path, extras.expression_file),
  ),
}


def recognise(path: str | os.PathLike) -> str | None:
  """The format of a file or folder by its content; None if it is of none.

  Raises:
    FormatError: the file cannot be opened.
  """
  try:
    for name, (recognises, _) in FORMATS.items():
      if recognises(path):
        return name
  except FormatError as error:
    raise FormatError(f"{os.fspath(path)}: {error}") from None
  except OSError as error:
    raise FormatError(f"{os.fspath(path)}: {error.strerror}") from None
  return None


def read(
  path: str | os.PathLike, name: str | None = None, extras: Extras | None = None
) -> RawModel:
  """Reads a face model of any known format.

  Args:
    path: of the file or folder.
    name: of the format, or None to recognise it.
    extras: further files.

  Returns:
    The model, checked, in its own units.

  Raises:
    FormatError: no such file or format, or the file is not sound.
  """
  path = os.fspath(path)
  if not os.path.isfile(path) and not os.path.isdir(path):
    raise FormatError(f"{path}: no such file or folder")
  name = name or recognise(path)
  if name is None:
    raise FormatError(
      f"{path}: not recognised as one of {', '.join(FORMATS)}; name the format "
      "by --format if it is one of these"
    )
  try:
    model = FORMATS[name][1](path, extras or Extras())
    return raw_model.checked(model)
  except (FormatError, OSError, MemoryError) as error:
    text = messages.one_line(error)
    raise FormatError(f"{path}: {text} (read as {name})") from None


def landmark_points(
  path: str | os.PathLike, model: RawModel
) -> tuple[np.ndarray, np.ndarray]:
  """Reads a landmark file for a model (see `Extras`).

  Args:
    path: of the file.
    model: that its indices refer to.

  Returns:
    (iBUG indices [n], points [n, 3] on the model's mean).

  Raises:
    FormatError: the file is not sound, or for another mesh.
  """
  path = os.fspath(path)
  if not os.path.isfile(path):
    raise FormatError(f"{path}: no such file")
  if path.endswith(".json"):
    numbers, vertices = _from_json(path)
    raw_model.check_indices(f"{path}: vertices", vertices, len(model.mean))
    return numbers, model.mean[vertices]
  if path.endswith(".txt"):
    return np.arange(68), gnm.read_landmarks(path, model.mean)
  numbers, triangle, weight = flame_extras.read_embedding(path)
  raw_model.check_indices(f"{path}: triangles", triangle, len(model.triangles))
  corners = model.mean[model.triangles[triangle]]
  return numbers, (corners * weight[..., None]).sum(axis=1)


def _from_json(path):
  try:
    if os.path.getsize(path) > _MAX_JSON:
      raise ValueError
    with open(path, encoding="utf-8") as file:
      table = {int(k): int(v) for k, v in json.load(file).items()}
  except (ValueError, TypeError, AttributeError):
    raise FormatError(
      f'{path}: wanted JSON {{"iBUG index": vertex, ...}}'
    ) from None
  numbers = np.array(list(table), np.int64)
  raw_model.check_indices(f"{path}: landmarks", numbers, 68)
  return numbers, np.array(list(table.values()), np.int64)
