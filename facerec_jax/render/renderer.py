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
from facerec_jax.render import interpolation
from facerec_jax.render import linear_maps
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
  backend: str | None = None,
) -> Rendering:
  """Renders one face; `jax.vmap` for batches.

  What the caller does not use of the result is not computed under jit.

  Args:
    model: the morphable model.
    camera: in whose frame the code's pose is.
    code: without batch axes.
    height: of the image, px.
    width: of the image, px.
    backend: of the rasteriser, see `rasterizer.rasterize`.

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
    backend=backend,
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
  backend: str | None = None,
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
    backend: of the rasteriser.

  Returns:
    The images.
  """
  if occlusion is None:
    occlusion = jnp.ones_like(points[:, 0])
  normals = geometry.normal_planes(points.T, triangles, incidence)
  screen = jnp.concatenate([geometry.project(camera, points).T, -points.T[2:]])
  ids = rasterizer.rasterize(
    screen.T, triangles, height=height, width=width, backend=backend
  )
  mask = ids >= 0
  values = jnp.concatenate([screen[2:], normals, albedo.T, occlusion[None]])
  planes = _interpolate(screen, values, triangles, ids)
  planes = planes.reshape(-1, height, width)
  depth, normals, albedo, occlusion = jnp.split(planes, [1, 4, 7])
  normals = geometry.normalize(normals)
  shade = illumination.shading_planes(normals, light)
  image = [a * s * occlusion[0] for a, s in zip(albedo, shade, strict=True)]

  def inside(planes):
    return jnp.stack([jnp.where(mask, p, 0.0) for p in planes], axis=-1)

  return Rendering(
    image=inside(image),
    mask=mask,
    depth=jnp.where(mask, depth[0], 0.0),
    normals=inside(normals),
    albedo=inside(albedo),
    triangle_ids=ids,
  )


@linear_maps.one_after_another
def _interpolate(screen, values, triangles, ids):
  """Values of vertices [R, V] at pixel centres, [R, H * W]; else 0."""
  height, width = ids.shape
  if triangles.shape[0] == 0:
    return jnp.zeros((values.shape[0], height * width), values.dtype)
  flat = ids.reshape(-1)
  shown = jnp.maximum(flat, 0)
  index = jnp.stack(
    [jnp.where(flat >= 0, t[shown], values.shape[1]) for t in triangles.T]
  )
  weights = interpolation.perspective_weights(
    screen,
    index,
    column=jnp.tile(jnp.arange(width) + 0.5, height),
    row=jnp.repeat(jnp.arange(height) + 0.5, width),
  )
  return interpolation.interpolate(values, weights, index)


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
