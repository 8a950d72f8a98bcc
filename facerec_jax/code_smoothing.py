"""Codes of a video without jitter.

What a code says of place refers to the square of its own frame, and squares
jitter. So the place of the face in the frame is smoothed, and the square for
itself; the translation then follows from both.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import jax
import numpy as np

from facerec_jax.face import code_vector
from facerec_jax.photos import alignment
from facerec_jax.photos import one_euro
from facerec_jax.render import geometry

# Focal length of the reference camera, sides of its square.
_FOCAL = float(geometry.reference_camera(1).focal)
# Changes that an eye begins to see: what the filter takes for one unit. Lengths
# in sides of the square; scales as logarithms.
_UNITS = {
  "place": 0.005,
  "scale": 0.01,
  "rotation": 0.02,
  "expression": 0.05,
  "illumination": 0.05,
}


@dataclasses.dataclass(frozen=True)
class Options:
  """How much is smoothed.

  Attributes:
    min_cutoff: Hz, of what rests; less is smoother.
    beta: how much quicker the filter is where things move.
  """

  min_cutoff: float = 1.0
  beta: float = 0.2


class Placed(NamedTuple):
  """A code and the square that it refers to."""

  square: alignment.Square
  code: code_vector.CodeVector


class CodeSmoother:
  """Smooths the codes of one face, frame by frame.

  Pose, expression and light pass a one-euro filter; identity and albedo, which
  do not change, become the mean of all frames so far.
  """

  def __init__(self, options: Options):
    """Starts without a past.

    Args:
      options: of the filter.

    Raises:
      ValueError: the filter refuses them.
    """
    self._filter = one_euro.OneEuroFilter(
      min_cutoff=options.min_cutoff, beta=options.beta
    )
    self.reset()

  def reset(self) -> None:
    """Forgets the past: another face, or the same one after a gap."""
    self._filter.reset()
    self._count = 0
    self._means = {}
    self._length = None

  def __call__(self, time: float, placed: Placed) -> Placed:
    """Smooths the next code.

    Args:
      time: seconds.
      placed: code of the frame, without batch axes.

    Returns:
      The code, and a square that it refers to.
    """
    if self._length is None:
      self._length = placed.square.side
    values = self._split(placed)
    sizes = [value.size for value in values.values()]
    units = np.repeat([_UNITS[_unit(name)] for name in values], sizes)
    flat = np.concatenate([value.ravel() for value in values.values()])
    smooth = self._filter(time, flat / units) * units
    parts = np.split(smooth, np.cumsum(sizes)[:-1])
    parts = dict(zip(values, parts, strict=True))
    return self._join(parts, self._lasting(placed.code))

  def _split(self, placed):
    """What is filtered, lengths in sides of the first square."""
    square, code = placed
    x, y, z = np.asarray(code.translation, np.float64)
    scale = square.side * _FOCAL / -z
    origin = square.center + scale * np.array([x, -y])
    return {
      "place_of_square": square.center / self._length,
      "scale_of_square": np.log([square.side / self._length]),
      "place": origin / self._length,
      "scale": np.log([scale]),
      "rotation": np.asarray(code.rotation, np.float64),
      "expression": np.asarray(code.expression, np.float64),
      "illumination": np.asarray(code.illumination, np.float64),
    }

  def _join(self, parts, lasting):
    center = parts["place_of_square"] * self._length
    side = float(np.exp(parts["scale_of_square"][0])) * self._length
    scale = float(np.exp(parts["scale"][0]))
    x, y = (parts["place"] * self._length - center) / scale
    code = code_vector.CodeVector(
      **lasting,
      rotation=parts["rotation"],
      expression=parts["expression"],
      illumination=parts["illumination"].reshape(9, 3),
      translation=np.array([x, -y, -side * _FOCAL / scale]),
    )
    code = jax.tree.map(lambda value: np.asarray(value, np.float32), code)
    return Placed(alignment.Square(center, side), code)

  def _lasting(self, code):
    self._count += 1
    for name in ("identity", "albedo"):
      value = np.asarray(getattr(code, name), np.float64)
      mean = self._means.get(name, value)
      self._means[name] = mean + (value - mean) / self._count
    return self._means


def _unit(name):
  return name.partition("_of_")[0]
