"""Photographs with the names of their expressions: folders and manifests."""

from __future__ import annotations

from collections.abc import Mapping
import csv
import dataclasses
import itertools
import json
import os
import pathlib
import re

from facerec_jax import messages
from facerec_jax.photos import reading
from facerec_jax.synthesis import emotions

# What data sets call the classes, beside their own names.
_SYNONYMS = {
  "anger": ("angry", "an", "ang"),
  "disgust": ("disgusted", "di", "dis"),
  "fear": ("fearful", "afraid", "fe", "fea"),
  "happiness": ("happy", "joy", "smile", "smiling", "ha", "hap"),
  "neutral": ("ne", "neu", "none"),
  "sadness": ("sad", "sa"),
  "surprise": ("surprised", "su", "sur"),
}
_CLASS_OF = {
  name: label
  for label in emotions.CLASSES
  for name in (label, *_SYNONYMS[label])
}
_FILE_KEYS = ("file", "path", "image", "filename", "photo")
_LABEL_KEYS = ("label", "expression", "emotion", "class")
_MANIFESTS = ("manifest.json", "manifest.csv")
# A folder with the frames of one video that starts and ends at rest.
_TAKE = re.compile(r"take[ _-]?\d*$", re.IGNORECASE)


class LabelError(ValueError):
  """Labelled photographs cannot be listed; the message says why."""


@dataclasses.dataclass(frozen=True)
class LabelledPhoto:
  """A photograph and what it shows.

  Attributes:
    path: of the file.
    label: one of `emotions.CLASSES`.
  """

  path: pathlib.Path
  label: str


def find_class(name: str) -> str | None:
  """The class that a label, in any case, means; None for none of ours."""
  return _CLASS_OF.get(str(name).strip().casefold())


def list_labelled(
  path: str | os.PathLike,
) -> tuple[list[LabelledPhoto], list[str]]:
  """The labelled photographs of a manifest or of a folder.

  * A manifest: CSV with a header, or JSON: a list of objects (alone, or as the
    one such list of an object), or a map from file to label. Columns `file`
    and `label` (or `expression`, `emotion`); files relative to the manifest.
  * A folder with `manifest.json` or `manifest.csv`.
  * A folder of folders named by class, at any depth, such as MUG's
    001/anger/take000/img_0010.jpg. Of a folder `take...`, the frames of a video
    from rest to rest, the one in the middle is taken.

  Args:
    path: of the manifest or folder.

  Returns:
    (photographs, one line for each entry that was left out).

  Raises:
    LabelError: nothing is there, it cannot be read, or no entry is usable.
  """
  path = pathlib.Path(path)
  if not path.exists():
    raise LabelError(f"{path}: no such manifest or folder")
  manifest = path
  if path.is_dir():
    inside = [path / name for name in _MANIFESTS if (path / name).is_file()]
    manifest = inside[0] if inside else None
  if manifest is None:
    photos, problems = _from_folders(path)
  else:
    photos, problems = _from_entries(manifest, _read_manifest(manifest))
  if not photos:
    reason = f": {problems[0]}" if problems else ""
    raise LabelError(
      f"{path}: no labelled photograph{reason}; wanted folders named "
      f"{', '.join(emotions.CLASSES)}, or a manifest with file and label"
    )
  return photos, problems


def _from_folders(root):
  photos, unnamed = [], 0
  files = sorted(f for f in root.rglob("*") if _is_photo(f, root))
  for folder, group in itertools.groupby(files, key=lambda f: f.parent):
    group = list(group)
    names = reversed(folder.relative_to(root).parts)
    label = next(filter(None, map(find_class, names)), None)
    if label is None:
      unnamed += len(group)
      continue
    if _TAKE.match(folder.name):
      group = [sorted(group, key=_natural)[len(group) // 2]]
    photos += [LabelledPhoto(file, label) for file in group]
  problems = []
  if unnamed:
    problems = [f"{unnamed} photograph(s) lie in no folder named by a class"]
  return photos, problems


def _is_photo(file, root):
  hidden = any(part.startswith(".") for part in file.relative_to(root).parts)
  return (
    file.suffix.lower() in reading.EXTENSIONS and not hidden and file.is_file()
  )


def _natural(path):
  """Frame 9 comes before frame 10, however they are written."""
  parts = re.split(r"(\d+)", path.name)
  return [int(part) if part.isdigit() else part for part in parts]


def _read_manifest(path) -> list[tuple[str, str | None, str | None]]:
  """(where, file, label) of every entry; None for what an entry lacks."""
  try:
    text = path.read_text("utf-8-sig")
    if path.suffix.lower() == ".json":
      return _json_entries(path, json.loads(text))
    return _csv_entries(path, text)
  except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
    raise LabelError(
      f"{path}: not a manifest in UTF-8 ({messages.one_line(error)})"
    ) from error


def _csv_entries(path, text):
  rows = csv.DictReader(text.splitlines())
  columns = [name.strip().casefold() for name in rows.fieldnames or ()]
  rows.fieldnames = columns
  for keys in (_FILE_KEYS, _LABEL_KEYS):
    _check_column(path, columns, keys)
  return [
    (f"line {number}", _value(row, _FILE_KEYS), _value(row, _LABEL_KEYS))
    for number, row in enumerate(rows, start=2)
  ]


def _check_column(path, columns, wanted):
  if not set(columns) & set(wanted):
    raise LabelError(
      f"{path}: no column {' or '.join(wanted[:2])}; got "
      f"{', '.join(columns) or 'an empty file'}"
    )


def _json_entries(path, content):
  if isinstance(content, Mapping):
    lists = [v for v in content.values() if isinstance(v, list)]
    lists = [v for v in lists if all(isinstance(e, Mapping) for e in v)]
    if len(lists) == 1:
      content = lists[0]
    elif all(isinstance(value, str) for value in content.values()):
      content = [{"file": k, "label": v} for k, v in content.items()]
  if not isinstance(content, list):
    raise LabelError(
      f"{path}: wanted a list of objects with file and label, or a map from "
      "file to label"
    )
  entries = [entry if isinstance(entry, Mapping) else {} for entry in content]
  return [
    (f"entry {number}", _value(entry, _FILE_KEYS), _value(entry, _LABEL_KEYS))
    for number, entry in enumerate(entries, start=1)
  ]


def _value(row, keys):
  found = (row[key] for key in keys if isinstance(row.get(key), str))
  return next((value.strip() for value in found if value.strip()), None)


def _from_entries(manifest, entries):
  photos, problems = {}, []
  for where, file, name in entries:
    label = None if name is None else find_class(name)
    if file is None or name is None:
      problems.append(f"{where}: no {'file' if file is None else 'label'}")
    elif label is None:
      problems.append(
        f"{where}: label {name!r} is none of {', '.join(emotions.CLASSES)}"
      )
    elif photos.get(file, label) != label:
      problems.append(
        f"{where}: {file} is {label} here and {photos[file]} before"
      )
    else:
      photos[file] = label
  return [
    LabelledPhoto(manifest.parent / file, label)
    for file, label in photos.items()
  ], problems
