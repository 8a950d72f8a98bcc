"""The lobes of the nose: its tip and wings, rounded forms on the bridge.

A wing (ala) overhangs the groove behind it, which no smooth surface through
sparse points does. Each lobe is an ellipsoid, half sunk in the nose; the skin
is lifted onto it along its normals, with a soft seam.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from facerec_jax.model_files.builtin import measurements

_SEAM = 0.9  # mm over which a lobe and the skin around it blend


@dataclasses.dataclass(frozen=True)
class Lobe:
  """An ellipsoid.

  Attributes:
    center: [3] mm.
    axes: [3, 3] rows are orthonormal directions.
    radii: [3] mm along them.
  """

  center: np.ndarray
  axes: np.ndarray
  radii: np.ndarray

  def distance(self, points):
    """Roughly the signed distance [n] of points [n, 3], < 0 inside, mm."""
    local = (points - self.center) @ self.axes.T
    scaled = np.linalg.norm(local / self.radii, axis=1)
    steepness = np.linalg.norm(local / self.radii**2, axis=1)
    return scaled * (scaled - 1.0) / np.maximum(steepness, 1e-9)

  def exit(self, points, directions):
    """[n] way along unit directions [n, 3] to the far side, mm."""
    start = (points - self.center) @ self.axes.T / self.radii
    step = directions @ self.axes.T / self.radii
    a, b = (step**2).sum(axis=1), (start * step).sum(axis=1)
    c = (start**2).sum(axis=1) - 1.0
    return (np.sqrt(np.maximum(b * b - a * c, 0.0)) - b) / np.maximum(a, 1e-9)


def _lobe(center, forward, up, radii):
  forward = np.asarray(forward, float) / np.linalg.norm(forward)
  side = np.cross(up, forward)
  side = side / np.linalg.norm(side)
  axes = np.stack([forward, np.cross(forward, side), side])
  return Lobe(np.asarray(center, float), axes, np.asarray(radii, float))


def tip() -> Lobe:
  """The rounded tip: 26 mm before the sellion (pronasale)."""
  return _lobe((0, -38.8, 15.5), (0, -0.12, 1), (0, 1, 0), (10.0, 8.6, 10.2))


def wing() -> Lobe:
  """The left wing: alare 17.5 mm from the midline, its root at 16 mm."""
  return _lobe((12.2, -42.3, 5.0), (-3.6, 2.4, 12), (0, 1, 0), (10.2, 5.8, 5.5))


def lift(points, normals) -> np.ndarray:
  """How far the skin is lifted onto the lobes, [n] mm along its normals."""
  folded = points * np.where(points[:, :1] < 0, measurements.MIRROR, 1.0)
  outward = normals * np.where(points[:, :1] < 0, measurements.MIRROR, 1.0)
  height = np.zeros(len(points))
  for lobe in (tip(), wing()):
    outside = lobe.distance(folded)
    way = np.where(outside < 0, lobe.exit(folded, outward), -outside)
    soft = 0.5 * (way + np.hypot(way, _SEAM))
    height = np.maximum(height, np.where(way > -6.0, soft, 0.0))
  return height
