"""One code -> one image: deferred shading of the visible triangles.

Visibility comes as integers from the rasteriser; barycentric coordinates,
normals, albedo and light are recomputed from it. Gradients are therefore exact
inside triangles; the silhouette does not move with the code (its gradient is
zero by construction).
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from facerec_jax.face import code_vector
from facerec_jax.face import morphable_model
from facerec_jax.render import geometry
from facerec_jax.render import illumination
from facerec_jax.render import rasterizer


class Rendering(NamedTuple):
  """Images of one face; the background is zero (-1 in triangle_ids).

  Attributes:
    image: [H, W, 3] linear RGB radiance, not clipped above.
    mask: [H, W] bool, where the face is.
    depth: [H, W] mm.
    normals: [H, W, 3] unit vectors, camera frame.
    albedo: [H, W, 3] linear RGB.
    triangle_ids: [H, W] int32.
  """

  image: jax.Array
  mask: jax.Array
  depth: jax.Array
  normals: jax.Array
  albedo: jax.Array
  triangle_ids: jax.Array


def render(
  model: morphable_model.MorphableModel,
  camera: geometry.Camera,
  code: code_vector.CodeVector,
  *,
  height: int,
  width: int,
) -> Rendering:
  """Renders one face; `jax.vmap` for batches.

  What the caller does not use of the result is not computed under jit.

  Args:
    model: the morphable model.
    camera: in whose frame the code's pose is.
    code: without batch axes.
    height: of the image, px.
    width: of the image, px.

  Returns:
    The images.
  """
  points = posed_vertices(model, code)
  return render_mesh(
    points,
    model.triangles,
    model.incidence,
    albedo=morphable_model.albedo(model, code.albedo),
    occlusion=model.occlusion,
    light=code.illumination,
    camera=camera,
    height=height,
    width=width,
  )


def render_mesh(
  points,
  triangles,
  incidence,
  *,
  albedo,
  light,
  camera: geometry.Camera,
  height: int,
  width: int,
  occlusion=None,
) -> Rendering:
  """Renders any mesh.

  Args:
    points: [V, 3] mm, camera frame.
    triangles: [T, 3].
    incidence: of the triangles, `face.incidence.vertex_incidence`.
    albedo: [V, 3] linear RGB.
    light: [9, 3] illumination.
    camera: the camera.
    height: of the image, px.
    width: of the image, px.
    occlusion: [V] share of the sky that a vertex sees, or None for 1.

  Returns:
    The images.
  """
  if occlusion is None:
    occlusion = jnp.ones_like(points[:, 0])
  normals = geometry.vertex_normals(points, triangles, incidence)
  screen = jnp.concatenate(
    [geometry.project(camera, points), -points[:, 2:]], axis=1
  )
  ids = rasterizer.rasterize(screen, triangles, height=height, width=width)
  mask = ids >= 0
  vertex_attributes = [*normals.T, *albedo.T, occlusion]
  depth, *planes = _interpolate(screen, vertex_attributes, triangles, ids)
  normals, albedo, occlusion = planes[:3], planes[3:6], planes[6]
  length = jax.lax.rsqrt(sum(n * n for n in normals) + geometry.TINY)
  normals = [n * length for n in normals]
  shade = illumination.shading_planes(normals, light)
  image = [a * s * occlusion for a, s in zip(albedo, shade, strict=True)]

  def inside(planes):
    return jnp.stack([jnp.where(mask, p, 0.0) for p in planes], axis=-1)

  return Rendering(
    image=inside(image),
    mask=mask,
    depth=jnp.where(mask, depth, 0.0),
    normals=inside(normals),
    albedo=inside(albedo),
    triangle_ids=ids,
  )


def _interpolate(screen, attributes, triangles, ids):
  """Perspective-correct interpolation at pixel centres.

  Works on planes [H, W]: gathers of single numbers fuse with the arithmetic
  behind them, gathers of rows are stored (three times slower on a CPU).

  Args:
    screen: [V, 3] column, row, depth.
    attributes: of the vertices, [V] each.
    triangles: [T, 3].
    ids: [H, W], -1 is read as triangle 0.

  Returns:
    Depth, then each attribute, [H, W] planes.
  """
  height, width = ids.shape
  if triangles.shape[0] == 0:
    return [jnp.zeros(ids.shape)] * (1 + len(attributes))
  shown = jnp.maximum(ids, 0)
  vertex = [triangles[:, corner][shown] for corner in range(3)]
  here_x = jnp.arange(width) + 0.5
  here_y = jnp.arange(height)[:, None] + 0.5
  x = [screen[:, 0][v] - here_x for v in vertex]
  y = [screen[:, 1][v] - here_y for v in vertex]
  z = [screen[:, 2][v] for v in vertex]
  weights = [
    (x[j] * y[k] - y[j] * x[k]) / z[i]
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1))
  ]
  total = sum(weights)
  # Where nothing is visible the sum may vanish; its value is not used.
  scale = 1.0 / jnp.where((ids >= 0) & (total != 0), total, 1.0)
  weights = [w * scale for w in weights]

  def mix(corners):
    return sum(w * c for w, c in zip(weights, corners, strict=True))

  return [mix(z), *(mix([values[v] for v in vertex]) for values in attributes)]


def posed_vertices(
  model: morphable_model.MorphableModel, code: code_vector.CodeVector
) -> jax.Array:
  """Vertices of a face in the camera frame, [V, 3] mm."""
  points = morphable_model.vertices(model, code.identity, code.expression)
  return geometry.to_camera(points, code.rotation, code.translation)


def project_landmarks(
  model: morphable_model.MorphableModel,
  camera: geometry.Camera,
  code: code_vector.CodeVector,
) -> jax.Array:
  """The 68 landmarks of a face in the image, [68, 2] px."""
  few = morphable_model.restrict(model, model.landmarks)
  return geometry.project(camera, posed_vertices(few, code))
