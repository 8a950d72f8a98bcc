"""The built-in face: sculpted by code from published measurements alone.

`build.build` makes it (about ten seconds, needs scipy); `load` makes it once
and then reads the archive in the user's cache folder, whose name carries a
fingerprint of this package's source and data.
"""

from __future__ import annotations

import hashlib
import os
import pathlib

from absl import logging

from facerec_jax.face.morphable_model import MorphableModel
from facerec_jax.model_files import archive

_FOLDER = pathlib.Path(__file__).parent


def load() -> MorphableModel:
  """The built-in face, from the cache where it is there."""
  path = cache_folder() / f"builtin_face_{fingerprint()}.npz"
  if path.is_file():
    try:
      return archive.load(path)
    except archive.ArchiveError as error:
      logging.warning("built-in face is made anew: %s", error)
  return _make(path)


def _make(path):
  # Only making the face needs scipy.
  from facerec_jax.model_files.builtin import build

  logging.info("making the built-in face (once): %s", path)
  model = build.build()
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    archive.save(path, model)
  except OSError as error:
    logging.warning("built-in face is not kept: %s", error)
  # Through the archive's rounding: the first run sees what later runs see.
  return archive.decode(archive.encode(model))


def cache_folder() -> pathlib.Path:
  """$FACEREC_CACHE, else facerec_jax in the user's cache folder."""
  if os.environ.get("FACEREC_CACHE"):
    return pathlib.Path(os.environ["FACEREC_CACHE"])
  base = os.environ.get("XDG_CACHE_HOME")
  return (pathlib.Path(base) if base else pathlib.Path.home() / ".cache") / (
    "facerec_jax"
  )


def fingerprint() -> str:
  """Hash of this package's source and data: changes whenever the face may."""
  digest = hashlib.sha256()
  files = [*_FOLDER.glob("*.py"), *_FOLDER.glob("data/*.json")]
  for path in sorted(files):
    digest.update(path.name.encode() + b"\n" + path.read_bytes())
  return digest.hexdigest()[:16]
