"""Action units (FACS) as blendshapes: displacement at full intensity.

The table of 68 landmark displacements (`data/au68.json`) is spread over the
skin; what has no landmark (cheek apex, chin boss, forehead) is added; lids and
lips keep their contacts; the jaw turns about its hinge, the eyes about their
centres.
"""

from __future__ import annotations

import numpy as np

from facerec_jax.model_files.builtin import chart
from facerec_jax.model_files.builtin import extra_units
from facerec_jax.model_files.builtin import eyes
from facerec_jax.model_files.builtin import facial_forms
from facerec_jax.model_files.builtin import jaw
from facerec_jax.model_files.builtin import landmark_spread
from facerec_jax.model_files.builtin import lids
from facerec_jax.model_files.builtin import measurements
from facerec_jax.model_files.builtin import mouth
from facerec_jax.model_files.builtin import sculpture as sculpture_lib

# Left and right halves are columns of their own.
SIDED = (1, 2, 5, 6, 7, 10, 12, 14, 15, 20, 43)
WHOLE = (4, 9, 16, 17, 18, 22, 23, 24, 25, 26, 27, 28)
# Behind the others, so that older codes remain prefixes.
LATER_SIDED = (11, 13)
# AU61-64: the eyes turn to the subject's left, right, up, down; (yaw, pitch) in
# degrees at weight 1, pitch upward.
GAZES = {61: (25.0, 0.0), 62: (-25.0, 0.0), 63: (0.0, 22.0), 64: (0.0, -22.0)}
# These part the lips without the jaw; all others leave closed lips closed.
_PARTING = (9, 10, 16, 22, 25)
_MIDLINE_BLEND = 9.0  # mm over which the left half fades into the right


def basis(sculpture) -> tuple[np.ndarray, tuple[str, ...]]:
  """All columns on the whole model.

  Returns:
    ([V, 3, K] mm at weight 1, K names such as "AU12_L", "AU26", "AD29").
  """
  units = Units(sculpture)
  columns = {}
  for unit in sorted(SIDED + WHOLE):
    columns |= _columns(units, unit, sided=unit in SIDED)
  for unit in LATER_SIDED:
    columns |= _columns(units, unit, sided=True)
  columns["AU38"] = units.displacement(38)
  for unit, angles in GAZES.items():
    columns[f"AU{unit}"] = gaze(sculpture, *angles)
  columns["AD29"] = jaw.shifted(sculpture, jaw.thrust)
  columns["AD30_L"] = jaw.shifted(sculpture, jaw.swing)
  columns["AD30_R"] = jaw.shifted(sculpture, jaw.swing_right)
  columns["AD34"] = units.displacement(34)
  return np.stack(list(columns.values()), axis=-1), tuple(columns)


def _columns(units, unit, *, sided):
  """The columns of an action unit by name."""
  field, name = units.displacement(unit), f"AU{unit:02d}"
  if not sided:
    return {name: field}
  left = left_share(units.sculpture.chart[:, 0])[:, None]
  return {f"{name}_L": field * left, f"{name}_R": field * (1 - left)}


def left_share(u) -> np.ndarray:
  """1 on the subject's left (u > 0), 0 on the right, smooth at the midline."""
  return chart.smoothstep(-_MIDLINE_BLEND, _MIDLINE_BLEND, u)


class Units:
  """Displacements of the units that have landmarks, at full intensity."""

  def __init__(self, sculpture):
    self.sculpture = sculpture
    self._marks = landmark_spread.LandmarkSpread(sculpture.mesh)
    self._tables = measurements.action_units() | extra_units.tables()
    # The table lifts the outer corner alone, two millimetres from the inner.
    self._tables[6][[60, 64]] = 0.25 * self._tables[6][[48, 54]]
    self._near_lids = eyes.near_lids(sculpture.mesh) < eyes.NEAR
    self._resting = mouth.cover_teeth(sculpture.head, sculpture.mesh)
    self._normals = sculpture_lib.vertex_normals(
      sculpture.head, sculpture.mesh.triangles
    )

  def displacement(self, unit: int) -> np.ndarray:
    """[V, 3] displacement of one unit, both sides, mm."""
    table = self._tables[unit]
    if unit in jaw.OPENINGS:
      return jaw.opening(self.sculpture, unit, self._marks, table)
    if unit == 43:
      skin = lids.close(self.sculpture)
    else:
      table = table if unit in _PARTING else _closed(table)
      start = facial_forms.unmarked(self.sculpture, unit, self._normals)
      skin = self._marks.fit(
        table, start, lambda field: self._in_contact(field, unit)
      )
    return self.sculpture.carry(skin, expression=True)

  def _in_contact(self, skin, unit):
    """Lids on the eyeballs, lips over the teeth and on each other."""
    mesh, head = self.sculpture.mesh, self.sculpture.head
    skin = mesh.symmetric(skin)
    points = eyes.hold_out(head + skin, self._near_lids, mesh)
    skin = mouth.cover_teeth(points, mesh) - self._resting
    return skin if unit in _PARTING else mouth.meet(skin, mesh)


def _closed(table):
  """The table with one motion for inner lip landmarks that lie on each other.

  It was written for lips 1 mm apart; these are closed.
  """
  table = table.copy()
  pairs = [61, 62, 63, 67, 66, 65]
  table[pairs] = np.tile(0.5 * (table[pairs[:3]] + table[pairs[3:]]), (2, 1))
  return table


def gaze(sculpture, yaw: float, pitch: float) -> np.ndarray:
  """[V, 3] eyeballs turned to the subject's left and up, lids following.

  Args:
    sculpture: the neutral mean.
    yaw: degrees.
    pitch: degrees.
  """
  whole = sculpture.carry(lids.follow_gaze(sculpture, pitch), expression=True)
  for part, place in zip(sculpture.parts, sculpture.part_slices, strict=True):
    if part.name in eyes.NAMES:
      center = eyes.centers()[eyes.NAMES.index(part.name)]
      whole[place] = eyes.turn(part.points, center, yaw, pitch)
  return whole
