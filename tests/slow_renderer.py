"""The slow, obvious renderer: float64, every pixel against every triangle."""

import numpy as np


def brute_force(screen, triangles, height, width):
  """Visible triangle, its depth, and distance to the nearest edge per pixel.

  Args:
    screen: [V, 3] column px, row px, depth mm.
    triangles: [T, 3], counter-clockwise as seen.
    height: px.
    width: px.

  Returns:
    (ids [H, W], depth [H, W], inf where nothing is, margin [H, W] px: the
    smallest distance of the pixel centre to an edge of any triangle near it).
  """
  screen = np.asarray(screen, np.float64)
  ids = np.full((height, width), -1)
  nearest = np.full((height, width), np.inf)
  margin = np.full((height, width), np.inf)
  column, row = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
  for index, corners in enumerate(np.asarray(triangles)):
    a, b, c = screen[corners]
    if min(a[2], b[2], c[2]) <= 1.0 or not np.isfinite(screen[corners]).all():
      continue
    edges, inside = [], np.ones((height, width), bool)
    for p, q in ((b, c), (c, a), (a, b)):
      edge = (q[1] - p[1]) * (column - p[0]) - (q[0] - p[0]) * (row - p[1])
      edges.append(edge)
      inside &= edge >= 0
      length = np.hypot(*(q - p)[:2])
      if length > 0:
        margin = np.minimum(margin, np.abs(edge) / length)
    total = sum(edges)
    if total.max() <= 0 or np.ptp(total) > 1e-6 * abs(total).max():
      continue
    inverse = sum(e / p[2] for e, p in zip(edges, (a, b, c), strict=True))
    with np.errstate(divide="ignore", invalid="ignore"):
      depth = total / inverse
    front = inside & (total > 0) & (depth < nearest)
    ids[front], nearest[front] = index, depth[front]
  return ids, nearest, margin
