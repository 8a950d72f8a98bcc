"""The named modes of identity, calibrated on measured people.

Raw fields (`identity_fields`, `identity_features`) are combined into *pure*
ones, each of which changes its own measure by 1 mm and no other. Pure fields
times a square root of the covariance that people have within one sex give the
modes: each is mostly its own name and brings its correlates along. Sex, age
and weight change the measures by published amounts; their share is taken off
that covariance.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from facerec_jax.model_files.builtin import chart
from facerec_jax.model_files.builtin import eyes
from facerec_jax.model_files.builtin import identity_features
from facerec_jax.model_files.builtin import identity_fields
from facerec_jax.model_files.builtin import identity_life
from facerec_jax.model_files.builtin import identity_measures
from facerec_jax.model_files.builtin import identity_statistics

# Skin up to 6.5 mm from the lid margin lies close to the eyeball, and that of
# the outer corner beside it.
LID_RULE = {"reach": 6.5, "front": (-0.35, 0.1)}

_LIFE = (identity_fields.sex, identity_life.age, identity_life.weight)
# In the order of `identity_statistics.FACE`, `DETAIL`.
_FACE = (
  identity_fields.face_width,
  identity_fields.face_height,
  identity_features.eye_spacing,
  identity_fields.jaw_width,
  identity_features.nose_breadth,
  identity_fields.nose_length,
  identity_features.nose_projection,
  identity_features.mouth_width,
  identity_fields.forehead_width,
  identity_fields.face_depth,
  identity_fields.jaw_depth,
)
_DETAIL = (
  identity_fields.chin_height,
  identity_fields.chin_width,
  identity_features.brow_ridge,
  identity_features.eye_depth,
  identity_features.fissure_length,
  identity_features.fissure_height,
  identity_features.eye_tilt,
  identity_features.brow_height,
  identity_features.brow_arch,
  identity_features.tip_rotation,
  identity_features.root_height,
  identity_features.root_breadth,
  identity_features.nose_hump,
  identity_features.upper_lip,
  identity_features.lower_lip,
  identity_features.lip_protrusion,
  identity_features.philtrum_length,
)
# Without a measure, mm per standard deviation as they stand.
_SHAPE = (
  identity_fields.cheek_fullness,
  identity_fields.cheekbones,
  identity_fields.midface_depth,
  identity_fields.temples,
  identity_fields.forehead_slope,
)
_HEAD = (
  identity_fields.head_breadth,
  identity_fields.head_height,
  identity_life.ear_length,
  identity_life.ear_breadth,
  identity_life.ear_protrusion,
)
_BACK = (identity_fields.head_length,)
_WHOLE_HEAD = ("head_breadth", "head_height", "head_length")
# Fields that ears or neck follow point by point instead of as a whole.
_ON_PARTS = {
  "ear_length": ("ears",),
  "ear_breadth": ("ears",),
  "ear_protrusion": ("ears",),
  "weight": ("neck",),
}
# Least share of a detail's variance that its own mode keeps.
_LEAST_OWN = 0.2


class NamedModes(NamedTuple):
  """Displacements [V, 3] of the whole model, mm per standard deviation.

  Attributes:
    face: of the face, by name.
    head: of cranium and ears.
    changes: the linear measures that all other modes must keep.
  """

  face: dict[str, np.ndarray]
  head: dict[str, np.ndarray]
  changes: identity_measures.Changes


def whole(sculpture, skin, function) -> np.ndarray:
  """[V, 3] a field on the skin and on what hangs on it."""
  name = function.__name__
  field = function(skin)
  if name not in _WHOLE_HEAD:
    # The back of the head is no part of these measures.
    in_front = chart.smoothstep(-165, -100, sculpture.head[:, 2])
    field = field * in_front[:, None]
  rule = {} if name == "fissure_length" else LID_RULE
  field = eyes.follow_lids(field, sculpture.head, sculpture.mesh, **rule)
  moved = sculpture.carry(field)
  for part, where in zip(sculpture.parts, sculpture.part_slices, strict=True):
    if part.name in _ON_PARTS.get(name, ()):
      uv = chart.to_chart(part.points)
      flat = np.zeros_like(part.points)
      moved[where] = function(identity_fields.Skin(part.points, uv, flat))
  return moved


def named_modes(sculpture) -> NamedModes:
  """The calibrated named modes."""
  skin = identity_fields.skin_of(sculpture)

  def raw(functions):
    return np.stack([whole(sculpture, skin, f) for f in functions], axis=-1)

  face, head, detail = (
    identity_measures.Changes(sculpture, table)
    for table in (
      identity_statistics.FACE,
      identity_statistics.HEAD,
      identity_statistics.DETAIL,
    )
  )
  core = face + head
  pure = _pure(raw(_FACE + _HEAD), core)

  def keep(fields, wanted=None):
    """Changes fields by pure ones so that they change measures as wanted."""
    have = core(fields)
    return fields + pure @ ((0.0 if wanted is None else wanted) - have)

  life = keep(raw(_LIFE), _life_changes(core.names))
  columns = pure @ _columns(len(face.names), core.names)
  fine = _details(keep(raw(_DETAIL)), detail, face, columns)
  shape = keep(raw(_SHAPE))
  back = keep(raw(_BACK))
  split = len(face.names)
  in_front = (
    (_LIFE, life),
    (_FACE, columns[..., :split]),
    (_DETAIL, fine),
    (_SHAPE, shape),
  )
  behind = ((_HEAD, columns[..., split:]), (_BACK, back))
  return NamedModes(_by_name(in_front), _by_name(behind), core)


def _by_name(groups):
  return {
    function.__name__: fields[..., k]
    for functions, fields in groups
    for k, function in enumerate(functions)
  }


def _pure(fields, changes):
  """Combinations [V, 3, m] that each change one of the measures by 1 mm."""
  return fields @ np.linalg.inv(changes(fields))


def _life_changes(names):
  """[m, 3] what one unit of sex, age and weight does to the measures, mm."""
  table = identity_statistics
  measures = {**table.FACE, **table.HEAD}
  sex = 0.5 * np.array([measures[name].difference for name in names])
  age, weight = (table.vector(x, names) for x in (table.AGE, table.WEIGHT))
  return np.column_stack([sex, age, weight])


def _columns(split, names):
  """[m, m] modes in pure fields: a square root of the covariance, mm.

  The first `split` measures get the symmetric root of their own covariance, so
  that their statistics hold without the others' modes; the others follow them
  by regression and keep a symmetric root of the rest.
  """
  table = identity_statistics
  measures = {**table.FACE, **table.HEAD}
  life = _life_changes(names) * [np.sqrt(table.SEX_VARIANCE), 1, 1]
  life[:, 1:] *= np.sqrt(table.CUT_VARIANCE)
  wanted = table.covariance({name: measures[name] for name in names})
  rest = (wanted - life @ life.T) / table.CUT_VARIANCE
  spread = np.sqrt(np.diag(rest))
  rest = rest / np.outer(spread, spread)
  first = _root(rest[:split, :split])
  along = np.linalg.solve(first, rest[:split, split:]).T
  second = _root(rest[split:, split:] - along @ along.T)
  upper = np.zeros((split, len(names) - split))
  return spread[:, None] * np.block([[first, upper], [along, second]])


def _root(matrix):
  """Symmetric square root; eigenvalues are kept from 0."""
  value, vector = np.linalg.eigh(matrix)
  return (vector * np.sqrt(np.maximum(value, 0.02))) @ vector.T


def _details(fields, detail, face, columns):
  """Modes [V, 3, k] of the finer measures.

  Their spread is what the face's modes leave of the published one; upper and
  lower lip go together, and both with the breadth of the nose.
  """
  table = identity_statistics
  # Scaled to 1 mm of their own measure. What they change of each other's is
  # left: a lip's height at a fixed chin, say, would pleat the skin between.
  pure = fields / np.diagonal(detail(fields))
  brought = detail(columns)
  wanted = np.array([m.spread for m in table.DETAIL.values()]) ** 2
  own = wanted / table.CUT_VARIANCE - (brought**2).sum(axis=1)
  spread = np.sqrt(np.maximum(own, _LEAST_OWN * wanted))
  modes = pure @ (spread[:, None] * _root(table.correlation(detail.names)))
  lips = [detail.names.index(name) for name in ("upper_lip", "lower_lip")]
  share = table.LIPS_WITH_NOSE_BREADTH
  nose = face.names.index("nose_breadth")
  columns[..., nose] += share * pure[..., lips] @ spread[lips]
  modes[..., lips] *= np.sqrt(1 - share**2)
  return modes
