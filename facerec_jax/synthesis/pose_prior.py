"""Random head poses and cameras; where a face stands so that a crop frames it.

Codes refer to the reference camera of their image size; perspective of another
strength comes from `geometry.dolly_zoom`.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from facerec_jax.face import landmarks
from facerec_jax.render import geometry
from facerec_jax.synthesis import distributions

# Pitch, yaw, roll in degrees. Chins are slightly down on photographs.
_NEAR_MEAN = (-3.0, 0.0, 0.0)
_NEAR_SPREAD = (9.0, 17.0, 7.0)
_NEAR_LIMIT = 2.7
# Heads that turn also tilt, to the same side.
_YAW_ROLL_CORRELATION = 0.2
_WIDE_YAW, _WIDE_SPREAD = 60.0, (14.0, 0.0, 12.0)
_PROFILE_LIMITS = (30.0, 90.0, 30.0)

# The framing of a perspective image is nearly linear in the translation: each
# step leaves a few percent of the error.
_FRAMING_STEPS = 8
_JITTER_LIMIT = 2.5


def sample_rotation(
  key, *, wide_share: float = 0.15, profile_share: float = 0.0
) -> jax.Array:
  """Draws a head pose from a mixture of three.

  Near-frontal as in photo collections (standard deviations of pitch, yaw, roll
  9, 17, 7 degrees); wide (yaw uniform to +-60, pitch and roll 14 and 12); up to
  profile (uniform, +-30, +-90, +-30).

  Args:
    key: randomness.
    wide_share: of wide poses.
    profile_share: of poses up to profile; the rest is near-frontal.

  Returns:
    [3] pitch, yaw, roll, radians.
  """
  kind, draws = jnp.split(jax.random.uniform(key, (4,)), (1,))
  normal = distributions.normal(draws, limit=_NEAR_LIMIT)
  # One pose is of one kind: the kinds may share their random numbers.
  uniform = 2.0 * draws - 1.0
  rho = _YAW_ROLL_CORRELATION
  tied = rho * normal[1] + math.sqrt(1 - rho**2) * normal[2]
  near = normal.at[2].set(tied) * jnp.array(_NEAR_SPREAD)
  near = near + jnp.array(_NEAR_MEAN)
  wide = jnp.array(_WIDE_SPREAD) * normal
  wide = wide.at[1].set(_WIDE_YAW * uniform[1])
  profile = jnp.array(_PROFILE_LIMITS) * uniform
  angles = jnp.where(kind < wide_share + profile_share, wide, near)
  angles = jnp.where(kind < profile_share, profile, angles)
  return jnp.deg2rad(angles)


def framed_translation(
  camera: geometry.Camera, points, rotation, *, center=0.0, size=1.0
) -> jax.Array:
  """Where a face stands so that `landmarks.framing` is the whole image.

  Args:
    camera: centred camera of a square image.
    points: [68, 3] landmarks, model frame, mm.
    rotation: [3] radians.
    center: [] or [2] shift of the framing's centre (column, row) in units of
      the image width.
    size: [] side of the framing in units of the image width; more than 1 is a
      larger face.

  Returns:
    [3] mm, camera frame.
  """
  width = 2.0 * camera.center[0]
  wanted_center = camera.center + width * center
  wanted_side = width * size
  offsets = geometry.to_camera(points, rotation, jnp.zeros(3))
  middle, extent = landmarks.framing(offsets[:, :2])

  def step(_, translation):
    pixels = geometry.project(camera, offsets + translation)
    got_center, got_side = landmarks.framing(pixels)
    depth = translation[2] * got_side / wanted_side
    shift = (wanted_center - got_center) * -depth / camera.focal
    return jnp.stack(
      [translation[0] + shift[0], translation[1] - shift[1], depth]
    )

  start = jnp.array([-middle[0], -middle[1], -camera.focal * extent / width])
  return jax.lax.fori_loop(0, _FRAMING_STEPS, step, start)


def sample_translation(
  key,
  camera: geometry.Camera,
  points,
  rotation,
  *,
  center_spread: float = 0.025,
  size_spread: float = 0.06,
) -> jax.Array:
  """Draws where a face stands: framed as photographs are, with jitter.

  Args:
    key: randomness.
    camera: reference camera of the image size.
    points: [68, 3] landmarks, model frame, mm.
    rotation: [3] radians.
    center_spread: standard deviation of the centre, share of the image width.
    size_spread: standard deviation of the size, share of itself.

  Returns:
    [3] mm, camera frame.
  """
  jitter = distributions.normal(
    jax.random.uniform(key, (3,)), limit=_JITTER_LIMIT
  )
  return framed_translation(
    camera,
    points,
    rotation,
    center=center_spread * jitter[:2],
    size=jnp.exp(size_spread * jitter[2]),
  )


def sample_field_of_view(
  key,
  *,
  median: float = 22.0,
  spread: float = 0.4,
  limits: tuple[float, float] = (8.0, 60.0),
) -> jax.Array:
  """Draws the field of view of a face crop, lognormal.

  Args:
    key: randomness.
    median: degrees.
    spread: standard deviation of the logarithm.
    limits: smallest and largest, degrees.

  Returns:
    [] radians.
  """
  low, high = limits
  degrees = distributions.lognormal(
    jax.random.uniform(key), median=median, spread=spread, low=low, high=high
  )
  return jnp.deg2rad(degrees)
