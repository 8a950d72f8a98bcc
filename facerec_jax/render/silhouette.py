"""How the outline of a mesh moves: a gradient for what is covered.

A hard mask has no gradient, though the area that it covers does. Each border
between a covered and an empty pixel stands for a piece of the outline; when the
outline moves by d px along the border's normal, an area of d px^2 changes from
background to face, half of it in either pixel ("micro-edges", Pidhorskyi et al.
2024, "Rasterized Edge Gradients"). Values stay those of the hard mask; only
their derivatives are added.

Where the outline is a rim, at which the surface turns away, it is no material
line: it moves along the surface normal n as fast as the surface does,

  d = focal / depth * (n . v) / |n across the line of sight|,

v the velocity of the surface point: turning a sphere does not move its outline.
The rim itself lies beyond the last covered pixel centre, so d is extrapolated
to where n . sight is 0 from that pixel and the next one inwards. At the border
of an open mesh, which faces the camera, the outline moves with the surface
point. Contours of one part of the mesh before another have no gradient.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from facerec_jax.render import geometry
from facerec_jax.render import interpolation

# Sine between normal and line of sight, above which an outline is a rim.
_RIM = 0.7
# How far the motion is extrapolated at most, in steps between two pixels.
_REACH = 2.0


class Outline(NamedTuple):
  """How an outline through a pixel would move.

  Attributes:
    motion: [2, H, W] px along columns and rows; its value is 0, its derivative
      is not.
    facing: [H, W] cosine between normal and line of sight.
  """

  motion: jax.Array
  facing: jax.Array


def outline_motion(
  points, screen, triangles, camera: geometry.Camera, normals, ids
) -> Outline:
  """Motion of the outline, seen from covered pixels.

  Args:
    points: [3, V] mm, camera frame.
    screen: [3, V] columns px, rows px, depths mm.
    triangles: [T, 3].
    camera: the camera.
    normals: [H, W, 3] at pixels.
    ids: [H, W] visible triangles.

  Returns:
    The outline's motion.
  """
  if triangles.shape[0] == 0:
    empty = jnp.zeros((3, *ids.shape), points.dtype)
    return Outline(empty[:2], empty[2])
  fixed = jax.lax.stop_gradient
  index = interpolation.visible_corners(triangles, ids, points.shape[1])
  weights = fixed(interpolation.perspective_weights(screen, index, ids.shape))
  values = jnp.concatenate([points, screen[:2]])
  moved = interpolation.interpolate(values, weights, index)
  place = fixed(moved).reshape(5, *ids.shape)
  x, y, z, column, row = moved.reshape(5, *ids.shape) - place
  nx, ny, nz = jnp.moveaxis(fixed(normals), -1, 0)
  sight = geometry.normalize(place[:3])
  cosine = nx * sight[0] + ny * sight[1] + nz * sight[2]
  across = jnp.sqrt(jnp.maximum(1.0 - cosine * cosine, 1e-6))
  depth = jnp.maximum(-place[2], 1e-6)
  speed = fixed(camera.focal) / depth / across * (nx * x + ny * y + nz * z)
  # Towards the outside, in the image.
  flat = jax.lax.rsqrt(nx * nx + ny * ny + geometry.TINY)
  rim = across > _RIM
  motion = jnp.stack(
    [
      jnp.where(rim, speed * nx * flat, column),
      jnp.where(rim, -speed * ny * flat, row),
    ]
  )
  return Outline(jnp.where(ids >= 0, motion, 0.0), jnp.abs(cosine))


def move_outline(image, outline: Outline, mask) -> jax.Array:
  """Adds to an image the derivative of a moving outline.

  Args:
    image: [H, W, C], 0 where nothing is covered.
    outline: of the same pixels.
    mask: [H, W] bool, what is covered.

  Returns:
    [H, W, C] of the same value.
  """
  covered = jax.lax.stop_gradient(image)
  for axis in (0, 1):
    motion = outline.motion[1 - axis]
    for sign in (1, -1):
      # Beyond the image nothing is known: no border.
      border = mask & _shifted(~mask, axis, -sign)
      inwards = _shifted(jnp.stack([motion, outline.facing]), axis + 1, sign)
      there = _extrapolate(motion, outline.facing, *inwards)
      share = jnp.where(border, 0.5 * sign * there, 0.0)
      given = share[..., None] * covered
      image = image + given + _shifted(given, axis, sign)
  return image


def _extrapolate(motion, facing, inner_motion, inner_facing):
  """Motion where facing is 0, if there is a rim to which it falls."""
  fall = inner_facing - facing
  rim = (fall > 0) & (facing**2 < 1 - _RIM**2)
  reach = jnp.where(rim, facing / jnp.where(rim, fall, 1.0), 0.0)
  return motion + jnp.minimum(reach, _REACH) * (motion - inner_motion)


def _shifted(image, axis, step):
  """Moves an image by one pixel along an axis; zeros come in."""
  pad = [(0, 0)] * image.ndim
  pad[axis] = (max(step, 0), max(-step, 0))
  return jax.lax.dynamic_slice_in_dim(
    jnp.pad(image, pad), max(-step, 0), image.shape[axis], axis
  )
