"""Points that people placed on photographs: manifest.json and .pts files.

A folder of photographs may hold `manifest.json`:

  {"pixel_origin": "center",
   "images": [{"file": "a.jpg",
               "landmarks68": [[column, row], ... 68 of iBUG's points],
               "landmarks68_reliable_idx": [17, 18, ...],
               "expression": "neutral",
               "groups": {"glasses": "yes", ...}}, ...]}

Everything but `file` may be missing. Points are pixels of the upright
photograph (EXIF orientation applied); `pixel_origin` says whether (0, 0) is the
"center" of the top-left pixel (the default, as annotation tools and dlib count)
or its "corner". Only points of `landmarks68_reliable_idx` are compared (by
default all). Errors are listed for each value of `groups` and `expression`.

Photographs that the manifest does not give points for may have `NAME.pts`
beside `NAME.jpg`, as 300-W does: 68 points, the first pixel's centre at (1, 1).
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import json
import os
import pathlib

import numpy as np

from facerec_jax.face import landmarks as landmark_points

MANIFEST = "manifest.json"
# From the first pixel's centre in a file to ours, which lies at 0.5.
_SHIFTS = {"center": 0.5, "corner": 0.0}
_PTS_SHIFT = -0.5


@dataclasses.dataclass(frozen=True, eq=False)
class Annotation:
  """What is known of a photograph.

  Attributes:
    landmarks: [68, 2] pixels, centres at +0.5; None where nobody placed them.
    reliable: indices of the points to trust.
    groups: kind of group -> group.
  """

  landmarks: np.ndarray | None = None
  reliable: tuple[int, ...] = tuple(range(landmark_points.NUM_LANDMARKS))
  groups: Mapping[str, str] = dataclasses.field(default_factory=dict)


def read_annotations(folder: str | os.PathLike) -> dict[str, Annotation]:
  """The annotations of a folder, by file name of the photograph.

  Args:
    folder: of photographs.

  Raises:
    ValueError: manifest.json or a .pts file is not sound.
  """
  folder = pathlib.Path(folder)
  found = {}
  manifest = folder / MANIFEST
  if manifest.is_file():
    found = _read_manifest(manifest)
  for points in sorted(folder.glob("*.pts")):
    for photo in folder.glob(f"{_escaped(points.stem)}.*"):
      known = found.get(photo.name, Annotation())
      if photo.suffix != ".pts" and known.landmarks is None:
        found[photo.name] = dataclasses.replace(
          known, landmarks=read_pts(points)
        )
  return found


def read_pts(path: str | os.PathLike) -> np.ndarray:
  """The points of a 300-W file, [68, 2] pixels, centres at +0.5.

  Raises:
    ValueError: it is not such a file.
  """
  text = pathlib.Path(path).read_text("utf-8", errors="replace")
  inside = text.partition("{")[2].partition("}")[0]
  try:
    points = np.array(inside.split(), float).reshape(-1, 2)
  except ValueError:
    points = np.zeros((0, 2))
  return _checked(points, path) + _PTS_SHIFT


def _read_manifest(path):
  try:
    content = json.loads(path.read_text("utf-8"))
    shift = _SHIFTS[content.get("pixel_origin", "center")]
    return {
      entry["file"]: _annotation(entry, shift, path)
      for entry in content["images"]
    }
  except (json.JSONDecodeError, UnicodeDecodeError) as error:
    raise ValueError(f"{path}: no JSON ({error})") from None
  except (KeyError, TypeError, AttributeError) as error:
    raise ValueError(
      f"{path}: not as `facerec_jax.photos.annotations` describes "
      f"({type(error).__name__}: {error})"
    ) from None


def _annotation(entry, shift, path):
  groups = {str(k): str(v) for k, v in entry.get("groups", {}).items()}
  if "expression" in entry:
    groups.setdefault("expression", str(entry["expression"]))
  where = f"{path}: {entry['file']}"
  annotation = Annotation(groups=groups)
  if entry.get("landmarks68") is not None:
    try:
      points = np.array(entry["landmarks68"], float)
    except ValueError:
      raise ValueError(f"{where}: landmarks68 are not numbers") from None
    annotation = dataclasses.replace(
      annotation, landmarks=_checked(points, where) + shift
    )
  if "landmarks68_reliable_idx" in entry:
    reliable = tuple(map(int, entry["landmarks68_reliable_idx"]))
    if not all(0 <= k < landmark_points.NUM_LANDMARKS for k in reliable):
      raise ValueError(f"{where}: landmarks68_reliable_idx leaves 0..67")
    annotation = dataclasses.replace(annotation, reliable=reliable)
  return annotation


def _checked(points, where):
  wanted = (landmark_points.NUM_LANDMARKS, 2)
  if points.shape != wanted or not np.isfinite(points).all():
    raise ValueError(
      f"{where}: got points of shape {points.shape}, wanted {wanted}, finite"
    )
  return points


def _escaped(name):
  return "".join(f"[{c}]" if c in "[]*?" else c for c in name)
