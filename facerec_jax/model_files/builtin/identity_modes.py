"""The named modes of identity, calibrated on measured people.

Sizes and measures: NIOSH 2003, ANSUR II, Farkas 1994, within one sex. The
fields of `identity_fields` are scaled to the stated change of their measure.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from facerec_jax.model_files.builtin import chart
from facerec_jax.model_files.builtin import eyes
from facerec_jax.model_files.builtin import identity_features
from facerec_jax.model_files.builtin import identity_fields
from facerec_jax.model_files.builtin import measurements
from facerec_jax.model_files.builtin import sculpture as sculpture_lib

# Measure of a mode: (points, direction or None for their distance, mm per sd).
# A point is a name of the tables or a landmark's number; "-" mirrors it.
SIZES = {
  "face_width": (("zy", "-zy"), None, 5.0),
  "face_height": (("sellion", "me"), None, 5.8),
  "nose_length": (("sellion", "sn"), None, 3.0),
  "jaw_width": (("go", "-go"), None, 7.0),
  "jaw_depth": (("pog",), (0, 0, 1), 3.5),
  "chin_height": (("sl", "gn"), None, 3.0),
  "chin_width": ((9, 7), None, 4.0),
  "head_length": (("vertex",), (0, 0, -1), 3.0),
  "head_breadth": (("eu", "-eu"), None, 5.3),
  "head_height": (("vertex",), (0, 1, 0), 6.3),
  "forehead_slope": (("trichion",), (0, 0, -1), 3.6),
  "brow_ridge": (("g",), (0, 0, 1), 1.6),
  "eye_depth": ((47,), (0, 0, -1), 1.8),
  "eye_spacing": ((43, 38), None, 3.0),
  "fissure_length": ((42, 45), None, 1.5),
  "fissure_height": ((43, 47), None, 1.0),
  "eye_tilt": ((42, 45), (0, 1, 0), 1.15),
  "brow_height": ((24,), (0, 1, 0), 2.5),
  "brow_arch": ((22, 25), (0, 1, 0), 1.8),
  "nose_breadth": (("al", "-al"), None, 3.4),
  "nose_projection": (("prn",), (0, 0, 1), 2.3),
  "tip_rotation": (("prn",), (0, 1, 0), 2.2),
  "root_height": ((27,), (0, 0, 1), 1.8),
  "root_breadth": ((27,), None, 1.0),
  "nose_hump": ((28,), (0, 0, 1), 1.2),
  "mouth_width": (("ch", "-ch"), None, 3.8),
  "upper_lip": (("ls", "sto"), (0, -1, 0), 1.6),
  "lower_lip": (("sto", "li"), (0, -1, 0), 1.7),
  "lip_protrusion": (("ls",), (0, 0, 1), 2.0),
  "philtrum_length": (("sn", "ls"), None, 2.0),
}
_UNCALIBRATED = ("root_breadth",)
_WHOLE_HEAD = ("size", "head_length", "head_breadth", "head_height")


# Fluctuating asymmetry, 0.6-1 mm rms at a landmark: (centre, direction).
_ASYMMETRIES = {
  "asymmetry_chin": ((0, -100, 0), (1.0, 0.3, 0)),
  "asymmetry_jaw": ((45, -80, -30), (0.5, 0.8, 0.3)),
  "asymmetry_cheeks": ((45, -20, -20), (0.3, 0.7, 0.5)),
  "asymmetry_brows": ((25, 15, 0), (0.2, 0.9, 0.2)),
  "asymmetry_nose": ((0, -35, 20), (1.0, 0.2, 0)),
  "asymmetry_mouth": ((20, -70, 3), (0.2, 0.8, 0.2)),
}


_FUNCTIONS = (
  identity_fields.sex,
  identity_fields.size,
  identity_fields.face_width,
  identity_fields.face_height,
  identity_fields.nose_length,
  identity_fields.jaw_width,
  identity_fields.jaw_depth,
  identity_fields.chin_height,
  identity_fields.chin_width,
  identity_fields.head_length,
  identity_fields.head_breadth,
  identity_fields.head_height,
  identity_fields.forehead_slope,
  identity_features.brow_ridge,
  identity_features.eye_depth,
  identity_features.eye_spacing,
  identity_features.fissure_length,
  identity_features.fissure_height,
  identity_features.eye_tilt,
  identity_features.brow_height,
  identity_features.brow_arch,
  identity_features.nose_breadth,
  identity_features.nose_projection,
  identity_features.tip_rotation,
  identity_features.root_height,
  identity_features.root_breadth,
  identity_features.nose_hump,
  identity_features.mouth_width,
  identity_features.upper_lip,
  identity_features.lower_lip,
  identity_features.lip_protrusion,
  identity_features.philtrum_length,
  identity_fields.cheek_fullness,
  identity_fields.cheekbones,
  identity_fields.submental_fullness,
  identity_fields.midface_depth,
  identity_fields.temples,
)


def modes(sculpture) -> dict[str, np.ndarray]:
  """Named displacements [n, 3] of the head's skin, mm per sd."""
  skin = identity_fields.Skin(
    points=sculpture.head,
    opened=sculpture.mesh.opened,
    normals=sculpture_lib.vertex_normals(
      sculpture.head, sculpture.mesh.triangles
    ),
  )
  # The back of the head is no part of these measures.
  in_front = chart.smoothstep(-165, -100, sculpture.head[:, 2])
  found = {}
  for function in _FUNCTIONS:
    name = function.__name__
    field = function(skin)
    if name not in _WHOLE_HEAD:
      field = field * in_front[:, None]
    field = eyes.follow_lids(field, sculpture.head, sculpture.mesh)
    if name in SIZES and name not in _UNCALIBRATED:
      field = field * (SIZES[name][2] / measure_change(sculpture, name, field))
    found[name] = field
  for name, (center, direction) in _ASYMMETRIES.items():
    field = identity_fields.asymmetry(skin, center, direction)
    found[name] = eyes.follow_lids(field, sculpture.head, sculpture.mesh)
  return found


def measure_vertex(sculpture, name) -> int:
  """The vertex of a measuring point: a table's name or a landmark's number."""
  if isinstance(name, int):
    return int(sculpture.landmarks[name])
  place = measurements.points()[name.removeprefix("-")]
  uv = chart.to_chart(place * ([-1, 1, 1] if name.startswith("-") else 1))
  upper = place[1] > -70.75  # stomion belongs to the lower lip's edge
  opened = chart.open_mouth(uv[None], np.array([upper]))
  return int(cKDTree(sculpture.mesh.opened).query(opened)[1][0])


def measure_change(sculpture, name, field) -> float:
  """How much a displacement of the skin changes the measure of a mode, mm."""
  ends, direction, _ = SIZES[name]
  index = [measure_vertex(sculpture, end) for end in ends]
  moved = field[index[-1]] - (field[index[0]] if len(index) == 2 else 0.0)
  if direction is None:
    span = sculpture.head[index[1]] - sculpture.head[index[0]]
    direction = span / np.linalg.norm(span)
  return float(moved @ np.asarray(direction, float))
