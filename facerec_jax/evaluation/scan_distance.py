"""Distance of a scan from a reconstructed face, as the NoW benchmark measures.

Sanyal et al., CVPR 2019, and the benchmark's published evaluation: the scan is
cropped to a sphere; the reconstruction is moved onto it by seven landmarks,
then so that the squared distances from the scan's points to its surface are
least. What remains are the distances, in mm. Reconstructions without a scale of
their own are scaled too ("non-metrical").
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.spatial import transform

from facerec_jax.model_files import correspondence
from facerec_jax.model_files import surface

# Outer and inner corner of the right eye, inner and outer of the left, bottom
# of the nose, right and left corner of the mouth: their numbers among iBUG's.
LANDMARKS = (36, 39, 42, 45, 33, 48, 54)
_OUTER, _INNER, _NOSE = (0, 3), (1, 2), 4
# Centre of the sphere: this share of the way up from the bottom of the nose to
# the bridge; radius: this many times (outer eye distance + that way).
_UP, _RADIUS = 0.3, 0.7
# Points of the scan that the alignment looks at, at most; all are measured.
_ALIGNED = 2000
_STEPS, _HALVINGS, _ENOUGH = 30, 4, 1e-5
_CHUNK = 20_000


class Scan(NamedTuple):
  """A measured neutral face.

  Attributes:
    points: [n, 3] mm.
    landmarks: [7, 3] mm, see LANDMARKS.
  """

  points: np.ndarray
  landmarks: np.ndarray


class Measurement(NamedTuple):
  """Distances after alignment.

  Attributes:
    index: [m] the scan's points within the sphere.
    distance: [m] mm.
    move: that takes the reconstruction to the scan.
  """

  index: np.ndarray
  distance: np.ndarray
  move: correspondence.Similarity


def sphere(landmarks: np.ndarray) -> tuple[np.ndarray, float]:
  """Centre [3] and radius of the benchmark's crop, from [7, 3] landmarks."""
  bridge = landmarks[list(_INNER)].mean(axis=0)
  up = bridge - landmarks[_NOSE]
  outer = np.linalg.norm(landmarks[_OUTER[0]] - landmarks[_OUTER[1]])
  center = landmarks[_NOSE] + _UP * up
  return center, _RADIUS * float(outer + np.linalg.norm(up))


class Face:
  """A reconstruction to be measured.

  Args:
    points: [V, 3] mm, zero expression.
    triangles: [T, 3].
    landmarks: [7, 3] on it.
  """

  def __init__(self, points, triangles, landmarks):
    self.landmarks = np.asarray(landmarks, float)
    points = np.asarray(points, float)
    center, radius = sphere(self.landmarks)
    # Nothing behind the ears is near any point that is measured.
    near = np.linalg.norm(points - center, axis=1) < 1.6 * radius
    kept = near[triangles].any(axis=1)
    # On the built-in face no point of 500 missed its nearest triangle.
    self._surface = surface.Surface(
      points, triangles[kept], turn=0.0, candidates=16
    )

  def closest(self, points) -> surface.Places:
    """Places on the surface closest to points [n, 3]."""
    parts = [
      self._surface.closest(points[start : start + _CHUNK])
      for start in range(0, len(points), _CHUNK)
    ]
    return surface.Places(*map(np.concatenate, zip(*parts, strict=True)))


def measure(face: Face, scan: Scan, *, scale: bool) -> Measurement:
  """Aligns a reconstruction to a scan and measures.

  Args:
    face: the reconstruction.
    scan: what it should be.
    scale: whether the alignment may scale (the benchmark's non-metrical rule).

  Raises:
    ValueError: no point of the scan lies within the sphere.
  """
  center, radius = sphere(scan.landmarks)
  distance = np.linalg.norm(scan.points - center, axis=1)
  index = np.flatnonzero(distance <= radius)
  if not len(index):
    raise ValueError(
      f"no point of the scan lies within {radius:.0f} mm of its nose; are its "
      "landmarks in the frame and unit of its mesh?"
    )
  points = scan.points[index].astype(float)
  start = correspondence.fit_similarity(
    face.landmarks, scan.landmarks, scale=scale
  )
  few = points[:: -(-len(points) // _ALIGNED)]
  move = _refine(face, few, start, scale=scale)
  offset, _ = _offsets(face, points, move)
  return Measurement(index, np.linalg.norm(offset, axis=1), move)


def _offsets(face, points, move):
  """From the moved face's closest places to points, and the places' normals."""
  own = (points - move.shift) @ move.rotation / move.scale
  found = face.closest(own)
  return points - move(found.points), found.normals @ move.rotation.T


def _refine(face, points, move, *, scale):
  """Gauss-Newton on the distances to tangent planes; never gets worse."""
  offset, normals = _offsets(face, points, move)
  energy = (offset**2).sum()
  for _ in range(_STEPS):
    change = _step(points - offset, offset, normals, scale)
    before = energy
    for halving in range(_HALVINGS):
      tried = _moved(move, change * 0.5**halving, points.mean(axis=0))
      found = _offsets(face, points, tried)
      if (found[0] ** 2).sum() < energy:
        move, (offset, normals) = tried, found
        energy = (offset**2).sum()
        break
    if before - energy <= _ENOUGH * before:
      break
  return move


def _step(places, offset, normals, scale):
  """[7] rotation vector, shift and growth about the centre of the points."""
  arm = places - (places + offset).mean(axis=0)
  jacobian = np.column_stack(
    [np.cross(arm, normals), normals, (arm * normals).sum(axis=1)]
  )[:, : 7 if scale else 6]
  height = (offset * normals).sum(axis=1)
  change = np.zeros(7)
  change[: jacobian.shape[1]] = np.linalg.lstsq(jacobian, height, 1e-9)[0]
  return change


def _moved(move, change, center):
  turn = transform.Rotation.from_rotvec(change[:3]).as_matrix()
  # Faces do not shrink to nothing, whatever the linear step says.
  growth = float(np.clip(1.0 + change[6], 0.8, 1.25))
  shift = growth * turn @ (move.shift - center) + center + change[3:6]
  return correspondence.Similarity(
    growth * move.scale, turn @ move.rotation, shift
  )
