"""FLAME (Li et al. 2017): 2019, 2020, 2023 and 2023 Open.

A pickle with `v_template` (V, 3) in metres, `shapedirs` (V, 3, 400: 300
identity, 100 expression), `posedirs` (V, 3, 36), `J_regressor` (5, V),
`weights` (V, 5) and `f` (T, 3); joint 2 is the jaw. Its only non-linear part
that a frontal face needs, the jaw's rotation, becomes the first expression
coefficient, linearised.
"""

from __future__ import annotations

import os

import numpy as np

from facerec_jax.model_files.formats import arrays
from facerec_jax.model_files.formats import raw_model
from facerec_jax.model_files.formats import safe_pickle

FormatError = raw_model.FormatError

_IDENTITY = 300
_JAW, _EYES = 2, (3, 4)
# Radians of jaw opening that one standard deviation stands for.
JAW_DEVIATION = 0.05
_MAX_PICKLE = 1 << 30
_LICENCES = (
  "FLAME 2023 Open: CC BY 4.0 (name the authors); all other FLAME files: "
  "non-commercial research only, no redistribution"
)
_LINK = "https://flame.is.tue.mpg.de/"
_NEEDED = ("v_template", "shapedirs", "f")
_MORE = ("posedirs", "J_regressor", "weights")


def recognises(path: str | os.PathLike) -> bool:
  """Whether a file is a pickle, or an .npz with FLAME's names."""
  if not os.path.isfile(path):
    return False
  with open(path, "rb") as file:
    head = file.read(3)
  if head[:2] == b"PK":
    return {"v_template", "shapedirs"} <= arrays.member_names(path)
  return head[:1] == b"\x80" or head in (b"(dp", b"(d\n", b"(i_")


def read(path: str | os.PathLike, *, jaw: bool = True) -> raw_model.RawModel:
  """Reads a FLAME model.

  Args:
    path: of the .pkl (or an .npz with the same arrays).
    jaw: offer the jaw's rotation as the first expression coefficient.

  Raises:
    FormatError: the file is not of the layout, or names code.
  """
  data = _load(path)
  mean = _floats(data, "v_template", (-1, 3))
  num = len(mean)
  directions = _floats(data, "shapedirs", (num, 3, -1))
  identity = directions[..., :_IDENTITY]
  expression = directions[..., _IDENTITY:]
  names = tuple(f"expression_{k + 1:03d}" for k in range(expression.shape[2]))
  notes = ["pose correctives, neck and eye joints are left out"]
  weights = None
  if all(data.get(name) is not None for name in _MORE):
    weights = _floats(data, "weights", (num, 5))
    if jaw:
      column, note = _jaw_column(data, mean, weights)
      expression = np.concatenate([column[..., None], expression], axis=2)
      names = ("jaw_open", *names)
      notes.append(note)
  region, region_names = _regions(mean, weights)
  return raw_model.RawModel(
    name=os.path.splitext(os.path.basename(path))[0],
    format="flame",
    mean=mean,
    identity=identity,
    triangles=_integers(data, "f"),
    expression=expression,
    expression_names=names,
    region=region,
    region_names=region_names,
    licence=_LICENCES,
    link=_LINK,
    notes=tuple(notes),
  )


def _load(path):
  with open(path, "rb") as file:
    is_zip = file.read(2) == b"PK"
  if is_zip:
    return arrays.read_npz(path, _NEEDED, _MORE)
  data = read_pickle(path)
  if not isinstance(data, dict):
    raise FormatError("pickle does not hold a dictionary of arrays")
  missing = [name for name in _NEEDED if data.get(name) is None]
  if missing:
    raise FormatError(f"no array {missing[0]!r}; has {sorted(data)[:8]}")
  return data


def read_pickle(path: str | os.PathLike):
  """The content of a pickle, see `safe_pickle`.

  Raises:
    FormatError: it is too large, damaged, or names code.
  """
  size = os.path.getsize(path)
  if size > _MAX_PICKLE:
    raise FormatError(f"pickle has {size} bytes, wanted at most {_MAX_PICKLE}")
  with open(path, "rb") as file:
    return safe_pickle.loads(file.read(size))


def _floats(data, name, shape):
  value = data[name]
  if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiu":
    raise FormatError(f"{name} is no array of numbers")
  with np.errstate(over="ignore"):
    value = np.asarray(value, np.float32)
  if not np.isfinite(value).all():
    raise FormatError(f"{name} holds NaN or infinity")
  wanted = (len(value), *shape[1:]) if shape[0] == -1 else shape
  raw_model.check_shape(name, value, wanted)
  return value


def _integers(data, name):
  value = data[name]
  if not isinstance(value, np.ndarray) or value.dtype.kind not in "iu":
    raise FormatError(f"{name} is no array of whole numbers")
  raw_model.check_shape(name, value, (len(value), 3))
  return value.astype(np.int64)


def _jaw_column(data, mean, weights):
  """Displacement [V, 3] of one deviation of the jaw, and its error."""
  regressor = _floats(data, "J_regressor", (5, len(mean)))
  correctives = _floats(data, "posedirs", (len(mean), 3, 36))
  hinge = (regressor @ mean)[_JAW]
  # The correctives' 36 inputs: R - 1 of the four joints after the first.
  correctives = correctives.reshape(len(mean), 3, 4, 9)[:, :, _JAW - 1]

  def opened(angle):
    turn = _about_x(angle)
    shaped = mean + correctives @ (turn - np.eye(3)).ravel()
    moved = (shaped - hinge) @ turn.T + hinge
    return shaped + weights[:, _JAW, None] * (moved - shaped) - mean

  # The secant to two deviations: exact there, close in between and beyond.
  column = opened(2 * JAW_DEVIATION) / 2
  half = 0.5 * np.abs(opened(4 * JAW_DEVIATION) - 4 * column)
  reach = np.linalg.norm(4 * column, axis=1).max()
  error = 2 * np.linalg.norm(half, axis=1).max() / max(reach, 1e-12)
  degrees = np.rad2deg(JAW_DEVIATION)
  return column.astype(np.float32), (
    f"jaw_open: the jaw's rotation, {degrees:.1f} degrees per standard "
    f"deviation, linearised (off by {error:.0%} of the motion at "
    f"{4 * degrees:.0f} degrees); negative values press the lips together"
  )


def _about_x(angle):
  c, s = np.cos(angle), np.sin(angle)
  return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def _regions(mean, weights):
  """Eyeballs are what the eye joints move alone."""
  if weights is None:
    return None, ("skin",)
  region = np.zeros(len(mean), np.int64)
  for joint in _EYES:
    ball = weights[:, joint] > 0.9
    if ball.any():
      region[ball] = 1 if mean[ball, 0].mean() > mean[:, 0].mean() else 2
  return region, ("skin", "left_eye", "right_eye")
