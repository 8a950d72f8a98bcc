"""A short neck that grows out of the lower edge of the head."""

from __future__ import annotations

import numpy as np

from facerec_jax.model_files.builtin import chart
from facerec_jax.model_files.builtin import parts

_CENTER_Z = -108.0
_RADII = np.array([56.0, 52.0])  # circumference 339 mm; ANSUR II 364 with slope
_BOTTOM = -190.0
# Rows get longer downward; the first ones round the throat.
_DOWN = np.array([0.06, 0.13, 0.21, 0.31, 0.45, 0.65, 0.85, 1.0])
# How strongly a row leaves the head along its skin and meets the foot upright,
# mm of the curve's tangents.
_LEAVE, _ARRIVE = 55.0, 80.0
# The neck begins where the rim turns under the jaw and behind the ear.
_SHARE_OF_RIM = 0.62


def neck_part(mesh, points, normals) -> parts.Part:
  """Rows from the head's rim down to an ellipse, along cubic curves.

  Args:
    mesh: the head's mesh.
    points: [n, 3] of the head.
    normals: [n, 3] of the head.
  """
  left = mesh.rim[int(_SHARE_OF_RIM * len(mesh.rim)) :]
  chain = np.concatenate([left, mesh.mirror[left[-2::-1]]])
  edge = points[chain]
  angle = np.arctan2(edge[:, 2] - _CENTER_Z, edge[:, 0])
  foot = np.column_stack(
    [
      _RADII[0] * np.cos(angle),
      np.full(len(edge), _BOTTOM),
      _CENTER_Z + _RADII[1] * np.sin(angle),
    ]
  )
  t = _DOWN[:, None, None]
  curve = (
    (2 * t**3 - 3 * t**2 + 1) * edge
    + (t**3 - 2 * t**2 + t) * _LEAVE * _outward(edge, normals[chain])
    + (3 * t**2 - 2 * t**3) * foot
    + (t**3 - t**2) * _ARRIVE * np.array([0.0, -1.0, 0.0])
  )
  rows = len(_DOWN)
  head_size = len(mesh.opened)
  triangles = parts.rows(chain, rows, head_size, closed=False)
  weights = np.repeat((1 - _DOWN) ** 1.5, len(chain))
  follow = parts.follow_vertices(np.tile(chain, rows), weights, head_size)
  all_points = curve.reshape(-1, 3)
  return parts.Part(
    name="neck",
    points=all_points,
    triangles=triangles,
    follow=follow,
    follow_expression=follow,
    jaw=np.zeros(len(all_points)),
    chart=chart.to_chart(all_points),
  )


def _outward(edge, normals):
  """[m, 3] directions in which the skin leaves the rim, evened along it."""
  along = np.gradient(edge, axis=0)
  out = np.cross(normals, along)
  out = out / np.linalg.norm(out, axis=1, keepdims=True)
  for _ in range(6):
    out[1:-1] = (out[:-2] + 2 * out[1:-1] + out[2:]) / 4
  return out / np.linalg.norm(out, axis=1, keepdims=True)
