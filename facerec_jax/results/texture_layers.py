"""Layers of a texture: blended without seams, continued where nothing is."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

# Added to colours before their ratios are taken, linear RGB.
_FLOOR = 0.01
# Largest ratio of colours that a layer is changed by, natural logarithm.
_MOST = 1.5
# How far a border's own colours reach beyond it: standard deviation of a blur,
# shares of the side, and the share of a layer in it where their reach ends.
_SPREAD = 1 / 20
_NEAR = 0.25


def compose(
  base: np.ndarray,
  layers: Sequence[tuple[np.ndarray, np.ndarray]],
  region: np.ndarray,
) -> np.ndarray:
  """Lays layers over a base, whose colours are fitted to each in turn.

  The ratio between layer and base is continued smoothly beyond the layer, so
  that both agree where it ends (as in gradient-domain cloning, but with ratios,
  which keep contrast); far away it is the mean ratio, outside of the region
  that of the brightness.

  Args:
    base: [S, S, 3] linear RGB.
    layers: (linear RGB [S, S, 3], share [S, S] in [0, 1]), in order.
    region: [S, S] bool, what the layers are part of.

  Returns:
    [S, S, 3] linear RGB.
  """
  for layer, share in layers:
    if not share.any():
      continue
    ratio = np.log(np.maximum(layer, 0) + _FLOOR)
    ratio = ratio - np.log(np.maximum(base, 0) + _FLOOR)
    ratio = np.clip(ratio, -_MOST, _MOST)
    mean = np.average(ratio, axis=(0, 1), weights=share)
    near = cv2.GaussianBlur(share, (0, 0), _SPREAD * len(share))[..., None]
    near = np.minimum(near / _NEAR, 1.0)
    change = mean + near * (extend(ratio, share) - mean)
    change = np.where(region[..., None], change, mean.mean())
    base = (base + _FLOOR) * np.exp(change) - _FLOOR
    base = base + share[..., None] * (layer - base)
  return base


def extend(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
  """Continues values to where they have no weight (pull-push, Gortler 1996).

  Args:
    values: [S, S, n].
    weight: [S, S] in [0, 1]; where it is 1 the values stay.

  Returns:
    [S, S, n].
  """
  return _extend(
    values.astype(np.float32) * weight[..., None], weight.astype(np.float32)
  )


def _extend(weighted, weight):
  known = np.minimum(weight, 1.0)[..., None]
  here = weighted / np.maximum(weight, 1e-6)[..., None]
  if max(weight.shape) <= 2:
    total = weighted.sum(axis=(0, 1)) / max(float(weight.sum()), 1e-6)
    return known * here + (1 - known) * total
  # Weights grow towards the coarse levels: a few known texels are enough.
  coarse = _extend(4 * cv2.pyrDown(weighted), 4 * cv2.pyrDown(weight))
  size = weight.shape[::-1]
  return known * here + (1 - known) * cv2.pyrUp(coarse, dstsize=size)
