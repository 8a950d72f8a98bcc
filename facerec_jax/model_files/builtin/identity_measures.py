"""Where people are measured, and how much a displacement changes a measure."""

from __future__ import annotations

import copy

import numpy as np
from scipy.spatial import cKDTree

from facerec_jax.model_files.builtin import chart
from facerec_jax.model_files.builtin import measurements

# The nose's side at the height of the sellion, half as deep as the eyes.
_ROOT = np.array([8.0, -1.0, -5.8])
# Directions in which the ear's ends lie; it leans back by 15 degrees.
_EAR_ENDS = {
  "ear_top": (0, 0.966, -0.259),
  "ear_bottom": (0, -0.966, 0.259),
  "ear_front": (0, 0.259, 0.966),
  "ear_back": (0, -0.259, -0.966),
}


def vertex(sculpture, name) -> int:
  """The vertex of a measuring point.

  Args:
    sculpture: the mean.
    name: a landmark's number; "eye" (its pole moves as its centre does), "root"
      of the nose, "ear_top", "ear_bottom", "ear_front", "ear_back", or a name
      of `measurements.points`. "-" before a name is the subject's right.
  """
  if isinstance(name, int):
    return int(sculpture.landmarks[name])
  mirrored, name = name.startswith("-"), name.removeprefix("-")
  if name == "eye":
    return _part(sculpture, "right_eye" if mirrored else "left_eye").start
  if name in _EAR_ENDS:
    where = _part(sculpture, "ears")
    ear = sculpture.points[where]
    return where.start + int((ear @ np.array(_EAR_ENDS[name])).argmax())
  place = _ROOT if name == "root" else measurements.points()[name]
  uv = chart.to_chart(place * ([-1, 1, 1] if mirrored else 1))
  upper = place[1] > -70.75  # stomion belongs to the lower lip's edge
  opened = chart.open_mouth(uv[None], np.array([upper]))
  return int(cKDTree(sculpture.mesh.opened).query(opened)[1][0])


def _part(sculpture, name):
  """Where the vertices of the first part of this name are."""
  for part, where in zip(sculpture.parts, sculpture.part_slices, strict=True):
    if part.name == name:
      return where
  raise ValueError(f"identity: the sculpture has no part {name!r}")


class Changes:
  """Linear changes of measures with a displacement of the mean.

  Attributes:
    names: of the measures.
  """

  def __init__(self, sculpture, measures):
    self.names = list(measures)
    self._ends = []
    for measure in measures.values():
      index = [vertex(sculpture, end) for end in measure.ends]
      self._ends.append((index, _direction(sculpture, measure, index)))

  def __call__(self, fields) -> np.ndarray:
    """[m, k] mm, of displacements [V, 3, k]."""
    return np.stack(
      [
        direction
        @ (fields[index[-1]] - (fields[index[0]] if index[1:] else 0.0))
        for index, direction in self._ends
      ]
    )

  def __add__(self, other) -> Changes:
    """The measures of both."""
    both = copy.copy(self)
    both.names = self.names + other.names
    both._ends = self._ends + other._ends
    return both


def _direction(sculpture, measure, index):
  if measure.direction is not None:
    return np.array(measure.direction, float)
  span = sculpture.points[index[1]] - sculpture.points[index[0]]
  return span / np.linalg.norm(span)
