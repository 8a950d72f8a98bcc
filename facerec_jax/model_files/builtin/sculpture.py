"""The neutral mean head with all its parts, assembled."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
from scipy import sparse

from facerec_jax.model_files.builtin import ears
from facerec_jax.model_files.builtin import eyes
from facerec_jax.model_files.builtin import landmark_places
from facerec_jax.model_files.builtin import mouth
from facerec_jax.model_files.builtin import neck
from facerec_jax.model_files.builtin import nose
from facerec_jax.model_files.builtin import parts
from facerec_jax.model_files.builtin import relief
from facerec_jax.model_files.builtin import smoothing
from facerec_jax.model_files.builtin import surface
from facerec_jax.model_files.builtin import topology


@dataclasses.dataclass(frozen=True)
class Sculpture:
  """The neutral mean.

  Attributes:
    mesh: chart and triangles of the head's own skin.
    head: [n, 3] vertices of the skin, mm.
    parts: what hangs on it, in the order of the whole's vertices.
    landmarks: [68] vertices.
  """

  mesh: topology.HeadMesh
  head: np.ndarray
  parts: tuple[parts.Part, ...]
  landmarks: np.ndarray

  @functools.cached_property
  def points(self) -> np.ndarray:
    """[V, 3] all vertices, mm."""
    return np.vstack([self.head, *(part.points for part in self.parts)])

  @functools.cached_property
  def part_slices(self) -> tuple[slice, ...]:
    """Where each part's vertices are in the whole."""
    stops = np.cumsum([len(self.head), *(len(p.points) for p in self.parts)])
    return tuple(map(slice, stops[:-1], stops[1:]))

  @functools.cached_property
  def triangles(self) -> np.ndarray:
    """[T, 3] of the whole."""
    size = len(self.head)
    pieces = [self.mesh.triangles]
    for part, place in zip(self.parts, self.part_slices, strict=True):
      shift = np.where(part.triangles >= size, place.start - size, 0)
      pieces.append(part.triangles + shift)
    return np.vstack(pieces)

  @functools.cached_property
  def chart(self) -> np.ndarray:
    """[V, 2] chart coordinates (mouth closed) of the whole, mm."""
    return np.vstack([self.mesh.uv, *(part.chart for part in self.parts)])

  def carry(self, displacement, *, expression: bool = False) -> np.ndarray:
    """Displacement of the skin [n, 3, ...] -> of the whole [V, 3, ...]."""
    flat = displacement.reshape(len(displacement), -1)
    follow = sparse.vstack(
      [p.follow_expression if expression else p.follow for p in self.parts]
    )
    whole = np.vstack([flat, follow @ flat])
    return whole.reshape(len(whole), *displacement.shape[1:])


def vertex_normals(points, triangles) -> np.ndarray:
  """[n, 3] unit normals, weighted by area."""
  a, b, c = (points[triangles[:, k]] for k in range(3))
  face = np.cross(b - a, c - a)
  total = np.zeros_like(points)
  for corner in range(3):
    for axis in range(3):
      total[:, axis] += np.bincount(
        triangles[:, corner], face[:, axis], len(points)
      )
  length = np.linalg.norm(total, axis=1, keepdims=True)
  return total / np.maximum(length, 1e-12)


def _head(mesh):
  points = surface.smooth_head(mesh.uv)
  points = eyes.cover(points, mesh, eyes.centers())
  points = smoothing.polish(points, mesh, smoothing.ORBIT)
  points = _lifted(points, mesh, nose.lift)
  points = _lifted(points, mesh, lambda *_: relief.along_normal(mesh))
  points = points + relief.lip_seam(mesh) + relief.nostrils(mesh.uv)
  points = smoothing.polish(points, mesh, smoothing.FOLDS)
  return eyes.cover(points, mesh, eyes.centers())


def _lifted(points, mesh, amount):
  normals = vertex_normals(points, mesh.triangles)
  return points + normals * amount(points, normals)[:, None]


def _symmetric(points, mesh):
  """Removes the rounding by which the halves differ."""
  return 0.5 * (points + points[mesh.mirror] * [-1, 1, 1])


def sculpt() -> Sculpture:
  """Makes the neutral mean head."""
  mesh = topology.head_mesh(landmark_places.left_half())
  head = _symmetric(_head(mesh), mesh)
  pieces = [
    *(eyes.eyeball_part(mesh, side) for side in (0, 1)),
    *(eyes.inner_lid_part(mesh, head, side) for side in (0, 1)),
    mouth.pocket_part(mesh, head),
    mouth.teeth_part(mesh, upper=True),
    mouth.teeth_part(mesh, upper=False),
    *(ears.ear_part(mesh, head, side) for side in (0, 1)),
    neck.neck_part(mesh, head, vertex_normals(head, mesh.triangles)),
  ]
  return Sculpture(
    mesh=mesh,
    head=head,
    parts=tuple(pieces),
    landmarks=landmark_places.vertices(mesh),
  )
