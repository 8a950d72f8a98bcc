"""How much of the sky each vertex of the mean face sees."""

from __future__ import annotations

import numpy as np

from facerec_jax.model_files.builtin import chart
from facerec_jax.model_files.builtin import measurements
from facerec_jax.model_files.builtin import sculpture as sculpture_lib

_DIRECTIONS = 96
_PIXEL = 1.5  # mm of the depth buffers
_SAMPLE_AREA = 0.8  # mm2 of surface per sample
_BIAS = 1.7  # mm behind the nearest surface that still counts as seen
# What lies nearer than that is not counted; this makes up for it: under the
# nose .45-.6, in the eye's socket .6-.75, under the chin .3-.5 are usual.
_CONTRAST = 1.25
# The model ends at the neck, but shoulders and chest keep light from below the
# chin: an ellipse at this height, mm.
_SHOULDER_HEIGHT, _SHOULDER_CENTER = -200.0, -105.0
_SHOULDER_RADII = (190.0, 125.0)
# Light finds its way to eyes and teeth by other paths than the sky's.
_LEAST_LIGHT = {"left_eye": 0.5, "right_eye": 0.5, "teeth": 0.6}
_LEAST_ON_SKIN = 0.35
# The upper lid and its lashes shade the eye: mm over the eye's centre.
_LID_SHADE, _SHADED_EYE = 0.72, (1.0, 6.0)


def of_sculpture(sculpture) -> np.ndarray:
  """[V] in 0.1..1 of the mean face with its parts."""
  normals = sculpture_lib.vertex_normals(sculpture.points, sculpture.triangles)
  seen = ambient_occlusion(sculpture.points, sculpture.triangles, normals)
  seen = seen**_CONTRAST
  for part, where in zip(sculpture.parts, sculpture.part_slices, strict=True):
    if part.name in _LEAST_LIGHT:
      seen[where] = np.maximum(seen[where], _LEAST_LIGHT[part.name])
    if part.name.endswith("_eye"):
      height = part.points[:, 1] - measurements.EYE_CENTER[1]
      shade = chart.smoothstep(*_SHADED_EYE, height)
      seen[where] *= 1 - (1 - _LID_SHADE) * shade
    if part.name == "mouth_interior":
      seen[where] = np.interp(part.points[:, 2], [-30, 8], [0.15, 0.5])
  # Lips part a little and glow: no seam is black.
  seen[: len(sculpture.head)] = np.maximum(
    seen[: len(sculpture.head)], _LEAST_ON_SKIN
  )
  return np.clip(seen, 0.1, 1.0)


def ambient_occlusion(points, triangles, normals) -> np.ndarray:
  """Cosine-weighted share of directions in which a vertex sees the sky.

  From each direction the surface, as a dense set of points, is drawn into a
  depth buffer; a vertex sees that direction if nothing lies before it.

  Args:
    points: [V, 3] mm.
    triangles: [T, 3].
    normals: [V, 3].

  Returns:
    [V] in 0..1.
  """
  cloud = np.vstack([_surface_samples(points, triangles), _shoulders()])
  lifted = points + 0.6 * normals
  seen, total = np.zeros(len(points)), np.zeros(len(points))
  for direction in _sphere(_DIRECTIONS):
    weight = np.maximum(normals @ direction, 0.0)
    seen += weight * _visible(cloud, lifted, direction)
    total += weight
  return seen / np.maximum(total, 1e-6)


def _sphere(count):
  """Even directions on the sphere (golden spiral)."""
  index = np.arange(count) + 0.5
  z = 1 - 2 * index / count
  turn = np.pi * (1 + 5**0.5) * index
  across = np.sqrt(1 - z * z)
  return np.column_stack([across * np.cos(turn), across * np.sin(turn), z])


def _surface_samples(points, triangles):
  random = np.random.default_rng(5)
  a, b, c = (points[triangles[:, k]] for k in range(3))
  area = 0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1)
  owner = np.repeat(
    np.arange(len(triangles)), np.ceil(area / _SAMPLE_AREA).astype(int)
  )
  s, t = random.uniform(size=(2, len(owner)))
  flip = s + t > 1
  s, t = np.where(flip, 1 - s, s)[:, None], np.where(flip, 1 - t, t)[:, None]
  a, b, c = a[owner], b[owner], c[owner]
  return a + s * (b - a) + t * (c - a)


def _shoulders():
  """Samples of the body below the model, [n, 3]."""
  across, along = (
    np.arange(-radius, radius, _PIXEL) for radius in _SHOULDER_RADII
  )
  x, z = np.meshgrid(across, along)
  within = (x / _SHOULDER_RADII[0]) ** 2 + (z / _SHOULDER_RADII[1]) ** 2 < 1
  x, z = x[within], z[within]
  return np.column_stack(
    [x, np.full(len(x), _SHOULDER_HEIGHT), z + _SHOULDER_CENTER]
  )


def _visible(cloud, points, direction):
  side = np.cross(direction, [0.3, 1.0, 0.2])
  side /= np.linalg.norm(side)
  frame = np.stack([side, np.cross(direction, side)], axis=1)
  low = np.minimum((cloud @ frame).min(axis=0), (points @ frame).min(axis=0))

  def pixels(values):
    return ((values @ frame - low) / _PIXEL).astype(int)

  cells, wanted = pixels(cloud), pixels(points)
  width = max(cells[:, 0].max(), wanted[:, 0].max()) + 1
  height = max(cells[:, 1].max(), wanted[:, 1].max()) + 1
  nearest = np.full(width * height, -np.inf)
  np.maximum.at(nearest, cells[:, 1] * width + cells[:, 0], cloud @ direction)
  depth = nearest[wanted[:, 1] * width + wanted[:, 0]]
  return points @ direction > depth - _BIAS
