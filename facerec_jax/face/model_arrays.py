"""Arrays of a morphable model as its files give them: checked and converted."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def floats(name: str, value, shape: tuple[int, ...]) -> np.ndarray:
  """A float32 array of a shape (-1: any size).

  Raises:
    ValueError: another shape, or a value that is not finite.
  """
  value = np.asarray(value, np.float32)
  _check_shape(name, value, shape)
  if not np.isfinite(value).all():
    raise ValueError(f"morphable model: {name} holds NaN or infinity")
  return value


def indices(name: str, value, shape: tuple[int, ...], limit: int) -> np.ndarray:
  """An int32 array of a shape (-1: any size) with values 0..limit-1.

  Raises:
    ValueError: another shape, or a value out of range.
  """
  value = np.asarray(value)
  _check_shape(name, value, shape)
  if value.size and (value.min() < 0 or value.max() >= limit):
    raise ValueError(
      f"morphable model: {name} has indices {value.min()}..{value.max()}, "
      f"wanted 0..{limit - 1}"
    )
  return value.astype(np.int32)


def first_copies(fields: Mapping[str, np.ndarray]) -> np.ndarray | None:
  """Vertices that are one point of the surface, as along seams of a texture.

  Args:
    fields: "mean" [V, 3], "identity" and "expression" [V, 3, K].

  Returns:
    [V] the first vertex that lies and moves alike; None if all differ.
  """
  mean = np.ascontiguousarray(fields["mean"])
  _, first, group = np.unique(
    mean.view(f"V{mean.strides[0]}"), return_index=True, return_inverse=True
  )
  same_as = first[group.ravel()]
  twin = np.flatnonzero(same_as != np.arange(len(mean)))
  for name in ("identity", "expression"):
    basis = fields[name]
    # Lips that touch at rest part when they move.
    alike = (basis[twin] == basis[same_as[twin]]).all(axis=(1, 2))
    same_as[twin[~alike]] = twin[~alike]
    twin = twin[alike]
  return same_as if len(twin) else None


def _check_shape(name, value, shape):
  fits = value.ndim == len(shape) and all(
    want in (-1, got) for got, want in zip(value.shape, shape, strict=True)
  )
  if not fits:
    wanted = str(shape).replace("-1", "any")
    raise ValueError(
      f"morphable model: {name} has shape {value.shape}, wanted {wanted}"
    )
