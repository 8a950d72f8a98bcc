"""Face models on disk and the built-in one; each becomes a MorphableModel."""

from __future__ import annotations

import os

from facerec_jax.face.morphable_model import MorphableModel
from facerec_jax.model_files import archive
from facerec_jax.model_files import builtin

BUILTIN = "builtin"


def load(name_or_path: str | os.PathLike) -> MorphableModel:
  """Loads a face model by name or from an archive.

  Args:
    name_or_path: "builtin" (made on first use, then cached), or the path of an
      archive that `archive.save` wrote.

  Raises:
    ValueError: no such model or file, or the file is not a sound archive.
  """
  name = os.fspath(name_or_path)
  if name == BUILTIN:
    return builtin.load()
  if not os.path.isfile(name):
    raise ValueError(
      f"face model {name!r}: got neither {BUILTIN!r} nor an existing file; "
      "pass the path of a model archive (.npz)"
    )
  return archive.load(name)
