"""Motions of the skin between the landmarks: cheeks, chin, forehead, furrows.

Sizes after facs.md: what section 2 describes and the notes under the table of
section 3 give; furrows are as deep as faces of adults show them, by eye.
"""

from __future__ import annotations

import numpy as np

from facerec_jax.model_files.builtin import chart
from facerec_jax.model_files.builtin import relief

bump, smoothstep = chart.bump, chart.smoothstep

# unit: ((x, y, z) of the middle, width, (lateral, up, forward)) mm.
_BULGES = {
  6: (((36, -36, -9), 13, (0.5, 3.5, 2.5)),),
  11: (((24, -34, 0), 9, (0.3, 1.2, 1.2)),),
  12: (((36, -36, -9), 13, (1.5, 4.5, 3.5)),),
  13: (((34, -44, -8), 10, (1.0, 3.0, 4.5)),),
  17: (((0, -100, 2), 9, (0.0, 1.8, 1.2)),),
  34: (((43, -62, -18), 14, (7.5, 0.0, 7.0)),),
  38: (((16, -42, 4), 4, (1.2, 0.2, 0.2)),),
}
# unit: (depth of the nasolabial furrow at the nose, half-way, at its end; rise
# of the cheek beside it), mm.
_FURROWS = {
  6: ((0.3, 0.3, 0.0), 0.2),
  9: ((1.4, 0.8, 0.0), 0.6),
  10: ((1.6, 1.0, 0.2), 0.8),
  11: ((0.8, 1.4, 0.4), 0.6),
  12: ((1.0, 1.8, 1.2), 1.0),
  13: ((0.6, 1.2, 0.6), 0.6),
}


def unmarked(sculpture, unit: int, normals) -> np.ndarray:
  """[n, 3] what a unit moves where no landmark is, mm."""
  mesh = sculpture.mesh
  uv = chart.folded(mesh.uv)
  side = np.sign(mesh.uv[:, 0])
  field = np.zeros((len(uv), 3))
  for point, width, motion in _BULGES.get(unit, ()):
    away = np.linalg.norm(uv - _place(point), axis=1)
    field += bump(away, width)[:, None] * motion
  field[:, 0] *= side
  field[:, 1] += _forehead(uv, unit)
  return field + _furrows(uv, unit)[:, None] * normals


def _place(point):
  return chart.to_chart(np.array(point, float))


def _forehead(uv, unit):
  """The forehead rises with the brows, half as far."""
  if unit not in (1, 2):
    return 0.0
  middle = _place((0, 45, -4))[1]
  across = bump(uv[:, 0] - (10 if unit == 1 else 38), 16)
  return 4.0 * bump(uv[:, 1] - middle, 11) * across


def _furrows(uv, unit):
  """[n] mm along the normal: folds that the muscles throw up."""
  out = np.zeros(len(uv))
  if unit in _FURROWS:
    depths, rise = _FURROWS[unit]
    out += _nasolabial(uv, depths, rise)
  if unit == 4:
    out += _glabella(uv)
  if unit == 9:
    out += _nose_wrinkles(uv)
  return out


def _nasolabial(uv, depths, rise):
  """A furrow from the nose wing past the corner, the cheek bulging over it."""
  line = relief.nasolabial_line()
  distance, place = chart.distance_to_curve(uv, line)
  depth = np.interp(place, [0, 0.5, 0.9, 1], [*depths, 0.0])
  u = np.interp(-uv[:, 1], -line[:, 1], line[:, 0])
  cheek = (uv[:, 0] > u) * np.sin(np.pi * np.clip(place, 0.02, 0.98)) ** 0.5
  return rise * cheek * bump(distance - 5.5, 2.6) - depth * bump(distance, 2.0)


def _glabella(uv):
  """Two upright furrows between the brows, skin pressed up about them."""
  middle = _place((0, 9, 2))[1]
  height = bump(uv[:, 1] - middle, 6.5)
  furrow = bump(uv[:, 0] - 5.5, 1.8)
  bulge = bump(uv[:, 0], 2.4) + 0.8 * bump(uv[:, 0] - 11, 3.0)
  return height * (1.0 * bulge - 1.2 * furrow)


def _nose_wrinkles(uv):
  """Bunny lines: short folds over the side of the nose root."""
  top, bottom = _place((8, -14, 4)), _place((9, -24, 8))
  across = bump(uv[:, 0] - top[0], 4.5)
  phase = (uv[:, 1] - bottom[1]) / (top[1] - bottom[1])
  fade = smoothstep(-0.5, 0.1, phase) * smoothstep(1.5, 0.9, phase)
  return 0.5 * across * fade * np.sin(2 * np.pi * 1.5 * phase)
