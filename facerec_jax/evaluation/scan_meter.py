"""Scan-to-mesh errors of neutral faces, beside those of the mean face."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from scipy import spatial

from facerec_jax.evaluation import outcome
from facerec_jax.evaluation import scan_distance
from facerec_jax.face import morphable_model

# Metric -> whether the alignment may scale.
RULES = {"now_mm": True, "metric_mm": False}


class Reading(NamedTuple):
  """What was measured of one face.

  Attributes:
    errors: mean distances by metric, mm.
    mean_face: the same of the mean face.
    distances: by metric, of all points.
    vertex: [V] distance seen at each vertex of the face, scaled; NaN where the
      scan has no points.
  """

  errors: dict[str, float]
  mean_face: dict[str, float]
  distances: dict[str, outcome.Distances]
  vertex: np.ndarray


class ScanMeter:
  """Measures the neutral faces of a model against scans."""

  def __init__(self, model: morphable_model.MorphableModel):
    self._model = model
    self._triangles = _measured_triangles(model)
    self._marks = np.asarray(model.landmarks)[list(scan_distance.LANDMARKS)]
    self._mean_face = self._face(np.asarray(model.mean, float))

  def neutral(self, identity) -> np.ndarray:
    """[V, 3] mm, a face without expression."""
    none = jnp.zeros(0)
    return np.asarray(
      morphable_model.vertices(self._model, jnp.asarray(identity), none), float
    )

  def measure(self, points: np.ndarray, scan: scan_distance.Scan) -> Reading:
    """Measures a face.

    Args:
      points: [V, 3] mm, its vertices without expression.
      scan: what it should be.

    Raises:
      ValueError: the scan has no points near its landmarks.
    """
    faces = self._face(points), self._mean_face
    found = {
      name: [scan_distance.measure(face, scan, scale=scale) for face in faces]
      for name, scale in RULES.items()
    }
    scaled = found["now_mm"][0]
    return Reading(
      *(
        {name: float(pair[k].distance.mean()) for name, pair in found.items()}
        for k in (0, 1)
      ),
      {
        name: outcome.Distances(*(m.distance for m in pair))
        for name, pair in found.items()
      },
      _at_vertices(scaled.move(points), scan, scaled),
    )

  def _face(self, points):
    return scan_distance.Face(points, self._triangles, points[self._marks])


def _measured_triangles(model):
  """Skin and eyes, not the inside of the mouth: no scanner sees it."""
  triangles = np.asarray(model.triangles)
  hidden = [n for n in ("mouth_interior", "teeth") if n in model.region_names]
  marked = morphable_model.region_vertices(model, *hidden)
  return triangles[~marked[triangles].any(axis=1)]


def _at_vertices(vertices, scan, measured):
  """The distance of the scan's nearest point; NaN outside of its sphere."""
  tree = spatial.cKDTree(scan.points[measured.index])
  center, radius = scan_distance.sphere(scan.landmarks)
  inside = np.linalg.norm(vertices - center, axis=1) < radius
  return np.where(inside, measured.distance[tree.query(vertices)[1]], np.nan)


def pool(readings) -> dict[str, outcome.Distances]:
  """Distances of all points of several faces, by metric."""
  return {
    name: outcome.Distances(
      np.concatenate([r.distances[name].encoder for r in readings]),
      np.concatenate([r.distances[name].mean_face for r in readings]),
    )
    for name in RULES
  }


def mean_of_vertices(readings) -> np.ndarray:
  """[V] mean over the faces that have a value there; NaN where none has."""
  values = np.stack([reading.vertex for reading in readings])
  known = np.isfinite(values)
  total = np.where(known, values, 0.0).sum(axis=0)
  count = known.sum(axis=0)
  return np.where(count > 0, total / np.maximum(count, 1), np.nan)
