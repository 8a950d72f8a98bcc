"""A short neck, drawn down from the lower edge of the head."""

from __future__ import annotations

import numpy as np

from facerec_jax.model_files.builtin import chart
from facerec_jax.model_files.builtin import parts

_CENTER_Z = -106.0
_RADII = np.array([57.0, 50.0])  # circumference 337 mm; ANSUR II 364 with slope
_BOTTOM = -195.0
_ROWS = 5
# The neck begins where the rim turns under the jaw and behind the ear.
_SHARE_OF_RIM = 0.62


def neck_part(mesh, points) -> parts.Part:
  """Rows from the head's rim down to an ellipse."""
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
  rows = []
  for row in range(1, _ROWS + 1):
    down = row / _ROWS
    across = 1 - (1 - down) ** 2.2
    point = edge + np.array([1, 0, 1]) * across * (foot - edge)
    point[:, 1] = edge[:, 1] + down * (foot[:, 1] - edge[:, 1])
    rows.append(point)
  head_size = len(mesh.opened)
  triangles = parts.rows(chain, _ROWS, head_size, closed=False)
  weights = np.repeat((1 - np.arange(1, _ROWS + 1) / _ROWS) ** 1.5, len(chain))
  follow = parts.follow_vertices(np.tile(chain, _ROWS), weights, head_size)
  all_points = np.vstack(rows)
  return parts.Part(
    name="neck",
    points=all_points,
    triangles=triangles,
    follow=follow,
    follow_expression=follow,
    jaw=np.zeros(len(all_points)),
    chart=chart.to_chart(all_points),
  )
