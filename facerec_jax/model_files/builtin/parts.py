"""Parts that hang on the head: how they are joined and how they move along."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy import sparse


@dataclasses.dataclass(frozen=True)
class Part:
  """Vertices and triangles beyond the head's own skin.

  Attributes:
    name: of the region.
    points: [n, 3] mm.
    triangles: [t, 3]; below `head_size` a vertex of the head, above it
      `head_size` + one of the part's own.
    follow: [n, head_size] sparse: displacement of the part in displacements
      of the head, for the identity.
    follow_expression: the same for expressions.
    jaw: [n] share of the jaw's rotation that comes on top (expressions).
    chart: [n, 2] place in the texture chart, mm.
  """

  name: str
  points: np.ndarray
  triangles: np.ndarray
  follow: sparse.csr_matrix
  follow_expression: sparse.csr_matrix
  jaw: np.ndarray
  chart: np.ndarray


def strip(first, second, *, closed: bool) -> np.ndarray:
  """Triangles [t, 3] between two rows of vertices of equal length."""
  index = np.arange(len(first) if closed else len(first) - 1)
  following = (index + 1) % len(first)
  return np.vstack(
    [
      np.column_stack([first[index], first[following], second[following]]),
      np.column_stack([first[index], second[following], second[index]]),
    ]
  )


def rows(first, count, start, *, closed: bool) -> np.ndarray:
  """Strips from a row of vertices over `count` new rows numbered on."""
  size = len(first)
  numbers = start + np.arange(count * size).reshape(count, size)
  chain = [np.asarray(first), *numbers]
  return np.vstack(
    [
      strip(a, b, closed=closed)
      for a, b in zip(chain[:-1], chain[1:], strict=True)
    ]
  )


def follow_vertices(parents, weights, head_size: int) -> sparse.csr_matrix:
  """Row i follows vertex parents[i] with weights[i]."""
  index = np.arange(len(parents))
  return sparse.csr_matrix(
    (np.broadcast_to(weights, len(parents)), (index, parents)),
    shape=(len(parents), head_size),
  )


def follow_mean(parents, count: int, head_size: int) -> sparse.csr_matrix:
  """All `count` vertices follow the mean of the parents: a translation."""
  size = len(parents)
  return sparse.csr_matrix(
    (
      np.full(count * size, 1.0 / size),
      (np.repeat(np.arange(count), size), np.tile(parents, count)),
    ),
    shape=(count, head_size),
  )


def follow_nothing(count: int, head_size: int) -> sparse.csr_matrix:
  """Vertices that stay."""
  return sparse.csr_matrix((count, head_size))
