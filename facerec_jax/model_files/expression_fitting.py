"""Action units and emotions in the expression basis of any model.

An action unit is a table of displacements of the 68 landmarks
(`builtin/data/au68.json`). For every model the coefficients are found that move
its own landmarks so, with the least motion of the rest of the face, within the
limits of its coefficients. Columns are named as the built-in model's.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from facerec_jax.face import landmarks as landmark_groups
from facerec_jax.face.morphable_model import MorphableModel
from facerec_jax.model_files.builtin import expression
from facerec_jax.model_files.builtin import measurements
from facerec_jax.synthesis import emotion_basis
from facerec_jax.synthesis import emotions
from facerec_jax.synthesis import expression_units

# mm: outer canthi of the face that the table is written for.
_CANTHI = 90.4
# Share of a landmark's error: points of the jaw line slide over the skin.
_WEIGHTS = np.concatenate(
  [np.full(6, 0.1), np.full(5, 0.7), np.full(6, 0.1), np.ones(51)]
)
# Per mm2: weight of the mean squared motion of all vertices, and of squared
# coefficients, against the mean squared error of landmarks.
_MOTION, _RIDGE = 0.05, 1e-3
# mm: error of landmarks that a column's own motion by as much must save.
_SPARSITY = 0.1
# Root of the weight of motion of eyeballs against that of skin.
_EYE_WEIGHT = 6.0
# Largest coefficients, standard deviations; a column that turns the jaw opens
# only, up to 0.5 radians.
_LIMIT, _JAW, _JAW_LIMIT = 3.0, "jaw_open", 10.0
# mm from the midline within which a point belongs to both sides.
_MIDLINE = 4.0


def unit_coefficients(
  model: MorphableModel,
) -> tuple[tuple[str, ...], np.ndarray]:
  """Every action unit at full intensity in a model's own expression basis.

  Args:
    model: with 68 landmarks and expressions.

  Returns:
    (U names such as "AU12_L", "AU26"; [U, Ke] coefficients).

  Raises:
    ValueError: the model has no expressions.
  """
  if not model.expression.shape[-1]:
    raise ValueError(f"model {model.name!r} has no expressions to fit units to")
  places = np.asarray(model.mean, float)[np.asarray(model.landmarks)]
  left, right = landmark_groups.OUTER_CANTHI
  size = np.linalg.norm(places[left] - places[right]) / _CANTHI
  system, bounds = _system(model), limits(model)
  names, rows = [], []
  for name, displacement in _targets(places):
    names.append(name)
    rows.append(_solve(system, size * displacement, bounds))
  return tuple(names), np.array(rows)


def _targets(places):
  """Yields (name, displacement [68, 3]) of every column."""
  table = measurements.action_units()
  share = np.clip(0.5 + 0.5 * places[:, 0] / _MIDLINE, 0, 1)[:, None]
  for unit in sorted(expression.SIDED + expression.WHOLE):
    motion = np.asarray(table[unit], float)
    if unit in expression.SIDED:
      yield f"AU{unit:02d}_L", motion * share
      yield f"AU{unit:02d}_R", motion * (1 - share)
    else:
      yield f"AU{unit:02d}", motion


class _System(NamedTuple):
  """A quadratic form: c' R' R c - 2 c' (at_marks' goal) + sparsity' c.

  Attributes:
    at_marks: [204, Ke] weighted motion of the landmarks.
    share: [68, 1] root of the landmarks' weights.
    root: [Ke, Ke] upper triangular R.
    sparsity: [Ke].
  """

  at_marks: np.ndarray
  share: np.ndarray
  root: np.ndarray
  sparsity: np.ndarray


def _system(model):
  basis = np.asarray(model.expression, np.float64)
  count = basis.shape[-1]
  share = np.sqrt(_WEIGHTS / _WEIGHTS.sum())[:, None]
  at_marks = basis[np.asarray(model.landmarks)] * share[..., None]
  at_marks = at_marks.reshape(-1, count)
  weighted = basis * _visible_weight(model)[:, None, None]
  gram = weighted.reshape(-1, count).T @ weighted.reshape(-1, count)
  form = at_marks.T @ at_marks + _RIDGE * np.eye(count)
  form += _MOTION * gram / len(basis)
  sparsity = np.zeros(count)
  if model.expression_kind == "blendshape":
    # Weights are positive: their sum prefers few columns to many.
    sparsity = _SPARSITY * np.linalg.norm(at_marks, axis=0)
  return _System(at_marks, share, np.linalg.cholesky(form).T, sparsity)


def _visible_weight(model):
  """Root of each vertex' weight: eyes shall not look where lids go."""
  weight = np.ones(model.num_vertices)
  for name in ("left_eye", "right_eye"):
    if name in model.region_names:
      number = model.region_names.index(name)
      weight[np.asarray(model.region) == number] = _EYE_WEIGHT
  return weight


