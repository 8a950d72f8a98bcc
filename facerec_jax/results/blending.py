"""An edited face, blended back into its photograph.

The photograph's own pixels are carried to where the edited face has them and
changed by the ratio of the rendered colours, so that pores, hair and noise stay
what they are. What the photograph does not show (an opened mouth, the other
side of a nose) is rendered, in the colours of its surroundings.
"""

from __future__ import annotations

import functools

import cv2
import numpy as np

from facerec_jax.face import landmarks as landmark_points
from facerec_jax.render import color
from facerec_jax.results import face_warp

# Added to colours before their ratio is taken; the largest ratio.
_FLOOR, _MOST = 0.02, 6.0
# How far the face reaches above the brows, in distances between brows and eyes.
_FOREHEAD = 1.6
# Distance in standard deviations at which a colour is no longer skin.
_SKIN = (2.0, 4.0)
# Least standard deviations of skin in CIELAB.
_SKIN_SPREAD = (14.0, 4.0, 5.0)


def blend(
  view: np.ndarray, maps: face_warp.Maps, skin: np.ndarray
) -> np.ndarray:
  """Applies the maps of an edit.

  Args:
    view: [N, N, 3] uint8, of the photograph.
    maps: of the edit, [P, P, ...].
    skin: [P, P] share by which colours may change.

  Returns:
    [N, N, 3] uint8; exactly the view where nothing changes.
  """
  size = len(view)
  scale = size / face_warp.SIZE
  photo = _to_linear()[view]
  flow = _resize(maps.flow, size) * scale
  seen = _carry(photo, flow, cv2.INTER_CUBIC)
  skin = _carry(skin, maps.flow, cv2.INTER_LINEAR)
  ratio, drawn, share = _colors(maps, skin, seen)
  seen = np.maximum(seen, 0) * _resize(ratio, size)
  share = _resize(share, size)[..., None]
  mixed = seen + share * (_resize(drawn, size) - seen)
  return np.where(np.abs(mixed - photo) < 1e-5, view, _to_bytes(mixed)).astype(
    np.uint8
  )


def _carry(image, flow, method):
  """An image [N, N, ...] at its pixels moved by a flow [N, N, 2]."""
  columns, rows = np.meshgrid(*2 * [np.arange(len(image), dtype=np.float32)])
  return cv2.remap(
    image,
    columns + flow[..., 0],
    rows + flow[..., 1],
    method,
    borderMode=cv2.BORDER_REPLICATE,
  )


def _colors(maps, skin, seen):
  """Of the maps' size: ratio, rendered colours, and the share of these."""
  size = face_warp.SIZE
  known = maps.face & ~maps.hidden
  ratio = (maps.after + _FLOOR) / (maps.before + _FLOOR)
  ratio = np.where(known[..., None], ratio.clip(1 / _MOST, _MOST), 1)
  ratio = face_warp.fill(ratio, known)
  where = skin * face_warp.smooth(maps.face.astype(np.float32), size / 150)
  ratio = 1 + where[..., None] * (ratio - 1)
  small = cv2.resize(seen, (size, size), interpolation=cv2.INTER_AREA) * ratio
  outer = (known & ~maps.inner).astype(np.float32)[..., None]
  gain = face_warp.smooth(small * outer, size / 25) / np.maximum(
    face_warp.smooth(maps.after * outer, size / 25), 1e-3
  )
  # Codes hardly tell yellow light on grey skin from white light on yellow skin,
  # and the colour of skin says nothing of teeth; its brightness does.
  level = np.asarray(color.luminance(gain))[..., None] / maps.cast
  gain = np.where(maps.inner[..., None], level, gain).clip(0.2, 4)
  share = face_warp.smooth(maps.hidden.astype(np.float32), size / 500)
  share = share * maps.face
  return ratio, maps.after * gain, share


def skin_mask(view: np.ndarray, points: np.ndarray) -> np.ndarray:
  """Where a view shows skin of its face, soft.

  Args:
    view: [P, P, 3] uint8 sRGB.
    points: [68, 2] landmarks, px.

  Returns:
    [P, P] 1 for this face's skin, 0 for what is not; float32.
  """
  size = len(view)
  lab = cv2.cvtColor(view.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
  outline = np.asarray(landmark_points.face_outline(points, lift=_FOREHEAD))
  face = _fill(outline, size)
  sample = lab[(face > 0.5) & (_fill(outline, size, shrink=0.8) > 0.5)]
  if not len(sample):
    return np.zeros((size, size), np.float32)
  middle = np.median(sample, axis=0)
  spread = 1.48 * np.median(np.abs(sample - middle), axis=0)
  offset = (lab - middle) / np.maximum(spread, _SKIN_SPREAD)
  low, high = _SKIN
  like = 1 - (np.linalg.norm(offset, axis=-1) - low) / (high - low)
  like = cv2.medianBlur(like.clip(0, 1).astype(np.float32), 5)
  like = face_warp.smooth(like, size / 250)
  area = face_warp.smooth(_fill(outline, size, shrink=1.6), size / 16)
  core = face_warp.smooth(_fill(outline, size, shrink=0.9), size / 60)
  return np.maximum(core, like * area)


def _fill(outline, size, shrink=1.0):
  """[P, P] inside of a polygon that is scaled about its middle."""
  center = outline.mean(axis=0)
  corners = center + shrink * (outline - center) - 0.5
  area = np.zeros((size, size), np.float32)
  cv2.fillPoly(area, [np.round(16 * corners).astype(np.int32)], 1.0, shift=4)
  return area


def _resize(image, size):
  if len(image) == size:
    return image
  method = cv2.INTER_AREA if size < len(image) else cv2.INTER_LINEAR
  return cv2.resize(
    image.astype(np.float32), (size, size), interpolation=method
  )


@functools.cache
def _to_linear():
  """[256] linear value of each byte."""
  levels = np.arange(256, dtype=np.float32) / 255
  return np.asarray(color.srgb_to_linear(levels))


@functools.cache
def _thresholds():
  levels = (np.arange(255, dtype=np.float32) + 0.5) / 255
  return np.asarray(color.srgb_to_linear(levels))


def _to_bytes(linear):
  return np.searchsorted(_thresholds(), linear).astype(np.uint8)
