"""Face models on disk and the built-in one; each becomes a MorphableModel."""

from __future__ import annotations

import hashlib
import os
import pathlib

from absl import logging

from facerec_jax.face.morphable_model import MorphableModel
from facerec_jax.model_files import archive
from facerec_jax.model_files import builtin

BUILTIN = "builtin"
_CHUNK = 1 << 20
_SOURCE = pathlib.Path(__file__).parent


def load(name_or_path: str | os.PathLike) -> MorphableModel:
  """Loads a face model by name, from an archive or from a file of others.

  Args:
    name_or_path: "builtin" (made on first use, then cached), the path of an
      archive that `archive.save` wrote, or of a face model in one of the
      formats of `formats.FORMATS` (imported with default options on first use,
      then cached by its content).

  Raises:
    ValueError: no such model or file, or the file is not sound.
  """
  name = os.fspath(name_or_path)
  if name == BUILTIN:
    return builtin.load()
  if not os.path.isfile(name) and not os.path.isdir(name):
    raise ValueError(
      f"face model {name!r}: got neither {BUILTIN!r} nor an existing file; "
      "pass the path of a model archive (.npz) or of a model to import"
    )
  if os.path.isfile(name) and archive.is_archive(name):
    return archive.load(name)
  return _imported(name)


def _imported(path):
  # Only reading other formats needs their libraries.
  from facerec_jax.model_files import formats
  from facerec_jax.model_files import importing

  if formats.recognise(path) is None and os.path.isfile(path):
    # Says what is wrong with what may have been an archive.
    return archive.load(path)
  cached = builtin.cache_folder() / f"imported_{_fingerprint(path)}.npz"
  if cached.is_file():
    try:
      return archive.load(cached)
    except archive.ArchiveError as error:
      logging.warning("%s is imported anew: %s", path, error)
  result = importing.import_model(path, builtin.load())
  for line in result.card:
    logging.info("%s", line)
  try:
    cached.parent.mkdir(parents=True, exist_ok=True)
    archive.save(cached, result.model, provenance=result.provenance)
  except OSError as error:
    logging.warning("%s is not kept: %s", path, error)
  # Through the archive's rounding: the first run sees what later runs see.
  return archive.decode(
    archive.encode(result.model, provenance=result.provenance)
  )


def _fingerprint(path):
  """Hash of a file or folder, of this package and of the built-in face."""
  digest = hashlib.sha256(builtin.fingerprint().encode())
  for source in sorted([*_SOURCE.glob("*.py"), *_SOURCE.glob("formats/*.py")]):
    digest.update(source.read_bytes())
  files = [pathlib.Path(path)]
  if os.path.isdir(path):
    files = sorted(f for f in pathlib.Path(path).rglob("*.obj") if f.is_file())
  for file in files:
    digest.update(file.name.encode())
    with open(file, "rb") as stream:
      while chunk := stream.read(_CHUNK):
        digest.update(chunk)
  return digest.hexdigest()[:16]
