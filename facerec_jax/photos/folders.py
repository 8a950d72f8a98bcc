"""Folders of photographs: which files, of which class, of which person."""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import hashlib
import os
import pathlib
import re

from facerec_jax.photos import reading

# Label of photographs without a class.
UNLABELLED = "unlabelled"


@dataclasses.dataclass(frozen=True)
class Source:
  """A file and what its place says of it.

  Attributes:
    path: of the file.
    name: path relative to the searched folder, with "/".
    label: the class, or `UNLABELLED`.
    person: photographs of one person are never split between what is adapted
      to and what is held out.
  """

  path: pathlib.Path
  name: str
  label: str
  person: str


def find(folder: str | os.PathLike, pattern: str | None = None) -> list[Source]:
  """Finds the photographs of a folder and of all folders inside.

  Without a pattern the first folder inside is the label and the person, as in
  LFW (`lfw/PERSON/PERSON_0001.jpg`); a photograph beside such folders has no
  label and is a person of its own.

  Args:
    folder: to search; hidden files and folders are skipped.
    pattern: regular expression, searched in the name (`Source.name`), whose
      groups `label` and `person` say what the photograph shows. For MUG
      (`001/anger/take001/img_0001.jpg`):
      `^(?P<person>[^/]+)/(?P<label>[^/]+)/`.

  Returns:
    The photographs, sorted by name.

  Raises:
    PhotoError: no folder, or no photograph in it.
    ValueError: the pattern is none, or has no such group.
  """
  folder = pathlib.Path(folder)
  if not folder.is_dir():
    raise reading.PhotoError(f"{folder}: no such folder")
  expression = _compile(pattern)
  paths = sorted(_files(folder), key=lambda path: path.relative_to(folder))
  if not paths:
    raise reading.PhotoError(
      f"{folder}: no photograph in this folder or those inside; looked for "
      f"{' '.join(reading.EXTENSIONS)}"
    )
  return [_source(path, folder, expression) for path in paths]


def _files(folder):
  for root, inner, names in os.walk(folder):
    # In place: tells os.walk where not to go.
    inner[:] = sorted(name for name in inner if not name.startswith("."))
    for name in names:
      path = pathlib.Path(root, name)
      if path.suffix.lower() in reading.EXTENSIONS and name[0] != ".":
        yield path


def _compile(pattern):
  if pattern is None:
    return None
  try:
    expression = re.compile(pattern)
  except re.error as error:
    raise ValueError(f"pattern {pattern!r}: {error}") from error
  if not {"label", "person"} & set(expression.groupindex):
    raise ValueError(
      f"pattern {pattern!r} names neither (?P<label>...) nor (?P<person>...)"
    )
  return expression


def _source(path, folder, expression):
  name = path.relative_to(folder).as_posix()
  first, slash, _ = name.partition("/")
  label, person = (first, first) if slash else (UNLABELLED, name)
  if expression is not None:
    match = expression.search(name)
    found = match.groupdict() if match else {}
    label = found.get("label") or (label if slash else UNLABELLED)
    person = found.get("person") or name
  return Source(path, name, label, person)


def held_out(people: Sequence[str], share: float) -> list[bool]:
  """Chooses the people whose photographs are never adapted to.

  By a hash of their names: the choice stays when others are added.

  Args:
    people: of each photograph.
    share: of the people, 0 to 1; one person at least on either side unless it
      is 0 or 1.

  Returns:
    For each photograph, whether it is held out.
  """
  names = sorted(set(people), key=_rank)
  count = round(share * len(names))
  if 0 < share < 1 and len(names) > 1:
    count = min(max(count, 1), len(names) - 1)
  chosen = set(names[:count])
  return [person in chosen for person in people]


def _rank(name):
  return hashlib.sha256(name.encode()).hexdigest()
