"""The lids slide over the eyeballs: closing, and following the gaze."""

from __future__ import annotations

import numpy as np

from facerec_jax.model_files.builtin import chart
from facerec_jax.model_files.builtin import eyes
from facerec_jax.model_files.builtin import feature_loops
from facerec_jax.model_files.builtin import measurements

# Closed lids lie farther out than open ones: a weight moves them along the
# chord, and half-way they must still clear the cornea, which stands out 0.5 mm.
_CLOSED_GAP = 1.75
# The closed fissure lies this far over the lower margin at rest (mm), where the
# fissure is as high as it gets; the corners sink a little (facs.md, AU43).
_RISE = 2.1
_CORNER_SHIFTS = np.array([[0.0, -0.3, 0.0], [-0.3, -0.4, 0.0]])
# Share of the eyeball's vertical rotation that upper and lower lid follow.
_UPPER_FOLLOWS, _LOWER_FOLLOWS = 0.8, 0.5
# How far from its margin the skin of each lid goes along, mm of the chart: the
# upper lid unfolds up to its crease and beyond.
_UPPER_REACH, _LOWER_REACH = (2.5, 13.0), (1.0, 9.0)


def margin_halves(mesh) -> tuple[np.ndarray, np.ndarray]:
  """Vertices of the (upper, lower) lid margin of the left eye.

  Both run from the inner to the outer corner, [m] each, corners included;
  equal places in both meet when the lids close.
  """
  half = len(mesh.lids) // 2
  loop = np.append(mesh.lids, mesh.lids[0])
  return loop[: half + 1], loop[: half - 1 : -1]


def close(sculpture) -> np.ndarray:
  """[n, 3] AU43: the upper lid slides down to the lower one, which rises.

  Both margins end on one line over the eyeball, so that they meet all along.
  """
  head = sculpture.head
  upper, lower = (head[half] for half in margin_halves(sculpture.mesh))
  place = np.linspace(0, 1, len(upper))[:, None]
  inner, outer = _CORNER_SHIFTS
  height = np.maximum(upper[:, 1] - lower[:, 1], 0.0)
  line = lower + inner + place * (outer - inner)
  line[:, 0] += 0.5 * (upper - lower)[:, 0]
  line[:, 1] += _RISE * (height / height.max()) ** 0.6
  line = _outward(line, _CLOSED_GAP)
  return move(sculpture, line - upper, line - lower, _CLOSED_GAP)


def follow_gaze(sculpture, degrees: float) -> np.ndarray:
  """[n, 3] lids of an eyeball that turns upward by `degrees`."""
  halves = margin_halves(sculpture.mesh)
  upper, lower = (sculpture.head[half] for half in halves)
  height = np.maximum(upper[:, 1] - lower[:, 1], 0.0)
  share = np.sqrt(height / height.max())
  shifts = [
    _turned(margin, follows * degrees * share) - margin
    for margin, follows in ((upper, _UPPER_FOLLOWS), (lower, _LOWER_FOLLOWS))
  ]
  return move(sculpture, *shifts, eyes.LID_THICKNESS)


def move(sculpture, upper_shift, lower_shift, gap) -> np.ndarray:
  """Carries the skin of both eyes' lids with their margins.

  Args:
    sculpture: the neutral mean.
    upper_shift: [m, 3] displacement of the left upper margin, inner to outer
      corner, as `margin_halves`.
    lower_shift: [m, 3] of the lower one; equal at the corners.
    gap: smallest distance from the eyeball after it, mm.

  Returns:
    [n, 3] displacement of the head, mirror symmetric.
  """
  mesh, head = sculpture.mesh, sculpture.head
  place, away, is_upper = _nearest_margin(mesh)
  steps = np.linspace(0, 1, len(upper_shift))
  shift = np.where(
    is_upper[:, None],
    np.column_stack([np.interp(place, steps, s) for s in upper_shift.T]),
    np.column_stack([np.interp(place, steps, s) for s in lower_shift.T]),
  )
  fades = [
    chart.smoothstep(*r[::-1], away) for r in (_UPPER_REACH, _LOWER_REACH)
  ]
  weight = np.where(is_upper, *fades)
  skin = weight[:, None] * shift * _sides(mesh)
  # Only what lies over the eyeball is held off it, and less where it stays.
  held = eyes.cover(head + skin, mesh, eyes.centers(), gap) - head
  hold = np.minimum(4.0 * weight, 1.0)[:, None]
  skin = skin + hold * (held - skin)
  for half, moved in zip(
    margin_halves(mesh), (upper_shift, lower_shift), strict=True
  ):
    skin[half] = moved
    skin[mesh.mirror[half]] = moved * [-1, 1, 1]
  return skin


def _sides(mesh):
  """[n, 3] turns displacements of the left side to each vertex's own side."""
  signs = np.ones((len(mesh.opened), 3))
  signs[mesh.opened[:, 0] < 0, 0] = -1.0
  return signs


def _nearest_margin(mesh):
  """Place 0..1 on the nearest lid margin, distance to it, whether upper."""
  margin = feature_loops.lid_margin()
  half = len(margin) // 2
  lines = margin[: half + 1], np.vstack([margin[half:], margin[:1]])[::-1]
  found = [
    chart.distance_to_curve(chart.folded(mesh.uv), chart.curve(line, 400))
    for line in lines
  ]
  (above, above_place), (below, below_place) = found
  is_upper = above <= below
  place = np.where(is_upper, above_place, below_place)
  return place, np.minimum(above, below), is_upper


def _outward(points, gap):
  """Points at least `gap` off the left eyeball, smoothly."""
  center = measurements.EYE_CENTER
  offset = points - center
  distance = np.linalg.norm(offset, axis=1, keepdims=True)
  lack = measurements.EYE_RADIUS + gap - distance
  return points + offset / distance * 0.5 * (lack + np.hypot(lack, 0.1))


def _turned(points, degrees):
  """Points turned upward about the left eyeball's own x axis, [n] degrees."""
  angle = np.deg2rad(degrees)
  _, y, z = (points - measurements.EYE_CENTER).T
  turned = points.copy()
  turned[:, 1] += y * (np.cos(angle) - 1) + z * np.sin(angle)
  turned[:, 2] += z * (np.cos(angle) - 1) - y * np.sin(angle)
  return turned
