"""Dense correspondence: where one model's vertices lie on another's faces."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from facerec_jax.face import morphable_model
from facerec_jax.model_files import correspondence
from facerec_jax.model_files import surface

MorphableModel = morphable_model.MorphableModel

# Vertices farther than this from the other's surface have no counterpart, mm.
_APART = 3.0
_OUTER = ("skin", "lips", "ears", "neck")


class Correspondence(NamedTuple):
  """Places on the other model's mesh of the first model's vertices.

  Attributes:
    corners: [V, 3] vertices of the other model.
    shares: [V, 3] of them, sum 1.
    weights: [V] 1 where the first model's vertex counts, else 0.
  """

  corners: np.ndarray
  shares: np.ndarray
  weights: np.ndarray

  def carry(self, points: np.ndarray) -> np.ndarray:
    """Vertices [V', 3] of the other -> places of the first's vertices."""
    return (points[self.corners] * self.shares[..., None]).sum(axis=1)


def outer_triangles(model: MorphableModel) -> np.ndarray:
  """[n, 3] triangles of the outer skin; all where parts are not known."""
  triangles = np.asarray(model.triangles)
  names = [name for name in model.region_names if name in _OUTER]
  if "skin" not in names:
    return triangles
  marked = morphable_model.region_vertices(model, *names)
  return triangles[marked[triangles].all(axis=1)]


def correspond(model: MorphableModel, other: MorphableModel) -> Correspondence:
  """Lays the mean of a model over that of another.

  Args:
    model: whose vertices are placed.
    other: on whose faces.

  Returns:
    The places.
  """
  face = correspondence.template(model)
  points = np.asarray(other.mean, float)
  triangles = outer_triangles(other)
  marks = dict(enumerate(np.asarray(other.landmarks)))
  laid = correspondence.lay_over(face, points, triangles, marks)
  normals = surface.vertex_normals(laid, face.triangles)
  found = surface.Surface(points, triangles).closest(laid, normals)
  near = np.linalg.norm(found.points - laid, axis=1) < _APART
  weights = np.asarray(morphable_model.face_weights(model)) > 0
  return Correspondence(
    triangles[found.triangle],
    found.weights,
    1.0 * (near & weights & face.drawn),
  )
