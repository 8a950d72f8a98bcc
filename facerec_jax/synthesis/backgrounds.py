"""What stands behind a synthetic face: random patterns, hair, shoulders.

Colours are drawn evenly in perceived brightness (square root of linear) and
returned linear, to be composited with a rendering. Nothing here has an edge
that follows the face's, except for hair, as on photographs.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np

from facerec_jax.face import code_vector
from facerec_jax.render import geometry
from facerec_jax.synthesis import distributions

# Cells across the image of each octave of noise, and of the blocks.
_OCTAVES = (2, 5, 11, 24)
_BLOCKS = 6
# Strength of colours besides that of grey.
_COLORFULNESS = 0.35
# Shares of backgrounds that show a gradient, noise, blocks or stripes; what
# shows none of them is plain.
_GRADIENT_SHARE, _NOISE_SHARE, _BLOCK_SHARE, _STRIPE_SHARE = 0.5, 0.6, 0.2, 0.12

# Model frame, mm: middle of the skull and of the shoulder line below it.
_SKULL = (0.0, 5.0, -85.0)
# Hair: share, and linear RGB: black, dark brown, brown, blonds, red, grey.
_HAIR = (
  (0.25, (0.012, 0.010, 0.009)),
  (0.25, (0.035, 0.022, 0.015)),
  (0.20, (0.080, 0.050, 0.030)),
  (0.12, (0.170, 0.110, 0.060)),
  (0.08, (0.320, 0.230, 0.130)),
  (0.04, (0.180, 0.070, 0.030)),
  (0.06, (0.380, 0.370, 0.360)),
)
# Hair around the skull: half width, height above and length below, mm.
_HAIR_WIDTH = (80.0, 105.0)
_HAIR_TOP = (112.0, 135.0)
_HAIR_LENGTH = (20.0, 260.0)
_LOCKS = 24
# Shoulders: how far below the skull they begin, mm, and how fast they fall.
_SHOULDER_DROP = (125.0, 175.0)
_SHOULDER_SLOPE = 0.0014


def pattern(key, *, height: int, width: int) -> jax.Array:
  """A random background: plain, gradient, noise, blocks, stripes, or a mix.

  Args:
    key: randomness.
    height: px.
    width: px.

  Returns:
    [height, width, 3] linear RGB in [0, 1].
  """
  scalar_key, noise_key, block_key = jax.random.split(key, 3)
  uniform = jax.random.uniform(scalar_key, (24,))
  shown, base, slopes, amplitudes, stripe = jnp.split(uniform, (4, 8, 16, 20))
  shown = shown < jnp.array(
    [_GRADIENT_SHARE, _NOISE_SHARE, _BLOCK_SHARE, _STRIPE_SHARE]
  )
  x = (jnp.arange(width) + 0.5) / width - 0.5
  y = ((jnp.arange(height) + 0.5) / height - 0.5)[:, None]

  slopes = _mostly_grey(shown[0] * (slopes.reshape(2, 4) - 0.5))
  image = 0.5 + _mostly_grey(base - 0.5)
  image = image + x[:, None] * slopes[0] + y[..., None] * slopes[1]
  blocks = jax.random.uniform(block_key, (_BLOCKS, _BLOCKS, 4)) - 0.5
  image += _enlarge(
    [*_noise(noise_key, shown[1] * amplitudes**2), shown[2] * blocks],
    height=height,
    width=width,
  )
  image += shown[3] * _stripes(stripe, x, y)[..., None]
  return jnp.square(jnp.clip(image, 0.0, 1.0))


def _mostly_grey(values):
  """[..., 4] grey and three colours -> [..., 3]: few things are colourful."""
  return values[..., :1] + _COLORFULNESS * values[..., 1:]


def _noise(key, amplitudes):
  """Grids of smooth noise of several scales, [n, n, 4] each."""
  cells = max(_OCTAVES)
  uniform = jax.random.uniform(key, (len(_OCTAVES), cells, cells, 4)) - 0.5
  # Nature's spectrum: amplitudes fall with frequency.
  return [
    2.0 * amplitudes[octave] / (1 + octave) * grid[:count, :count]
    for octave, (count, grid) in enumerate(zip(_OCTAVES, uniform, strict=True))
  ]


def _enlarge(grids, *, height, width):
  """Sum of enlarged [n, n, 4] grids, [height, width, 3]; the last in blocks.

  All grids pass at once, as blocks of one matrix: the image is written once.
  """
  smooth = [True] * (len(grids) - 1) + [False]
  rows, columns = (
    np.concatenate(
      [
        _interpolation(size, grid.shape[0], is_smooth)
        for grid, is_smooth in zip(grids, smooth, strict=True)
      ],
      axis=1,
    )
    for size in (height, width)
  )
  channels = [_mostly_grey(grid).transpose(2, 0, 1) for grid in grids]
  blocks = jax.vmap(jax.scipy.linalg.block_diag)(*channels)
  return jnp.einsum("hn,cnm,wm->hwc", rows, blocks, columns)


@functools.lru_cache(maxsize=32)
def _interpolation(size, cells, smooth):
  """Weights [size, cells] of grid values at pixel centres."""
  position = (np.arange(size) + 0.5) / size * cells - 0.5
  distance = np.abs(np.clip(position, 0, cells - 1)[:, None] - np.arange(cells))
  weights = np.maximum(0.0, 1 - distance) if smooth else distance <= 0.5
  weights = weights / weights.sum(axis=1, keepdims=True)
  return weights.astype(np.float32)


def _stripes(uniform, x, y):
  angle, frequency, phase, strength = uniform[:4] * jnp.array(
    [jnp.pi, 10.0, 2 * jnp.pi, 0.5]
  )
  along = x * jnp.cos(angle) + y * jnp.sin(angle)
  wave = jnp.sin(2 * jnp.pi * (2 + frequency) * along + phase)
  return strength * (jnp.clip(4 * wave, -1.0, 1.0))


def add_person(
  key,
  image,
  camera: geometry.Camera,
  code: code_vector.CodeVector,
  *,
  hair_share: float,
  body_share: float,
) -> jax.Array:
  """Draws hair around and shoulders under a head, behind its face.

  Args:
    key: randomness.
    image: [H, W, 3] linear RGB.
    camera: in whose frame the code's pose is.
    code: pose and light of the face.
    hair_share: probability of hair.
    body_share: probability of shoulders.

  Returns:
    [H, W, 3].
  """
  scalar_key, lock_key = jax.random.split(key)
  uniform = jax.random.uniform(scalar_key, (11,))
  skull = geometry.to_camera(
    jnp.array([_SKULL]), code.rotation, code.translation
  )[0]
  origin, scale = geometry.project(camera, skull), camera.focal / -skull[2]
  height, width = image.shape[:2]
  # Millimetres to the right of and above the skull, in its distance.
  right = (jnp.arange(width) + 0.5 - origin[0]) / scale
  above = ((origin[1] - jnp.arange(height) - 0.5) / scale)[:, None]
  light = jnp.maximum(code.illumination[0] / code_vector.FURNACE, 0.0)

  cloth = 0.5 + _mostly_grey(uniform[:4] - 0.5)
  cloth = jnp.square(jnp.clip(cloth, 0.0, 1.0)) * light
  shown = uniform[4] < body_share
  body = shown & _shoulders(uniform[5], right, above)
  image = jnp.where(body[..., None], cloth, image)

  shares, colors = (jnp.array(column) for column in zip(*_HAIR, strict=True))
  color = colors[distributions.choice(uniform[6], shares)] * light
  locks = jax.random.uniform(lock_key, (_LOCKS,)) - 0.5
  locks = _interpolation(width, _LOCKS, True) @ locks
  strands = 1 + 1.2 * locks
  shown = uniform[7] < hair_share
  hair = shown & _hair(
    uniform[8:11], right, above, code.rotation[2], 0.3 * locks
  )
  return jnp.where(hair[..., None], color * strands[:, None], image)


def _shoulders(uniform, right, above):
  low, high = _SHOULDER_DROP
  top = low + (high - low) * uniform + _SHOULDER_SLOPE * right**2
  return above < -top


def _hair(uniform, right, above, roll, ragged):
  """Two half ellipses, narrow above and longer or shorter below, [H, W]."""
  across = right * jnp.cos(roll) + above * jnp.sin(roll)
  along = above * jnp.cos(roll) - right * jnp.sin(roll)
  limits = jnp.array([_HAIR_WIDTH, _HAIR_TOP, _HAIR_LENGTH])
  width, top, length = limits[:, 0] + uniform * (limits[:, 1] - limits[:, 0])
  reach = jnp.where(along > 0, top, length)
  return (across / width) ** 2 + (along / reach) ** 2 < 1 + ragged