def limits(model: MorphableModel) -> tuple[np.ndarray, np.ndarray]:
  """Smallest and largest coefficients of plausible faces, each [Ke]."""
  count = model.expression.shape[-1]
  if model.expression_kind == "blendshape":
    return np.zeros(count), np.ones(count)
  low, high = np.full(count, -_LIMIT), np.full(count, _LIMIT)
  if _JAW in model.expression_names:
    column = model.expression_names.index(_JAW)
    low[column], high[column] = 0.0, _JAW_LIMIT
  return low, high


def _solve(system, displacement, bounds):
  # Half a second of every command's start, wanted for foreign models alone.
  from scipy import linalg
  from scipy import optimize

  goal = (displacement * system.share).ravel()
  linear = system.at_marks.T @ goal - 0.5 * system.sparsity
  wanted = linalg.solve_triangular(system.root, linear, trans="T")
  free = linalg.solve_triangular(system.root, wanted)
  low, high = bounds
  if (low <= free).all() and (free <= high).all():
    return free
  found = optimize.lsq_linear(system.root, wanted, bounds, method="bvls").x
  return np.clip(found, low, high)


def emotion_units(model: MorphableModel) -> emotion_basis.EmotionBasis:
  """The action units of a model: its own columns, or the ones solved for it.

  Args:
    model: with expressions.

  Returns:
    The units as coefficients of the model.

  Raises:
    ValueError: the model has no expressions.
  """
  names = tuple(model.expression_names)
  count = model.expression.shape[-1]
  is_acted = model.expression_kind == "blendshape" and (
    expression_units.find_units(names, count).are_action_units
  )
  if is_acted:
    columns = np.eye(count)
  else:
    names, columns = unit_coefficients(model)
  arrays = (columns, *limits(model))
  return emotion_basis.EmotionBasis(
    *(jnp.asarray(array, jnp.float32) for array in arrays), names=names
  )


def emotion_coefficients(model: MorphableModel) -> np.ndarray:
  """The seven expressions, in the order of `emotions.CLASSES`.

  Each is the sum of the units of its most frequent variant.

  Args:
    model: with 68 landmarks and expressions.

  Returns:
    [7, Ke] coefficients.
  """
  names, units = unit_coefficients(model)
  low, high = limits(model)
  rows = []
  for label in emotions.CLASSES:
    variant = max(emotions.EMOTIONS[label], key=lambda v: v.share)
    total = np.zeros(units.shape[1])
    for number, weight in variant.units:
      mine = [n.split("_")[0] == f"AU{number:02d}" for n in names]
      total += weight * units[mine].sum(axis=0)
    rows.append(np.clip(total, low, high))
  return np.array(rows)


def as_units(model: MorphableModel) -> MorphableModel:
  """The same faces, animated by action units instead of the own basis.

  All that works with named units (emotions, random expressions, labels) then
  works with the model; expressions that no unit shows are lost.
  """
  names, units = unit_coefficients(model)
  basis = np.asarray(model.expression) @ units.T.astype(np.float32)
  return model.replace(
    expression=basis, expression_names=names, expression_kind="blendshape"
  )
