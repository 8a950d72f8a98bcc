"""From a file's units and axes to ours: millimetre, y up, face toward +z."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np

from facerec_jax.face import landmarks as landmark_groups
from facerec_jax.model_files import surface
from facerec_jax.model_files.formats import raw_model

FormatError = raw_model.FormatError
RawModel = raw_model.RawModel

# Name -> mm.
UNITS = {"m": 1000.0, "cm": 10.0, "mm": 1.0, "um": 0.001}
# mm: outer canthi of adults are 90.4 apart (sd 4); a head with or without
# ears, neck and shoulders is this wide.
_CANTHI = (72.0, 112.0)
_WIDTH = (100.0, 520.0)
# Landmarks that say which way a face looks; least number of them.
_ENOUGH = 6
# Mean distance of landmarks from an adult's after the best similarity, in
# outer-canthal distances, at which they are no face's.
_NO_FACE = 0.25
# Part of the arrangement of axes that another must beat: files mostly have
# their axes as their format says.
_CLEARLY = 0.5


def find_unit(model: RawModel, unit: str | None = None) -> tuple[float, str]:
  """Length of a file's unit.

  Args:
    model: in its own unit.
    unit: of `UNITS`, or None to infer it.

  Returns:
    (mm in a unit, how it was found).

  Raises:
    FormatError: no unit makes the model an adult's face.
  """
  outer = [model.landmarks.get(k) for k in landmark_groups.OUTER_CANTHI]
  if None not in outer:
    a, b = model.mean[outer]
    length, limits = float(np.linalg.norm(a - b)), _CANTHI
    what = "outer canthi"
  else:
    length, limits = _width(model), _WIDTH
    what = "width of the head"
  if unit is not None:
    return UNITS[
      unit
    ], f"{unit}, as asked ({what}: {length * UNITS[unit]:.1f} mm)"
  for name, scale in UNITS.items():
    if limits[0] <= scale * length <= limits[1]:
      return scale, f"{name}, by the {what}: {length * scale:.1f} mm"
  raise FormatError(
    f"{what} measure {length:.4g}: in none of m, cm, mm, um is that an adult's "
    f"{limits[0]:.0f} to {limits[1]:.0f} mm; name the unit by --unit"
  )


def _width(model):
  used = model.mean[np.unique(model.triangles)]
  low, high = np.percentile(used[:, 0], [0.5, 99.5])
  return float(high - low)


def scaled(model: RawModel, scale: float) -> RawModel:
  """The model in units of 1 / scale."""
  return dataclasses.replace(
    model,
    mean=model.mean * np.float32(scale),
    identity=model.identity * np.float32(scale),
    expression=model.expression * np.float32(scale),
  )


def rotated(model: RawModel, rotation: np.ndarray) -> RawModel:
  """The model turned by R [3, 3] about its origin."""
  turn = rotation.astype(np.float32)
  return dataclasses.replace(
    model,
    mean=model.mean @ turn.T,
    identity=np.einsum("ij,vjk->vik", turn, model.identity),
    expression=np.einsum("ij,vjk->vik", turn, model.expression),
  )


def face_forward(
  model: RawModel, reference: np.ndarray
) -> tuple[RawModel, str]:
  """Turns a model whose axes differ from ours by exchanges and signs.

  Args:
    model: in mm.
    reference: [68, 3] landmarks of a face in our frame.

  Returns:
    (the model, how its axes were found).

  Raises:
    FormatError: its landmarks are not those of a face.
  """
  numbers = [k for k in sorted(model.landmarks) if k >= 17]
  if len(numbers) < _ENOUGH:
    return model, "y up, face toward +z, as the format says"
  points = model.mean[[model.landmarks[k] for k in numbers]].astype(float)
  target = reference[numbers]
  options = list(_axis_turns())
  errors = [_misfit(points @ turn.T, target) for turn in options]
  best = int(np.argmin(errors))
  if errors[0] <= errors[best] / _CLEARLY:
    best = 0
  scale = np.linalg.norm(reference[36] - reference[45])
  if _misfit(points, target, turn=True) > _NO_FACE * scale:
    raise FormatError(
      "the landmarks do not lie as on a face: the indices are of another mesh, "
      "or left and right are exchanged"
    )
  if best == 0:
    return model, "y up, face toward +z, confirmed by the landmarks"
  return rotated(model, options[best]), "turned, by the landmarks"


def _axis_turns():
  """The 24 rotations that exchange axes, the one that does nothing first."""
  identity = np.eye(3)
  yield identity
  for order in itertools.permutations(range(3)):
    for signs in itertools.product((1, -1), repeat=3):
      turn = identity[list(order)] * np.array(signs)[:, None]
      if np.linalg.det(turn) > 0 and not np.allclose(turn, identity):
        yield turn


def _misfit(points, target, *, turn=False):
  """Mean distance after the best translation and scale (and rotation)."""
  a, b = points - points.mean(axis=0), target - target.mean(axis=0)
  if turn:
    u, _, vt = np.linalg.svd(a.T @ b)
    sign = np.sign(np.linalg.det(u @ vt))
    a = a @ (u * [1, 1, sign]) @ vt
  size = max(float((a * a).sum()), 1e-12)
  a = a * max(float((a * b).sum()) / size, 0.0)
  return float(np.linalg.norm(a - b, axis=1).mean())


def outward(model: RawModel) -> tuple[RawModel, bool]:
  """Winds triangles counter-clockwise seen from outside.

  The foremost part of a face looks forward: where its normals do not, all
  triangles are turned.

  Returns:
    (the model, whether it was turned).
  """
  used = np.unique(model.triangles)
  depth = model.mean[used, 2]
  front = used[depth >= np.quantile(depth, 0.85)]
  normals = surface.vertex_normals(model.mean, model.triangles)
  if np.median(normals[front, 2]) >= 0:
    return model, False
  uv = model.corner_uv
  return dataclasses.replace(
    model,
    triangles=model.triangles[:, ::-1].copy(),
    corner_uv=None if uv is None else uv[:, ::-1].copy(),
  ), True
