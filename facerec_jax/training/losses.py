"""Losses between read and true codes, in the space of the face model.

Every loss is scaled by its value for the mean code of the training data, so
that 1 means "as good as always answering the mean" and losses of different
units can be weighted against each other.
"""

from __future__ import annotations

from collections.abc import Mapping
import functools
from typing import NamedTuple

from flax import struct
import jax
import jax.numpy as jnp

from facerec_jax.face import code_vector
from facerec_jax.face import morphable_model
from facerec_jax.render import geometry
from facerec_jax.render import illumination
from facerec_jax.render import renderer

LOSSES = ("model_space", "code", "vertices", "landmarks")


@struct.dataclass
class CodeSpace:
  """What the losses know of the code: its statistics and its effects.

  Attributes:
    mean: [D] of the training codes; an untrained encoder answers this.
    std: [D] of the training codes.
    effect: [D] how much a change of one unit of each number changes the face
      (see `coefficient_effects`).
    gram: [Ki + Ke, Ki + Ke] mean over the face's vertices of products of basis
      columns, mm^2: the quadratic form of the mean squared vertex distance.
    landmark_model: the morphable model at its 68 landmarks.
    camera: reference camera.
  """

  mean: jax.Array
  std: jax.Array
  effect: jax.Array
  gram: jax.Array
  landmark_model: morphable_model.MorphableModel
  camera: geometry.Camera


class Loss(NamedTuple):
  """A configured loss; hashable, so that it can be a static argument.

  Attributes:
    terms: (name of `LOSSES`, weight) pairs.
    groups: (code group, weight) pairs of the terms `model_space` and `code`.
  """

  terms: tuple[tuple[str, float], ...]
  groups: tuple[tuple[str, float], ...]


def create(
  terms: Mapping[str, float], groups: Mapping[str, float] | None = None
) -> Loss:
  """Checks names and weights of a loss.

  Args:
    terms: weight by name of `LOSSES`.
    groups: weight by code group, 1 where missing.

  Returns:
    The loss.

  Raises:
    ValueError: an unknown name or a negative weight.
  """
  groups = {**dict.fromkeys(code_vector.GROUPS, 1.0), **(groups or {})}
  for kind, weights, allowed in (
    ("loss", terms, LOSSES),
    ("code group", groups, code_vector.GROUPS),
  ):
    for name, weight in weights.items():
      if name not in allowed:
        raise ValueError(f"{kind} {name!r} is none of {', '.join(allowed)}")
      if weight < 0:
        raise ValueError(f"{kind} {name}: weight {weight} is negative")
  if not any(weight > 0 for weight in terms.values()):
    raise ValueError("loss: all weights are 0; give one of them a weight")
  return Loss(tuple(sorted(terms.items())), tuple(groups.items()))


@functools.partial(jax.jit, static_argnums=1)
def code_space(
  model: morphable_model.MorphableModel,
  layout: code_vector.CodeLayout,
  camera: geometry.Camera,
  mean,
  std,
) -> CodeSpace:
  """Measures the code of a model; mean and std [D] are of training codes."""
  few = morphable_model.truncate(
    model,
    identity=layout.identity,
    expression=layout.expression,
    albedo=layout.albedo,
  )
  weights = morphable_model.face_weights(model)
  weights = weights / jnp.sum(weights)
  shape = jnp.concatenate([few.identity, few.expression], axis=-1)
  shape = shape * jnp.sqrt(weights)[:, None, None]
  flat = shape.reshape(-1, shape.shape[-1])
  gram = jnp.dot(flat.T, flat, precision=jax.lax.Precision.HIGHEST)
  return CodeSpace(
    mean=mean,
    std=std,
    effect=coefficient_effects(few, layout, mean, weights),
    gram=gram,
    landmark_model=morphable_model.restrict(few, model.landmarks),
    camera=camera,
  )


