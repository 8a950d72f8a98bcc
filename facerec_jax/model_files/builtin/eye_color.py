"""Colour of the eyeball: pupil, iris, limbal ring, sclera."""

from __future__ import annotations

import numpy as np

from facerec_jax.model_files.builtin import chart
from facerec_jax.model_files.builtin import measurements

smoothstep = chart.smoothstep

_PUPIL = 0.004
_PUPIL_RADIUS = 1.75  # mm
_COLLARETTE = 2.6  # mm, the iris' inner zone
_SCLERA = np.array([0.56, 0.51, 0.47])
_CANTHUS = np.array([0.42, 0.29, 0.24])
# Fibres of the iris: dark and light spokes.
_SPOKES = ((7, 0.4, 0.10), (11, 2.1, 0.08))


def eye_color(radius, angle, iris) -> np.ndarray:
  """Albedo of the eyeball.

  Args:
    radius: [n] mm from the eye's axis.
    angle: [n] around it, radians.
    iris: [3] linear RGB.

  Returns:
    [n, 3] linear RGB.
  """
  edge = measurements.IRIS_RADIUS
  inner = chart.bump(radius - _COLLARETTE, 0.9)
  limbus = smoothstep(edge - 1.1, edge - 0.1, radius)
  tone = (1 + 0.35 * inner) * (1 - 0.55 * limbus)
  for count, phase, depth in _SPOKES:
    tone = tone * (1 + depth * np.cos(count * angle + phase))
  # The inner zone is browner.
  warm = 1 + inner[:, None] * np.array([0.12, 0.0, -0.15])
  color = iris * tone[:, None] * warm
  corner = np.clip((radius - 6) / 6, 0, 1)[:, None]
  sclera = _SCLERA * (1 - corner) + _CANTHUS * corner
  outside = smoothstep(edge - 0.45, edge + 0.25, radius)[:, None]
  color = color * (1 - outside) + sclera * outside
  pupil = smoothstep(_PUPIL_RADIUS - 0.25, _PUPIL_RADIUS + 0.25, radius)
  return color * pupil[:, None] + _PUPIL * (1 - pupil[:, None])
