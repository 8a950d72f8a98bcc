"""Gives another model what it lacks: colours, occlusion, parts, landmarks."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy import spatial

from facerec_jax.face.morphable_model import MorphableModel
from facerec_jax.model_files import correspondence
from facerec_jax.model_files import mesh_editing
from facerec_jax.model_files import surface
from facerec_jax.model_files.formats import raw_model

RawModel = raw_model.RawModel

# Parts inside of the head, which no skin may take its colours from.
_INNER = ("mouth_interior", "teeth")
_EYES = ("left_eye", "right_eye")
# Where a model's own part has no counterpart in the template.
_NEAREST = {"lid_margin": ("lid_margin", "skin"), "lips": ("lips", "skin")}
_NEIGHBOURS = 3


@dataclasses.dataclass(frozen=True)
class Sources:
  """From which vertices of the template each vertex takes what it lacks.

  Attributes:
    vertices: [V, 3].
    weights: [V, 3], rows sum to 1.
  """

  vertices: np.ndarray
  weights: np.ndarray

  def carry(self, values: np.ndarray) -> np.ndarray:
    """Values at the template's vertices [n, ...] -> at the model's [V, ...]."""
    total = 0.0
    for k in range(self.vertices.shape[1]):
      weight = self.weights[:, k].astype(np.float32)
      shape = (len(weight),) + (1,) * (values.ndim - 1)
      total = total + values[self.vertices[:, k]] * weight.reshape(shape)
    return total


def find_sources(
  model: RawModel, template: MorphableModel, warped: np.ndarray
) -> Sources:
  """Finds the place on the template of every vertex.

  Eyes are looked up by the direction from their centres, so that irises stay
  round; other parts by place and direction of their surface, each within its
  counterpart.

  Args:
    model: in our frame, mm.
    template: with regions.
    warped: [n, 3] its vertices laid over the model.
  """
  num = len(model.mean)
  sources = Sources(np.zeros((num, 3), np.int64), np.zeros((num, 3)))
  normals = surface.vertex_normals(model.mean, model.triangles)
  triangles = np.asarray(template.triangles)
  for name, mine in _parts(model):
    allowed = _allowed(template, name)
    if name in _EYES and allowed.any():
      found, weights = _by_direction(
        model.mean[mine], np.asarray(template.mean), np.flatnonzero(allowed)
      )
    else:
      usable = triangles[allowed[triangles].all(axis=1)]
      places = surface.Surface(warped, usable, turn=6.0).closest(
        model.mean[mine], normals[mine]
      )
      found, weights = usable[places.triangle], places.weights
    sources.vertices[mine], sources.weights[mine] = found, weights
  return sources


def _parts(model):
  """(name or None, [k] vertices) of each part that has any."""
  if model.region is None or len(model.region_names) == 1:
    yield None, np.arange(len(model.mean))
    return
  for number, name in enumerate(model.region_names):
    mine = np.flatnonzero(model.region == number)
    if len(mine):
      yield name, mine


def _allowed(template, name):
  """[n] bool, the template's vertices that a part may take from."""
  region = np.asarray(template.region)
  names = template.region_names
  numbers = {n: k for k, n in enumerate(names)}
  if name in _EYES + _INNER and name in names:
    return region == numbers[name]
  inner = [numbers[n] for n in _INNER if n in numbers]
  eyes = [numbers[n] for n in _EYES if n in numbers]
  if name in _NEAREST and name in names:
    return np.isin(region, [numbers[n] for n in _NEAREST[name] if n in numbers])
  # A model whose parts are not known may have eyes in its skin.
  return ~np.isin(region, inner + (eyes if name is not None else []))


def _by_direction(points, template_points, candidates):
  center = eye_center(points)
  own = template_points[candidates]
  own_center = eye_center(own)
  tree = spatial.cKDTree(surface.unit(own - own_center))
  distance, index = tree.query(surface.unit(points - center), _NEIGHBOURS)
  weights = 1 / np.maximum(distance, 1e-4) ** 2
  return candidates[index], weights / weights.sum(axis=1, keepdims=True)


def eye_center(points: np.ndarray) -> np.ndarray:
  """Centre [3] of the sphere that fits points [n, 3] best."""
  middle = points.mean(axis=0)
  local = points - middle
  system = np.hstack([2 * local, np.ones((len(points), 1))])
  solution = np.linalg.lstsq(system, (local**2).sum(axis=1), rcond=None)[0]
  return middle + solution[:3]


def fill(
  model: RawModel, template: MorphableModel, warped: np.ndarray
) -> RawModel:
  """Completes a model: all that it has itself stays.

  Args:
    model: in our frame, mm.
    template: complete, with regions.
    warped: [n, 3] its vertices laid over the model.

  Returns:
    The model with albedo, occlusion and regions.
  """
  sources = find_sources(model, template, warped)
  fields = {"occlusion": sources.carry(np.asarray(template.occlusion))}
  if model.albedo_mean is None:
    fields["albedo_mean"] = sources.carry(np.asarray(template.albedo_mean))
    fields["albedo"] = sources.carry(np.asarray(template.albedo))
    fields["color_space"] = "linear"
  nearest = sources.vertices[
    np.arange(len(model.mean)), sources.weights.argmax(axis=1)
  ]
  transferred = np.asarray(template.region)[nearest]
  if model.region is None or len(model.region_names) == 1:
    fields["region"] = transferred
    fields["region_names"] = template.region_names
  return dataclasses.replace(model, **fields)


def add_landmarks(
  model: RawModel, face: correspondence.Template, warped: np.ndarray
) -> tuple[RawModel, tuple[int, ...]]:
  """Finds the landmarks that a model does not have.

  Args:
    model: in our frame, mm, seams not split.
    face: the template.
    warped: [n, 3] its vertices laid over the model.

  Returns:
    (the model with all 68, the iBUG indices of those found here).
  """
  missing = [k for k in range(68) if k not in model.landmarks]
  if not missing:
    return model, ()
  keep = exposed(model)
  normals = surface.vertex_normals(warped, face.triangles)
  index = face.landmarks[missing]
  places = surface.Surface(model.mean, model.triangles[keep]).closest(
    warped[index], normals[index]
  )
  model = mesh_editing.insert_points(model, missing, places.points)
  return model, tuple(missing)


def exposed(model: RawModel) -> np.ndarray:
  """[T] bool, triangles of the outer skin; all where no parts are known."""
  if model.region is None or "skin" not in model.region_names:
    return np.ones(len(model.triangles), bool)
  outer = [
    number
    for number, name in enumerate(model.region_names)
    if name in ("skin", "lips", "ears", "neck")
  ]
  return np.isin(model.region, outer)[model.triangles].all(axis=1)