def coefficient_effects(model, layout, mean, weights) -> jax.Array:
  """How much a unit of each number of a code changes the face, [D].

  The weights of the model-space loss (InverseFaceNet, Kim et al. 2018, and the
  thesis after it): root-mean-square over vertices of the displacement in mm
  for identity, expression, rotation and translation, of the change of linear
  RGB for albedo and illumination. Translation along z counts by the change of
  size that it causes.

  Args:
    model: truncated to the layout.
    layout: of the code.
    mean: [D] code, for the distance of the camera.
    weights: [V] of the vertices, sum 1.
  """
  points = model.mean - weights @ model.mean
  x, y, z = weights @ points**2
  depth = jnp.abs(layout.unflatten(mean).translation[2])
  normals = geometry.vertex_normals(
    model.mean, model.triangles, model.incidence
  )
  unit_lights = jnp.eye(27).reshape(27, 9, 3)
  shading = jax.vmap(lambda light: _signed_shading(normals, light))(unit_lights)

  def rms(basis):
    return jnp.sqrt(weights @ jnp.sum(basis**2, axis=1))

  effects = {
    "identity": rms(model.identity),
    "expression": rms(model.expression),
    "albedo": rms(model.albedo),
    # Pitch turns y and z, yaw x and z, roll x and y.
    "rotation": jnp.sqrt(jnp.stack([y + z, x + z, x + y])),
    "translation": jnp.stack([1.0, 1.0, jnp.sqrt(x + y) / depth]),
    "illumination": rms((model.albedo_mean * shading).transpose(1, 2, 0)),
  }
  return jnp.concatenate(
    [effects[name][: getattr(layout, name)] for name in code_vector.GROUPS]
  )


def _signed_shading(normals, light):
  # Shading is linear in the light but for its clip at 0: the harmonics of one
  # sign at a time survive it.
  bright = illumination.shading(normals, light)
  return bright - illumination.shading(normals, -light)


def total_loss(
  loss: Loss,
  space: CodeSpace,
  predicted,
  true,
  *,
  layout: code_vector.CodeLayout,
) -> tuple[jax.Array, dict[str, jax.Array]]:
  """The weighted sum of the loss's terms over a batch.

  Args:
    loss: which terms and weights.
    space: statistics and effects of the code.
    predicted: [B, D] codes.
    true: [B, D] codes.
    layout: of the codes.

  Returns:
    (scalar, {name: scalar}); the dictionary has each term and, for terms with
    groups, each group.
  """
  terms, total = {}, 0.0
  for name, weight in loss.terms:
    if weight == 0:
      continue
    value, parts = _TERMS[name](space, predicted, true, layout, loss.groups)
    terms[name] = value
    terms.update({f"{name}/{part}": part_value for part, part_value in parts})
    total = total + weight * value
  terms["loss"] = total
  return total, terms


def _model_space(space, predicted, true, layout, groups):
  return _grouped(space.effect, space, predicted, true, layout, groups)


def _code(space, predicted, true, layout, groups):
  return _grouped(1.0 / space.std, space, predicted, true, layout, groups)


def _grouped(weight, space, predicted, true, layout, groups):
  """Share of each group's variance that is left, averaged over groups."""
  square = (weight * (predicted - true)) ** 2
  variance = jnp.broadcast_to(weight * space.std, square.shape[1:]) ** 2
  parts, total, weights = [], 0.0, 0.0
  for name, group_weight in groups:
    part = layout.slices[name]
    if part.stop == part.start:
      continue
    value = square[:, part].sum(-1).mean() / variance[part].sum()
    parts.append((name, value))
    total, weights = total + group_weight * value, weights + group_weight
  return total / max(weights, 1e-9), parts


def _vertices(space, predicted, true, layout, groups):
  """Root-mean-square vertex distance in the model frame, mm."""
  del groups
  count = layout.identity + layout.expression
  distance = _shape_distance(space, (predicted - true)[:, :count])
  scale = jnp.sqrt(jnp.sum(jnp.diag(space.gram) * space.std[:count] ** 2))
  return distance.mean() / scale, [("mm", distance.mean())]


def _shape_distance(space, difference):
  square = jnp.einsum(
    "bi,ij,bj->b",
    difference,
    space.gram,
    difference,
    precision=jax.lax.Precision.HIGHEST,
  )
  # The root's slope at 0 is infinite: 1e-6 mm^2 is below any interest.
  return jnp.sqrt(jnp.maximum(square, 0.0) + 1e-6)


def _landmarks(space, predicted, true, layout, groups):
  """Mean distance of the projected landmarks, px."""
  del groups

  def project(flat):
    return renderer.project_landmarks(
      space.landmark_model, space.camera, layout.unflatten(flat)
    )

  def distance(first, second):
    square = jnp.sum((first - second) ** 2, axis=-1)
    return jnp.sqrt(square + 1e-6).mean(axis=-1)

  seen = jax.vmap(project)(true)
  pixels = distance(jax.vmap(project)(predicted), seen).mean()
  # The mean code's answer to this very batch: no statistics are kept for it.
  scale = distance(project(space.mean), seen).mean()
  return pixels / jax.lax.stop_gradient(scale), [("px", pixels)]


_TERMS = {
  "model_space": _model_space,
  "code": _code,
  "vertices": _vertices,
  "landmarks": _landmarks,
}
assert tuple(_TERMS) == LOSSES
