"""A texture from a photograph: what it shows of a face, and the rest.

Texels that the photograph shows well are taken from it; what only the other
side of the face shows comes from there, changed by the difference of light
between the sides; the rest is the model's albedo in the light of the
photograph. Each layer is fitted to the colours of the one above, smoothly,
before they are blended. So the texture looks as photographed: light is in it.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import cv2
import jax
import jax.numpy as jnp
import numpy as np

from facerec_jax.face import code_vector
from facerec_jax.face import landmarks as landmark_points
from facerec_jax.face import morphable_model
from facerec_jax.render import color
from facerec_jax.render import geometry
from facerec_jax.render import illumination
from facerec_jax.render import interpolation
from facerec_jax.render import rasterizer
from facerec_jax.render import renderer
from facerec_jax.results import atlas as atlases
from facerec_jax.results import bending
from facerec_jax.results import symmetry
from facerec_jax.results import texture_layers

SIZE = 1024
# Cosine of the angle between normal and line of sight at which a texel of the
# photograph begins to count, and counts fully.
_FACING = (0.2, 0.55)
# mm from the tip of the nose within which a photograph is sure to show the
# face: fully, not at all.
_NEAR = (105.0, 130.0)
# How far the face reaches above the brows, in distances between brows and
# eyes; and the width of its soft outline, shares of the view.
_FOREHEAD = 2.4
_OUTLINE = 0.025
# Regions that a photograph seldom shows where the model has them.
_UNSURE_REGIONS = ("ears", "neck")
# mm by which a surface may lie behind the nearest one and still be that one.
_DEPTH_SLACK = 3.0
# Width of the soft borders of layers, texels of a texture of SIZE.
_FEATHER = 10
# Least light that is divided by.
_DIMMEST = 0.05
# Of the columns of _Values.
_SURE = 5


class View(NamedTuple):
  """A square photograph of a face.

  Attributes:
    image: [P, P, 3] sRGB in [0, 1].
    inside: [P, P] bool, what is photograph and not its surroundings.
    sides: of the view, in units of the square that the code refers to.
    landmarks: [68, 2] detected points, px of the view, or None.
    field_of_view: see `geometry.dolly_zoom`, radians.
  """

  image: np.ndarray
  inside: np.ndarray
  sides: float
  landmarks: np.ndarray | None = None
  field_of_view: float = geometry.REFERENCE_FIELD_OF_VIEW

  def place(
    self, code: code_vector.CodeVector
  ) -> tuple[geometry.Camera, code_vector.CodeVector]:
    """The camera that took the view, and the code in its frame."""
    camera = geometry.reference_camera(len(self.image))
    camera = camera.replace(focal=camera.focal / self.sides)
    return geometry.dolly_zoom(camera, code, self.field_of_view)


def bake(
  model: morphable_model.MorphableModel,
  atlas: atlases.Atlas,
  code: code_vector.CodeVector,
  view: View,
  *,
  size: int = SIZE,
) -> np.ndarray:
  """Makes a texture from a photograph.

  Where landmarks were detected the photograph is bent so that they meet the
  model's own: eyes and lips of an inexact reconstruction come from where they
  are. The inner parts (eyes, teeth, mouth) are never taken from the photograph,
  which shows but a piece of them.

  Args:
    model: the morphable model.
    atlas: of the model, with a chart.
    code: of the face.
    view: that the code was read from.
    size: S, texels.

  Returns:
    [S, S, 3] uint8 sRGB; the first row is v = 1.
  """
  landmarks, depth, vertex = _at_vertices(model, code, view)
  chart = _chart(atlas.uv, atlas.triangles, size=size)
  ids = np.asarray(chart.ids)
  covered = ids >= 0
  skin = covered & (atlas.part[ids] == 0)
  here = _at_texels(vertex[atlas.source], chart)
  partners = symmetry.partners(model)
  there = _at_texels(
    symmetry.at_partners(vertex, partners)[atlas.source], chart
  )
  light = np.maximum(here.light, _DIMMEST)
  photo = np.asarray(color.srgb_to_linear(view.image))
  area = _face_area(landmarks, view.inside)
  layers = []
  for texel in (there, here):
    seen = _sample(photo, texel.photo)
    seen = seen * light / np.maximum(texel.light, _DIMMEST)
    share = _visible(texel, depth, skin) * _sample(area, texel.photo)
    layers.append((seen, share))
  texture = texture_layers.compose(here.albedo * here.light, layers, skin)
  texture = texture_layers.extend(texture, covered.astype(np.float32))
  return np.round(255 * np.asarray(color.linear_to_srgb(texture))).astype(
    np.uint8
  )


class _Values(NamedTuple):
  """Of each texel.

  Attributes:
    photo: [S, S, 2] where the bent photograph shows it, px.
    screen: [S, S, 2] where the camera sees it, px.
    depth: [S, S] mm.
    sure: [S, S] share of the photograph's colour that its place and angle
      allow.
    light: [S, S, 3] shading with occlusion.
    albedo: [S, S, 3] linear RGB.
  """

  photo: np.ndarray
  screen: np.ndarray
  depth: np.ndarray
  sure: np.ndarray
  light: np.ndarray
  albedo: np.ndarray


def _at_vertices(model, code, view):
  """What the vertices of a face are in a view.

  Returns:
    [68, 2] the landmarks in the photograph, px; [P, P] depth, mm, 0 where
    nothing is; [V, 12] the columns of `_Values`.
  """
  depth, screen, landmarks, columns = map(
    np.asarray, _pose(model, *view.place(code), size=len(view.image))
  )
  photo = screen
  if view.landmarks is not None:
    bend = view.landmarks - landmarks
    photo = screen + bending.displacement(landmarks, bend, screen)
    landmarks = view.landmarks
  columns = [photo, screen, columns]
  columns = np.concatenate(columns, axis=1, dtype=np.float32)
  columns[:, _SURE] *= _closeness(model)
  return landmarks, depth, columns


@functools.partial(jax.jit, static_argnames="size")
def _pose(model, camera, code, *, size):
  points = renderer.posed_vertices(model, code)
  screen = geometry.project(camera, points)
  depth = renderer.render(model, camera, code, height=size, width=size).depth
  normals = geometry.vertex_normals(points, model.triangles, model.incidence)
  sight = -points / jnp.linalg.norm(points, axis=1, keepdims=True)
  facing = jnp.sum(normals * sight, axis=1)
  light = illumination.shading(normals, code.illumination)
  columns = [
    -points[:, 2:],
    _ramp(facing, *_FACING)[:, None],
    light * model.occlusion[:, None],
    morphable_model.albedo(model, code.albedo),
  ]
  landmarks = screen[model.landmarks]
  return depth, screen, landmarks, jnp.concatenate(columns, axis=1)


def _ramp(values, low, high):
  """0 at `low`, 1 at `high`, smooth between; low > high falls."""
  share = ((values - low) / (high - low)).clip(0, 1)
  return share * share * (3 - 2 * share)


def _closeness(model):
  """[V] 1 where a photograph of a face shows the face, 0 far from there."""
  mean = np.asarray(model.mean)
  distance = np.linalg.norm(mean - mean[model.landmarks[30]], axis=1)
  unsure = [
    index
    for index, name in enumerate(model.region_names)
    if name in _UNSURE_REGIONS
  ]
  return _ramp(distance, *_NEAR[::-1]) * ~np.isin(model.region, unsure)


class _Chart(NamedTuple):
  """The triangle [S, S] at each texel (-1: none), its corners and weights."""

  ids: jax.Array
  corners: jax.Array
  weights: jax.Array


@functools.partial(jax.jit, static_argnames="size")
def _chart(uv, triangles, *, size):
  flat = jnp.stack([uv[:, 0], 1 - uv[:, 1], jnp.ones(len(uv))], axis=1)
  flat = flat * jnp.array([size, size, 1000.0])
  ids = rasterizer.rasterize(flat, triangles, height=size, width=size)
  corners = interpolation.visible_corners(triangles, ids, len(uv))
  weights = interpolation.perspective_weights(flat.T, corners, ids.shape)
  return _Chart(ids, corners, weights)


def _at_texels(columns, chart) -> _Values:
  """_Values of their columns [W, 12]."""
  planes = _interpolate(columns.T, chart.weights, chart.corners)
  texels = np.asarray(planes).T.reshape(*chart.ids.shape, -1)
  photo, screen, depth, sure, light, albedo = np.split(
    texels, [2, 4, 5, 6, 9], axis=-1
  )
  return _Values(photo, screen, depth[..., 0], sure[..., 0], light, albedo)


_interpolate = jax.jit(interpolation.interpolate)


def _sample(image, places, method=cv2.INTER_LINEAR):
  """An image [P, P, ...] at places [S, S, 2], px; its edge beyond it."""
  # OpenCV's pixel centres lie at integers.
  columns, rows = np.moveaxis(places.astype(np.float32) - 0.5, -1, 0)
  return cv2.remap(
    np.asarray(image, np.float32),
    columns,
    rows,
    method,
    borderMode=cv2.BORDER_REPLICATE,
  )


def _visible(texel, depth, skin):
  """[S, S] share of the photograph's colour, by visibility and angle."""
  nearest = _sample(depth, texel.screen, cv2.INTER_NEAREST)
  visible = (nearest > 0) & (texel.depth < nearest + _DEPTH_SLACK)
  sure = texel.sure * skin
  sharp = (visible & (sure > 0)).astype(np.float32)
  width = 2 * (_FEATHER * len(skin) // SIZE) + 1
  sharp = cv2.erode(sharp, np.ones((width, width), np.uint8))
  return sure * cv2.GaussianBlur(sharp, (0, 0), max(width / 4, 0.5))


def _face_area(points, inside):
  """[P, P] where a photograph shows the face, soft towards its outline."""
  size = len(inside)
  outline = landmark_points.face_outline(points, lift=_FOREHEAD)
  corners = np.round(16 * (np.asarray(outline) - 0.5)).astype(np.int32)
  area = np.zeros((size, size), np.float32)
  cv2.fillPoly(area, [corners], 1.0, shift=4)
  soft = cv2.GaussianBlur(area * inside, (0, 0), _OUTLINE * size)
  return _ramp(soft, 0.65, 1.0)
