"""Triangles of a mesh that pass through each other."""

from __future__ import annotations

import numpy as np

# Lips and lids touch: what passes through by less than this only touches, mm.
DEPTH = 0.02


def self_intersections(points, triangles, *, depth: float = DEPTH):
  """Pairs of triangles without a common vertex that cut each other.

  Boxes are swept along y; pairs whose boxes overlap are tested edge against
  triangle. Coplanar triangles do not count.

  Args:
    points: [V, 3] mm.
    triangles: [T, 3].
    depth: by how much an edge must pass through, mm.

  Returns:
    [n, 2] indices of triangles.
  """
  triangles = np.asarray(triangles)
  corners = np.asarray(points, float)[triangles]
  pairs = _overlapping_boxes(corners.min(axis=1), corners.max(axis=1))
  first, second = triangles[pairs].transpose(1, 0, 2)
  apart = (first[:, :, None] != second[:, None, :]).all(axis=(1, 2))
  pairs = pairs[apart]
  for side in (0, 1):
    height = _heights(corners[pairs[:, side]], corners[pairs[:, 1 - side]])
    straddles = (height.min(axis=1) < -depth) & (height.max(axis=1) > depth)
    pairs = pairs[straddles]
  cut = np.zeros(len(pairs), bool)
  for side in (0, 1):
    edges, plane = corners[pairs[:, side]], corners[pairs[:, 1 - side]]
    for k in range(3):
      ends = edges[:, k], edges[:, (k + 1) % 3]
      cut |= _pierces(*ends, plane, depth)
  return pairs[cut]


def _overlapping_boxes(low, high):
  """[n, 2] pairs i < k of boxes that overlap."""
  order = np.argsort(low[:, 1])
  low, high = low[order], high[order]
  # Sorted by their lower ends: those that begin before this one ends.
  ends = np.searchsorted(low[:, 1], high[:, 1], side="right")
  counts = ends - np.arange(len(low)) - 1
  first = np.repeat(np.arange(len(low)), counts)
  starts = np.repeat(np.cumsum(counts) - counts, counts)
  second = first + 1 + np.arange(len(first)) - starts
  for axis in (0, 2):
    meet = (low[first, axis] <= high[second, axis]) & (
      low[second, axis] <= high[first, axis]
    )
    first, second = first[meet], second[meet]
  return np.sort(np.column_stack([order[first], order[second]]), axis=1)


def _heights(points, plane):
  """[n, 3] heights of three points over the planes of triangles [n, 3, 3]."""
  normal = np.cross(plane[:, 1] - plane[:, 0], plane[:, 2] - plane[:, 0])
  normal /= np.maximum(np.linalg.norm(normal, axis=1), 1e-12)[:, None]
  return np.einsum("nkd,nd->nk", points - plane[:, :1], normal)


def _pierces(start, end, plane, depth):
  """Whether segments [n, 3] pass through triangles [n, 3, 3]; [n] bool."""
  from_height, to_height = _heights(np.stack([start, end], axis=1), plane).T
  crosses = np.minimum(from_height, to_height) < -depth
  crosses &= np.maximum(from_height, to_height) > depth
  span = np.where(crosses, from_height - to_height, 1.0)
  hit = start + (from_height / span)[:, None] * (end - start)
  inside = crosses
  normal = np.cross(plane[:, 1] - plane[:, 0], plane[:, 2] - plane[:, 0])
  for k in range(3):
    a, b = plane[:, k], plane[:, (k + 1) % 3]
    inward = np.cross(normal, b - a)
    inward /= np.maximum(np.linalg.norm(inward, axis=1), 1e-12)[:, None]
    inside = inside & (((hit - a) * inward).sum(axis=1) > 0)
  return inside
