"""Broad soft strokes of a sculptor's thumb over the smooth head.

The published points are sparse and, by their own account, trusted to 2-4 mm;
between and on them these strokes bring the mean closer to a grown-up person's.
They were placed by eye and by reading where heads measured elsewhere lie
outside or inside of ours, over areas of a centimetre or more.
"""

from __future__ import annotations

import numpy as np

from facerec_jax.model_files.builtin import chart

# (what, centre of the left side mm, (across, up) widths mm, outward mm).
STROKES = (
  ("angle of the jaw fuller", (58, -86, -45), (21, 22), 3.0),
  ("chin broader", (29, -107, -18), (11, 9), 1.4),
  ("side of the cheek fuller", (59, -36, -35), (13, 22), 1.4),
  ("upper lip farther back", (0, -55, 8), (17, 5), -1.0),
  ("furrow above the chin deeper", (0, -90, 2), (19, 7), -1.7),
  ("glabella flatter", (6, 9, 1), (13, 6), -1.2),
  ("outer rim of the orbit fuller", (46, 3, -18), (7, 7), 2.6),
  ("hollow beside the eye", (54, -10, -27), (7, 7), -1.1),
  ("cheekbone", (54, -29, -24), (8, 8), 1.1),
  ("corner of the forehead fuller", (56, 38, -35), (14, 14), 0.9),
  ("cheek under the eye flatter", (33, -22, -11), (10, 12), -1.8),
  ("arch of the cheekbone fuller", (71, -10, -62), (9, 12), 1.4),
  ("forehead above the brow flatter", (29, 33, -5), (14, 8), -0.9),
  ("middle of the forehead flatter", (0, 26, 1), (12, 14), -0.6),
  ("end of the brow fuller", (51, 10, -23), (6, 6), 1.0),
  ("brow fuller", (36, 20, -7), (14, 6), 0.7),
)


def lift(uv) -> np.ndarray:
  """All strokes together, [n] mm away from the centre, at chart points."""
  folded = chart.folded(uv)
  total = np.zeros(len(uv))
  for _, center, widths, amount in STROKES:
    offset = (folded - chart.to_chart(np.array(center, float))) / widths
    total += amount * np.exp(-0.5 * (offset**2).sum(axis=1))
  return total
