"""Scans with photographs in a folder.

  NAME.obj (or .ply .glb .stl .off)   the neutral face as a mesh: what a scanner
    sees, no eye sockets or mouths behind it, whose points would count
  NAME.json or NAME.pp                its landmarks
  NAME.jpg, NAME_*.jpg, NAME-*.jpg    photographs of it (any image format)

The JSON holds one of
  "landmarks7": [[x, y, z], ...]      outer and inner corner of the right eye,
    inner and outer corner of the left, bottom of the nose (where it meets the
    upper lip), right and left corner of the mouth, as in the NoW benchmark;
  "landmarks68": [[x, y, z], ...]     iBUG's points;
  "landmarks7_vertices", "landmarks68_vertices": vertices of the mesh instead;
and, optionally, "unit": "mm", "cm" or "m" of mesh and points. Without it the
unit is told from the distance between the eyes. NAME.pp is a file of picked
points of MeshLab, 7 or 68 in the same order.
"""

from __future__ import annotations

from collections.abc import Sequence
import json
import pathlib
from typing import NamedTuple
from xml.etree import ElementTree

import numpy as np

from facerec_jax import messages
from facerec_jax.evaluation import scan_distance
from facerec_jax.photos import reading

MESHES = (".obj", ".ply", ".glb", ".stl", ".off")
UNITS = {"mm": 1.0, "cm": 10.0, "m": 1000.0}
# Distance between the outer corners of the eyes, mm: all adults and children.
_EYES = (60.0, 130.0)
_SEPARATORS = "_-. "


class Entry(NamedTuple):
  """A scan of a folder.

  Attributes:
    name: of it.
    mesh: its file.
    photos: of it.
  """

  name: str
  mesh: pathlib.Path
  photos: tuple[pathlib.Path, ...]


def list_scans(folder: pathlib.Path) -> list[Entry]:
  """The scans of a folder, sorted by name.

  Raises:
    ValueError: the folder has none.
  """
  if not folder.is_dir():
    raise ValueError(f"{folder}: no such folder")
  meshes = sorted(f for f in folder.iterdir() if f.suffix.lower() in MESHES)
  if not meshes:
    raise ValueError(f"{folder}: holds no mesh ({' '.join(MESHES)})")
  names = [mesh.stem for mesh in meshes]
  photos = {name: [] for name in names}
  for file in sorted(folder.iterdir()):
    if file.suffix.lower() in reading.EXTENSIONS:
      owner = _owner(file.stem, names)
      photos.get(owner, []).append(file)
  return [Entry(mesh.stem, mesh, tuple(photos[mesh.stem])) for mesh in meshes]


def _owner(stem: str, names: Sequence[str]) -> str | None:
  """The longest name that a photograph's begins with."""
  owners = [
    name
    for name in names
    if stem == name
    or (stem.startswith(name) and stem[len(name)] in _SEPARATORS)
  ]
  return max(owners, key=len, default=None)


def read_scan(entry: Entry) -> scan_distance.Scan:
  """Reads mesh and landmarks, in millimetres.

  Raises:
    ValueError: a file is missing or not sound.
  """
  points = _read_mesh(entry.mesh)
  marks, unit = _read_landmarks(entry.mesh, points)
  scale = UNITS[unit] if unit else _guess_scale(marks, entry.mesh)
  return scan_distance.Scan(scale * points, scale * marks)


def _read_mesh(path):
  import trimesh

  try:
    # Not processed: that would merge and reorder vertices.
    mesh = trimesh.load(path, force="mesh", process=False, skip_materials=True)
    points = np.asarray(mesh.vertices, float)
  except Exception as error:  # Loaders raise whatever they stumble over.
    reason = messages.one_line(error)
    raise ValueError(f"{path.name}: unreadable mesh ({reason})") from error
  if points.ndim != 2 or len(points) < 100 or not np.isfinite(points).all():
    raise ValueError(f"{path.name}: a mesh of {len(points)} points is no face")
  return points


def _read_landmarks(mesh, points):
  """([7, 3] in the mesh's unit, name of the unit or None)."""
  table, picked = mesh.with_suffix(".json"), mesh.with_suffix(".pp")
  if table.is_file():
    return _from_json(table, points)
  if picked.is_file():
    return _seven(_from_picked_points(picked), picked), None
  raise ValueError(
    f"{mesh.name}: no landmarks in {table.name} or {picked.name}"
  )


def _from_json(path, points):
  try:
    content = json.loads(path.read_text("utf-8"))
    unit = content.get("unit")
    marks = _marks(content, points)
  except (ValueError, TypeError, AttributeError, IndexError) as error:
    reason = messages.one_line(error)
    raise ValueError(f"{path.name}: no landmarks ({reason})") from None
  if unit is not None and unit not in UNITS:
    raise ValueError(
      f"{path.name}: unit {unit!r} is none of {', '.join(UNITS)}"
    )
  return _seven(marks, path), unit


def _marks(content, points):
  for count in (7, 68):
    if f"landmarks{count}" in content:
      return np.array(content[f"landmarks{count}"], float)
    if f"landmarks{count}_vertices" in content:
      index = np.array(content[f"landmarks{count}_vertices"], int)
      if len(index) and index.min() < 0:
        raise IndexError("negative vertex")
      return points[index]
  raise ValueError("wanted landmarks7, landmarks68 or ..._vertices")


def _from_picked_points(path):
  try:
    root = ElementTree.fromstring(path.read_text("utf-8"))
    return np.array(
      [[float(p.get(axis)) for axis in "xyz"] for p in root.iter("point")]
    )
  except (ElementTree.ParseError, TypeError, ValueError) as error:
    raise ValueError(f"{path.name}: no picked points ({error})") from None


def _seven(marks, path):
  if marks.shape == (68, 3):
    marks = marks[list(scan_distance.LANDMARKS)]
  if marks.shape != (7, 3) or not np.isfinite(marks).all():
    raise ValueError(
      f"{path.name}: got landmarks {marks.shape}, wanted (7, 3) or (68, 3)"
    )
  return marks


def _guess_scale(marks, path):
  eyes = float(np.linalg.norm(marks[0] - marks[3]))
  for scale in UNITS.values():
    if _EYES[0] < scale * eyes < _EYES[1]:
      return scale
  raise ValueError(
    f"{path.name}: outer corners of the eyes are {eyes:.4g} apart, in no known "
    'unit; give "unit" in the JSON of its landmarks'
  )
