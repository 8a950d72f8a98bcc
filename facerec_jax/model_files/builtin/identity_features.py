"""Changes of brows, eyes, nose and mouth; see `identity_fields`."""

from __future__ import annotations

import numpy as np

from facerec_jax.model_files.builtin import chart
from facerec_jax.model_files.builtin import identity_fields

bump, smoothstep = chart.bump, chart.smoothstep
field = identity_fields.field


def brow_ridge(skin):
  """Brows and glabella forward."""
  return field(skin, z=skin.near((22, 15, -2), (30, 8, 20)))


def eye_depth(skin):
  """Eyes deeper."""
  return field(skin, z=-skin.near((31, -4, -14), (14, 10, 16)))


def eye_spacing(skin):
  """Eyes farther apart."""
  side = np.tanh(skin.points[:, 0] / 6)
  return field(skin, side * skin.near((31, -4, -14), (16, 12, 20)))


def fissure_length(skin):
  """Eyes longer."""
  x = skin.points[:, 0]
  stretch = np.sign(x) * np.clip((np.abs(x) - 31) / 14, -1, 1)
  return field(skin, stretch * skin.near((31, -4.6, -12), (15, 9, 16)))


def fissure_height(skin):
  """Eyes more open."""
  open_ = np.clip((skin.points[:, 1] + 4.8) / 4.5, -1, 1)
  return field(skin, y=open_ * skin.near((31, -4.8, -10), (12, 6, 12)))


def eye_tilt(skin):
  """Outer corners of the eyes higher."""
  lever = np.abs(skin.points[:, 0]) - 31
  return field(skin, y=lever * skin.near((31, -4.6, -12), (17, 12, 20)))


def brow_height(skin):
  """Brows higher."""
  return field(skin, y=skin.near((34, 16, -6), (28, 9, 30)))


def brow_arch(skin):
  """Brows arched: outer part higher, inner part lower."""
  outer = skin.near((42, 19, -8), (9, 7, 20))
  inner = skin.near((15, 14, 1), (9, 7, 20))
  return field(skin, y=outer - 0.8 * inner)


def nose_breadth(skin):
  """Nose wings wider."""
  x = skin.points[:, 0]
  outside = bump(np.maximum(np.abs(x) - 17, 0), 7)
  zone = skin.near((0, -42, 8), (1e3, 9, 13))
  return field(skin, np.clip(x / 14, -1, 1) * outside * zone)


def nose_projection(skin):
  """Nose tip forward."""
  _, y, z = skin.points.T
  # The base stays; the bridge comes along, less and less.
  lever = smoothstep(3, 26, z) * bump(np.maximum(y + 40, 0), 16)
  return field(skin, z=lever * bump(np.maximum(-46 - y, 0), 4))


def tip_rotation(skin):
  """Nose tip up."""
  _, y, z = skin.points.T
  zone = skin.near((0, -42, 22), (11, 9, 14))
  return field(skin, y=z / 26 * zone, z=-0.25 * (y + 40) / 8 * zone)


def root_height(skin):
  """Nose root forward."""
  return field(skin, z=skin.near((0, -2, 0), (8, 11, 12)))


def root_breadth(skin):
  """The bridge between the eyes 2 mm wider."""
  x = np.clip(skin.points[:, 0] / 7, -1, 1)
  return field(skin, x * skin.near((8, -4, -4), (7, 12, 12)))


def nose_hump(skin):
  """A hump on the bridge of the nose."""
  return field(skin, z=skin.near((0, -19, 12), (6, 8, 14)))


def mouth_width(skin):
  """Mouth corners farther out."""
  x = np.clip(skin.points[:, 0] / 25, -1.2, 1.2)
  return field(skin, x * skin.near((20, -71, 2), (18, 9, 18)))


def _vermilion(skin, upper):
  """Red of one lip taller and fuller; nothing at the seam."""
  away = chart.lip_distance(skin.opened)
  mine = chart.is_upper(skin.opened) == upper
  mine = mine * np.exp(-0.5 * (skin.opened[:, 0] / 16.0) ** 4)
  tall = np.clip(away / 7, 0, 1) * np.exp(-np.maximum(away - 6, 0) / 6)
  return field(
    skin,
    y=(1 if upper else -1) * mine * tall,
    z=0.5 * mine * tall * bump(away - 4, 3),
  )


def upper_lip(skin):
  """The upper lip's red taller and fuller."""
  return _vermilion(skin, True)


def lower_lip(skin):
  """The lower lip's red taller and fuller."""
  return _vermilion(skin, False)


def lip_protrusion(skin):
  """Both lips forward."""
  return field(skin, z=skin.near((0, -71, 10), (20, 10, 18)))


def philtrum_length(skin):
  """The upper lip longer."""
  heights, shares = [-100, -85, -63, -49, -40], [0, 0.6, 1, 0, 0]
  x, y, z = skin.points.T
  down = np.interp(y, heights, shares) * smoothstep(-90, -30, z)
  return field(skin, y=-down * bump(x, 30))
