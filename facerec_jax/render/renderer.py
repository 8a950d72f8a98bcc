"""One code -> one image: deferred shading of the visible triangles.

Visibility comes as integers from the rasteriser; barycentric coordinates,
normals, albedo and light are recomputed from it. Gradients are therefore exact
inside triangles. The silhouette does not move with the code, unless
`silhouettes` asks for its derivative (`render.silhouette`).
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
from facerec_jax.render import silhouette


class Rendering(NamedTuple):
  """Images of one face; the background is zero (-1 in triangle_ids).

  Attributes:
    image: [H, W, 3] linear RGB radiance times coverage, not clipped above.
    mask: [H, W] bool, where the face is.
    coverage: [H, W] share of the pixel that the face covers, 0 to 1; over a
      background the picture is `image + (1 - coverage) * background`.
    depth: [H, W] mm.
    normals: [H, W, 3] unit vectors, camera frame.
    albedo: [H, W, 3] linear RGB.
    triangle_ids: [H, W] int32.
  """

  image: jax.Array
  mask: jax.Array
  coverage: jax.Array
  depth: jax.Array
  normals: jax.Array
  albedo: jax.Array
  triangle_ids: jax.Array


def render(
  model: morphable_model.MorphableModel,
  camera: geometry.Camera,
  code: code_vector.CodeVector,
  **options,
) -> Rendering:
  """Renders one face; `jax.vmap` for batches.

  What the caller does not use of the result is not computed under jit.

  Args:
    model: the morphable model.
    camera: in whose frame the code's pose is.
    code: without batch axes.
    **options: `height` and `width`, px, and what else `render_mesh` has.

  Returns:
    The images.
  """
  return render_mesh(
    posed_vertices(model, code),
    model.triangles,
    model.incidence,
    albedo=morphable_model.albedo(model, code.albedo),
    occlusion=model.occlusion,
    light=code.illumination,
    camera=camera,
    **options,
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
  supersampling: int = 1,
  silhouettes: bool = False,
  backend: str = "auto",
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
    supersampling: samples along each side of a pixel.
    silhouettes: whether image and coverage have a gradient at the outline.
    backend: of the rasteriser, see `rasterizer.rasterize`.

  Returns:
    The images; with supersampling, averages over the samples (depth, normals
    and albedo over those that are covered), and the triangle of one sample.

  Raises:
    ValueError: supersampling is not a whole number of 1 or more.
  """
  if not isinstance(supersampling, int) or supersampling < 1:
    raise ValueError(
      f"renderer: supersampling is {supersampling!r}, wanted a whole number "
      ">= 1"
    )
  if occlusion is None:
    occlusion = jnp.ones_like(points[:, 0])
  camera = camera.replace(
    focal=camera.focal * supersampling, center=camera.center * supersampling
  )
  ids = rasterizer.rasterize(
    _screen(camera, points).T,
    triangles,
    height=height * supersampling,
    width=width * supersampling,
    backend=backend,
  )
  planes = _interpolate(
    points, albedo, occlusion, triangles, incidence, camera, ids
  )
  rendering = _shade(planes, ids, light)
  if silhouettes:
    outline = silhouette.outline_motion(
      points.T,
      _screen(camera, points),
      triangles,
      camera,
      rendering.normals,
      ids,
    )
    image, coverage = (
      silhouette.move_outline(plane, outline, rendering.mask)
      for plane in (rendering.image, rendering.coverage[..., None])
    )
    rendering = rendering._replace(image=image, coverage=coverage[..., 0])
  return _average_samples(rendering, supersampling)


def _shade(planes, ids, light):
  """The rendering of what `_interpolate` gives."""
  mask = ids >= 0
  planes = planes.reshape(-1, *ids.shape)
  depth, normals, albedo, occlusion = jnp.split(planes, [1, 4, 7])
  normals = geometry.normalize(normals)
  shade = illumination.shading_planes(normals, light)
  image = [a * s * occlusion[0] for a, s in zip(albedo, shade, strict=True)]

  def inside(planes):
    return jnp.stack([jnp.where(mask, p, 0.0) for p in planes], axis=-1)

  return Rendering(
    image=inside(image),
    mask=mask,
    coverage=mask.astype(planes.dtype),
    depth=jnp.where(mask, depth[0], 0.0),
    normals=inside(normals),
    albedo=inside(albedo),
    triangle_ids=ids,
  )


def _average_samples(rendering, count):
  """One rendering of count x count samples a pixel -> one of pixels."""
  if count == 1:
    return rendering
  height, width = rendering.mask.shape

  def mean(samples):
    shape = height // count, count, width // count, count, *samples.shape[2:]
    return samples.reshape(shape).mean(axis=(1, 3))

  coverage = mean(rendering.coverage)
  share = mean(rendering.mask.astype(coverage.dtype))
  scale = 1.0 / jnp.maximum(share, 1.0 / count**2)
  normals = jnp.moveaxis(mean(rendering.normals), -1, 0)
  middle = count // 2
  ids = rendering.triangle_ids
  return Rendering(
    image=mean(rendering.image),
    mask=share >= 0.5,
    coverage=coverage,
    depth=mean(rendering.depth) * scale,
    normals=jnp.moveaxis(geometry.normalize(normals), 0, -1),
    albedo=mean(rendering.albedo) * scale[..., None],
    triangle_ids=ids[middle::count, middle::count],
  )


def _screen(camera, points):
  """Columns px, rows px and depths mm of vertices [V, 3], [3, V]."""
  return jnp.concatenate([geometry.project(camera, points).T, -points.T[2:]])


@linear_maps.one_after_another
def _interpolate(points, albedo, occlusion, triangles, incidence, camera, ids):
  """Depth, normals, albedo and occlusion at pixel centres, [8, H * W]; else 0.

  The arguments are those of `render_mesh`.
  """
  if triangles.shape[0] == 0:
    return jnp.zeros((8, ids.size), points.dtype)
  # Made here, for one image at a time, what vertices have takes little memory.
  screen = _screen(camera, points)
  normals = geometry.normal_planes(points.T, triangles, incidence)
  values = jnp.concatenate([screen[2:], normals, albedo.T, occlusion[None]])
  index = interpolation.visible_corners(triangles, ids, values.shape[1])
  weights = interpolation.perspective_weights(screen, index, ids.shape)
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
