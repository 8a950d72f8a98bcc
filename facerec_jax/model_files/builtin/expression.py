"""Action units (FACS) as blendshapes: displacement at full intensity.

The table of 68 landmark displacements (`data/au68.json`) is spread over the
skin; what has no landmark (cheek apex, chin boss, forehead) is added; lids and
lips keep their contacts; the jaw turns about its hinge.
"""

from __future__ import annotations

import numpy as np

from facerec_jax.model_files.builtin import chart
from facerec_jax.model_files.builtin import eyes
from facerec_jax.model_files.builtin import jaw
from facerec_jax.model_files.builtin import landmark_places
from facerec_jax.model_files.builtin import measurements
from facerec_jax.model_files.builtin import mouth

bump, smoothstep = chart.bump, chart.smoothstep

# Left and right halves are columns of their own.
SIDED = (1, 2, 5, 6, 7, 10, 12, 14, 15, 20, 43)
WHOLE = (4, 9, 16, 17, 18, 22, 23, 24, 25, 26, 27, 28)
# How far a landmark's motion spreads over the skin, mm (standard deviation).
_SPREAD = np.concatenate(
  [
    np.full(17, 22.0),
    np.full(10, 14.0),
    np.full(9, 9.0),
    np.full(12, 5.0),
    np.full(12, 11.0),
    np.full(8, 8.0),
  ]
)
_MIDLINE_BLEND = 9.0  # mm over which the left half fades into the right


def basis(sculpture) -> tuple[np.ndarray, tuple[str, ...]]:
  """All columns on the whole model.

  Returns:
    ([V, 3, K] mm at weight 1, K names such as "AU12_L", "AU26").
  """
  columns, names = [], []
  for unit in sorted(SIDED + WHOLE):
    field = unit_displacement(sculpture, unit)
    if unit in SIDED:
      left = left_share(sculpture.chart[:, 0])[:, None]
      columns += [field * left, field * (1 - left)]
      names += [f"AU{unit:02d}_L", f"AU{unit:02d}_R"]
    else:
      columns.append(field)
      names.append(f"AU{unit:02d}")
  return np.stack(columns, axis=-1), tuple(names)


def left_share(u) -> np.ndarray:
  """1 on the subject's left (u > 0), 0 on the right, smooth at the midline."""
  return smoothstep(-_MIDLINE_BLEND, _MIDLINE_BLEND, u)


def unit_displacement(sculpture, unit: int) -> np.ndarray:
  """[V, 3] displacement of one action unit, both sides, mm."""
  mesh, head = sculpture.mesh, sculpture.head
  if unit in jaw.OPENINGS:
    return jaw.opening(sculpture, unit)
  if unit == 43:
    skin = close_eyes(sculpture)
  else:
    skin = spread(mesh, measurements.action_units()[unit])
    skin = skin + _unmarked(sculpture, unit)
    skin = _smooth_midline(skin, mesh)
    skin = _in_contact(head + skin, mesh) - _in_contact(head, mesh)
  return sculpture.carry(skin, expression=True)


def _in_contact(points, mesh):
  """Lids on the eyeballs, lips over the teeth."""
  points = eyes.cover(points, mesh, eyes.centers())
  return mouth.cover_teeth(points, mesh)


def spread(mesh, displacement) -> np.ndarray:
  """Spreads landmark displacements [68, 3] over the skin, [n, 3].

  A sum of Gaussians in the opened chart, fitted to the landmarks with a little
  ridge regularisation.
  """
  places = landmark_places.anatomical()

  def weights(uv):
    distance = np.linalg.norm(uv[:, None] - places[None], axis=-1)
    return bump(distance, _SPREAD)

  at_marks = weights(places)
  system = at_marks.T @ at_marks + 2e-3 * np.eye(68)
  amplitude = np.linalg.solve(system, at_marks.T @ displacement)
  return weights(mesh.opened) @ amplitude


def _smooth_midline(skin, mesh):
  """Removes what the fit leaves of asymmetry."""
  return 0.5 * (skin + skin[mesh.mirror] * [-1, 1, 1])


def _unmarked(sculpture, unit):
  """What moves between the landmarks (facs.md, section 3)."""
  uv = chart.folded(sculpture.mesh.uv)
  side = np.sign(sculpture.mesh.uv[:, 0])
  one = np.ones(len(side))

  def around(point, width):
    place = chart.to_chart(np.array(point, float))
    return bump(np.linalg.norm(uv - place, axis=1), width)[:, None]

  forehead = chart.to_chart(np.array([0.0, 45.0, -4.0]))[1]
  if unit == 6:
    motion = np.column_stack([0.5 * side, 3.5 * one, 2.5 * one])
    return around((36, -36, -9), 13) * motion
  if unit == 12:
    motion = np.column_stack([1.5 * side, 4.5 * one, 3.5 * one])
    return around((36, -36, -9), 13) * motion
  if unit == 17:
    return around((0, -100, 2), 9) * np.array([0.0, 1.8, 1.2])
  if unit in (1, 2):
    across = bump(uv[:, 0] - (10 if unit == 1 else 38), 16)
    rise = 4.0 * bump(uv[:, 1] - forehead, 11) * across
    return np.column_stack([0 * rise, rise, 0 * rise])
  return np.zeros((len(side), 3))


def close_eyes(sculpture) -> np.ndarray:
  """AU43: the upper lid slides over the eyeball and meets the lower one."""
  mesh, head = sculpture.mesh, sculpture.head
  left = mesh.lids
  half = len(left) // 2
  upper, lower = head[left[: half + 1]], head[np.append(left[half:], left[0])]
  lower = lower[np.argsort(lower[:, 0])]
  upper = upper[np.argsort(upper[:, 0])]
  x = np.abs(head[:, 0])
  upper_y = np.interp(x, upper[:, 0], upper[:, 1])
  lower_y = np.interp(x, lower[:, 0], lower[:, 1])
  gap = np.maximum(upper_y - lower_y, 0.0)
  ends = smoothstep(upper[0, 0] - 4, upper[0, 0], x)
  ends = ends * smoothstep(upper[-1, 0] + 4, upper[-1, 0], x)
  distance = eyes.near_lids(mesh)
  margin_v = 0.5 * (upper_y + lower_y)
  above = head[:, 1] > margin_v
  rise = np.minimum(0.9, 0.12 * gap)
  # Lid skin unfolds up to the crease; the lower lid rises a little.
  down = (gap - rise + 0.25 * (gap > 1)) * (1 - smoothstep(2.5, 13, distance))
  up = rise * (1 - smoothstep(1, 8, distance))
  shift = np.where(above, -down, up) * ends * (distance < 14)
  moved = head + np.column_stack([0 * shift, shift, 0 * shift])
  # Farther out than at rest: half-way, on the chord, the lid clears the eye.
  closed = eyes.cover(moved, mesh, eyes.centers(), 2.2)
  near = (1 - smoothstep(7, 14, distance)) * (np.abs(shift) > 0)
  return (closed - head) * near[:, None]
