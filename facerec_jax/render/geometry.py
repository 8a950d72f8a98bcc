"""Rotation, camera, projection and normals of one face."""

from __future__ import annotations

import functools
import math

from flax import struct
import jax
import jax.numpy as jnp

from facerec_jax.face import code_vector
from facerec_jax.face import incidence as incidence_lib
from facerec_jax.render import linear_maps

# Field of view of the reference camera, in which codes are expressed. A crop of
# a head photographed with a short telephoto lens has about this much.
REFERENCE_FIELD_OF_VIEW = math.radians(22.0)

# An area of zero has no normal; this keeps its gradient finite.
TINY = 1e-20


@struct.dataclass
class Camera:
  """A pinhole camera at the origin, looking along -z.

  Attributes:
    focal: [] focal length, px.
    center: [2] principal point (column, row), px.
  """

  focal: jax.Array
  center: jax.Array


def reference_camera(image_size: int) -> Camera:
  """The camera of a square image in which codes are expressed."""
  return camera_from_field_of_view(REFERENCE_FIELD_OF_VIEW, image_size)


@functools.partial(jax.jit, inline=True)
def camera_from_field_of_view(field_of_view, image_size: int) -> Camera:
  """A centred camera for a square image.

  Args:
    field_of_view: [] across the image, radians.
    image_size: px.

  Returns:
    The camera.
  """
  half = image_size / 2
  focal = half / jnp.tan(jnp.asarray(field_of_view, jnp.float32) / 2)
  return Camera(focal=focal, center=jnp.full(2, half, jnp.float32))


def dolly_zoom(
  camera: Camera, code: code_vector.CodeVector, field_of_view
) -> tuple[Camera, code_vector.CodeVector]:
  """Changes the perspective and keeps the face where it is in the image.

  The focal length and the distance change by one factor, so that position and
  size of the face in the image, hence the code, stay.

  Args:
    camera: the reference camera, or one that shows more or less of its image.
    code: in its frame, without batch axes.
    field_of_view: [] of the reference camera's image as it is wanted, radians.

  Returns:
    (camera, code) to render with; the label stays the code that was given.
  """
  factor = math.tan(REFERENCE_FIELD_OF_VIEW / 2) / jnp.tan(field_of_view / 2)
  stretch = jnp.stack([jnp.ones(()), jnp.ones(()), factor])
  moved = code.replace(translation=code.translation * stretch)
  return camera.replace(focal=camera.focal * factor), moved


@functools.partial(jax.jit, inline=True)
def rotation_matrix(angles) -> jax.Array:
  """R = Rz(roll) Rx(-pitch) Ry(yaw).

  Args:
    angles: [3] pitch (+ raises the chin), yaw (+ turns to the image right),
      roll (+ counter-clockwise in the image), radians.

  Returns:
    [3, 3], acts on column vectors.
  """
  cos, sin = jnp.cos(angles), jnp.sin(angles)
  (cp, cy, cr), (sp, sy, sr) = cos, sin
  # The product written out: fewer operations, and exact where an angle is 0.
  return jnp.stack(
    [
      jnp.stack([cr * cy + sr * sp * sy, -sr * cp, cr * sy - sr * sp * cy]),
      jnp.stack([sr * cy - cr * sp * sy, cr * cp, sr * sy + cr * sp * cy]),
      jnp.stack([-cp * sy, -sp, cp * cy]),
    ]
  )


def rotation_angles(matrix) -> jax.Array:
  """Inverse of `rotation_matrix` for |pitch| < 90 degrees.

  Args:
    matrix: [3, 3] rotation.

  Returns:
    [3] pitch, yaw, roll, radians.
  """
  pitch = jnp.arcsin(jnp.clip(-matrix[2, 1], -1.0, 1.0))
  yaw = jnp.arctan2(-matrix[2, 0], matrix[2, 2])
  roll = jnp.arctan2(-matrix[0, 1], matrix[1, 1])
  return jnp.stack([pitch, yaw, roll])


def to_camera(points, rotation, translation) -> jax.Array:
  """Moves model points into the camera frame.

  Args:
    points: [V, 3] mm, model frame.
    rotation: [3] angles, radians.
    translation: [3] mm.

  Returns:
    [V, 3] mm, camera frame (z < 0 in front of the camera).
  """
  rotated = jnp.dot(
    points, rotation_matrix(rotation).T, precision=jax.lax.Precision.HIGHEST
  )
  return rotated + translation


def project(camera: Camera, points) -> jax.Array:
  """Projects camera-frame points.

  Args:
    camera: the camera.
    points: [..., 3] mm, z < 0.

  Returns:
    [..., 2] (column, row), px; pixel centres lie at +0.5.
  """
  scale = camera.focal / -points[..., 2]
  column = camera.center[0] + scale * points[..., 0]
  row = camera.center[1] - scale * points[..., 1]
  return jnp.stack([column, row], axis=-1)


def vertex_normals(
  points, triangles, incidence: incidence_lib.Incidence
) -> jax.Array:
  """Area-weighted unit normals.

  Args:
    points: [V, 3].
    triangles: [T, 3], counter-clockwise from outside.
    incidence: of the triangles.

  Returns:
    [V, 3].
  """
  return normal_planes(points.T, triangles, incidence).T


@linear_maps.one_after_another
def normal_planes(
  points, triangles, incidence: incidence_lib.Incidence
) -> jax.Array:
  """`vertex_normals` of points [3, V], as [3, V]."""
  corners = linear_maps.to_corners(points, triangles, incidence)
  a, b, c = jnp.split(corners, 3, axis=1)
  (ux, uy, uz), (vx, vy, vz) = b - a, c - a
  faces = jnp.stack([uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx])
  total = linear_maps.sum_around(faces, triangles, incidence)
  if incidence.copies is not None:
    columns = incidence.copies.T
    total = sum(linear_maps.take(total, column) for column in columns)
  return normalize(total)


def normalize(vectors) -> jax.Array:
  """Unit vectors along the first axis; zero stays zero, with a finite slope.

  Args:
    vectors: [3, ...].

  Returns:
    [3, ...].
  """
  # Written out: a reduction over an inner axis of a batch is slow on CPUs.
  x, y, z = vectors
  scale = jax.lax.rsqrt(x * x + y * y + z * z + TINY)
  return jnp.stack([x * scale, y * scale, z * scale])
