"""Fewer triangles: the face alone, or a coarser mesh that carries all along."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np
from scipy import sparse

from facerec_jax.model_files import mesh_editing
from facerec_jax.model_files import surface
from facerec_jax.model_files.formats import raw_model

FormatError = raw_model.FormatError
RawModel = raw_model.RawModel

CROPS = ("all", "head", "face")
# What "face" keeps: mm around the tip of the nose of the mean, at least what
# comparisons of faces see (morphable_model.FACE_RADIUS), and mm around the
# farthest landmark.
_FACE_RADIUS, _MARGIN = 115.0, 6.0
# What "head" keeps: mm below the chin.
_NECK = 45.0
_FEWEST = 200
# Relief of the shape that is collapsed, mm between black and white: edges of
# colour count as edges of shape.
_RELIEF = 16.0
# Parts inside of the head count as if they were smaller.
_INNER = ("mouth_interior", "teeth", "lid_margin")
_INNER_SIZE = 0.3
# So does what is farther from the tip of the nose than this, mm.
_NEAR, _FAR_SIZE = 90.0, 0.35


class Loss(NamedTuple):
  """What decimation changed, mm: from the old vertices to the new surface."""

  rms: float
  largest: float


def crop(model: RawModel, part: str) -> RawModel:
  """Keeps a part of a model in our frame.

  Args:
    model: with all landmarks.
    part: "all"; "head", without shoulders; "face", around the nose.
  """
  if part == "all":
    return model
  if part == "head":
    return _cut_neck(model, model.mean[model.landmarks[8], 1] - _NECK)
  tip = model.mean[model.landmarks[30]]
  distance = np.linalg.norm(model.mean - tip, axis=1)
  farthest = distance[list(model.landmarks.values())].max() + _MARGIN
  near = distance < max(_FACE_RADIUS, farthest)
  near |= _inner_part(model)
  return mesh_editing.keep_triangles(model, near[model.triangles].all(axis=1))


def _cut_neck(model, height):
  """Cuts at a height; what crosses it is drawn up to it: a straight edge."""
  above = model.mean[:, 1] > height
  model = mesh_editing.keep_triangles(model, above[model.triangles].any(axis=1))
  mean = model.mean.copy()
  mean[:, 1] = np.maximum(mean[:, 1], height)
  return dataclasses.replace(model, mean=mean)


def _inner_part(model):
  """Eyes and mouths are kept whole."""
  if model.region is None:
    return np.zeros(len(model.mean), bool)
  outer = ("skin", "ears", "neck")
  names = [k for k, n in enumerate(model.region_names) if n not in outer]
  return np.isin(model.region, names)


def decimate(model: RawModel, count: int) -> tuple[RawModel, Loss]:
  """Collapses edges until about `count` triangles are left.

  By quadric error (Garland & Heckbert 1997) on the mean. Each new vertex is a
  point of an old triangle among those that collapsed into it, so that bases,
  albedo, UV and occlusion are carried by barycentric means; borders (seams of
  the chart, too) keep their vertices, and landmarks theirs.

  Args:
    model: in our frame, seams split.
    count: triangles wanted.

  Returns:
    (the model, the change of the mean).

  Raises:
    FormatError: fewer triangles than a face needs, or the library is missing.
  """
  if count < _FEWEST:
    raise FormatError(f"--triangles={count}: a face needs at least {_FEWEST}")
  if count >= len(model.triangles):
    return model, Loss(0.0, 0.0)
  shape = _shape_to_collapse(model)
  triangles, mapping, places = _collapse(shape, model.triangles, count)
  mix = _operator(shape, model.triangles, mapping, places)
  landmarks = _keep_landmarks(model, mapping, mix)
  mix = _with_rows(mix, landmarks, model)
  coarse = dataclasses.replace(
    mesh_editing.blend(model, mix),
    triangles=triangles,
    landmarks=landmarks,
  )
  return coarse, _loss(model, coarse)


def _shape_to_collapse(model):
  """[V, 3]: the mean, changed so that what is seen well is kept well."""
  shape = np.array(model.mean, np.float64)
  if model.albedo_mean is not None:
    normals = surface.vertex_normals(shape, model.triangles)
    light = np.sqrt(np.clip(model.albedo_mean, 0, 1)).mean(axis=1)
    shape += _RELIEF * light[:, None] * normals
  if model.region is not None:
    names = [k for k, n in enumerate(model.region_names) if n in _INNER]
    inner = np.isin(model.region, names)
    if inner.any():
      middle = shape[inner].mean(axis=0)
      shape[inner] = middle + _INNER_SIZE * (shape[inner] - middle)
  tip = model.mean[model.landmarks[30]]
  distance = np.linalg.norm(shape - tip, axis=1)[:, None]
  beyond = np.maximum(distance - _NEAR, 0.0)
  shrunk = (distance - (1 - _FAR_SIZE) * beyond) / np.maximum(distance, 1e-9)
  return tip + shrunk * (shape - tip)


def _collapse(shape, triangles, count):
  """(new triangles, new vertex of each old one, new places)."""
  try:
    import fast_simplification
  except ImportError:
    raise FormatError(
      "--triangles needs fast-simplification: pip install 'facerec_jax[import]'"
    ) from None
  # The library wants arrays of its own that it may write to.
  old = np.array(triangles, np.int32)
  _, _, collapses = fast_simplification.simplify(
    shape, old, target_count=count, return_collapses=True, preserve_border=True
  )
  places, triangles, mapping = fast_simplification.replay_simplification(
    shape, old, collapses
  )
  return np.asarray(triangles, np.int64), np.asarray(mapping), places


def _operator(shape, triangles, mapping, places):
  """[n, V] sparse: each new vertex as a point of an old triangle."""
  # Old triangles that touch what collapsed into a new vertex.
  new = mapping[triangles].ravel()
  old = np.repeat(np.arange(len(triangles)), 3)
  pairs = np.unique(np.column_stack([new, old])[new >= 0], axis=0)
  corners, target = shape[triangles[pairs[:, 1]]], places[pairs[:, 0]]
  weights = surface.closest_weights(target, corners)
  distance = (((corners * weights[..., None]).sum(axis=1) - target) ** 2).sum(1)
  order = np.lexsort([distance, pairs[:, 0]])
  first = np.ones(len(order), bool)
  first[1:] = np.diff(pairs[order, 0]) > 0
  best = order[first]
  rows = np.repeat(pairs[best, 0], 3)
  columns = triangles[pairs[best, 1]].ravel()
  return sparse.csr_matrix(
    (weights[best].ravel(), (rows, columns)), shape=(len(places), len(shape))
  )


def _keep_landmarks(model, mapping, mix):
  """Vertex of each landmark; two landmarks never share one."""
  places = mix @ model.mean
  taken, landmarks = set(), {}
  for index, vertex in sorted(model.landmarks.items()):
    found = int(mapping[vertex])
    if found < 0 or (found in taken):
      distance = np.linalg.norm(places - model.mean[vertex], axis=1)
      distance[list(taken)] = np.inf
      found = int(distance.argmin())
    shared = [
      k for k, v in model.landmarks.items() if v == vertex and k < index
    ]
    if shared:
      found = landmarks[shared[0]]
    taken.add(found)
    landmarks[index] = found
  return landmarks


def _with_rows(mix, landmarks, model):
  """Landmarks' rows become the old vertices themselves."""
  mix = mix.tolil()
  for index, vertex in landmarks.items():
    mix[vertex] = 0
    mix[vertex, model.landmarks[index]] = 1.0
  return mix.tocsr()


def _loss(model, coarse):
  """Distance of old vertices to the new surface, of the same direction."""
  normals = surface.vertex_normals(model.mean, model.triangles)
  found = surface.Surface(coarse.mean, coarse.triangles, turn=2.0).closest(
    model.mean, normals
  )
  distance = np.linalg.norm(found.points - model.mean, axis=1)
  return Loss(
    float(np.sqrt((distance**2).mean())), float(distance.max(initial=0))
  )
