"""Where an edited face lies in the photograph that it comes from."""

from __future__ import annotations

import functools
from typing import NamedTuple

import cv2
import jax
import jax.numpy as jnp
import numpy as np

from facerec_jax.face import code_vector
from facerec_jax.face import morphable_model
from facerec_jax.render import color
from facerec_jax.render import geometry
from facerec_jax.render import illumination
from facerec_jax.render import interpolation
from facerec_jax.render import rasterizer
from facerec_jax.render import renderer
from facerec_jax.results import atlas as atlases
from facerec_jax.results import bending

# Side of the maps, px.
SIZE = 640
# mm by which a surface may lie behind the nearest one and still be that one.
_DEPTH_SLACK = 1.5
# Displacements that are rounding, px.
_STILL = 0.02
# How far the motion of the face reaches beyond it, share of the side.
_REACH = 0.11
# Regions that the motion of the face pulls along but that have none themselves.
_PASSIVE = ("ears", "neck")
_INNER = tuple(atlases.PARTS.index(part) for part in ("teeth", "mouth"))


class Maps(NamedTuple):
  """What an edit does to a square view of the photograph; P = SIZE.

  Attributes:
    flow: [P, P, 2] px of the view, from a pixel to where the photograph shows
      what belongs there.
    before: [P, P, 3] linear RGB, the rendered colour of that, and
    after: [P, P, 3] with the edit; both 0 where no face is.
    face: [P, P] bool, where the edited face is, neck and ears included.
    hidden: [P, P] bool, of it what the photograph does not show.
    inner: [P, P] bool, teeth and mouth.
    cast: [3] colour of the edited light, of luminance 1.
  """

  flow: np.ndarray
  before: np.ndarray
  after: np.ndarray
  face: np.ndarray
  hidden: np.ndarray
  inner: np.ndarray
  cast: np.ndarray


class Warp:
  """The maps of one face's edits."""

  def __init__(
    self,
    model: morphable_model.MorphableModel,
    camera: geometry.Camera,
    code: code_vector.CodeVector,
    landmarks: np.ndarray | None = None,
  ):
    """Prepares a face.

    Args:
      model: the morphable model.
      camera: of the view, in whose frame the code's pose is.
      code: of the face in the photograph.
      landmarks: [68, 2] detected points, px of a view of SIZE, or None. All
        edits keep the distance of the reconstruction from them.
    """
    self._model, self._camera = model, camera
    atlas = atlases.create(model)
    self._part = np.append(atlas.part, 0)
    passive = [
      index for index, name in enumerate(model.region_names) if name in _PASSIVE
    ]
    active = ~np.isin(np.asarray(model.region), passive)
    self._active = active.astype(np.float32)[:, None]
    screen = np.asarray(_project(model, camera, code))
    self._bend = np.zeros_like(screen)
    points = screen[np.asarray(model.landmarks)]
    if landmarks is not None:
      bend = bending.displacement(points, landmarks - points, screen)
      self._bend = bend.astype(np.float32)
      points = landmarks
    self._old = _shaded(model, camera, code, self._bend)
    # The same compiled program as for edits.
    self._depth = self._draw(*self._old)[1][..., 2]
    # [68, 2] px of the view, where the face is in the photograph.
    self.landmarks = points

  def __call__(self, edited: code_vector.CodeVector) -> Maps:
    """Makes the maps of an edit."""
    ids, planes = self._draw(
      *_shaded(self._model, self._camera, edited, self._bend)
    )
    flow, own_depth, active, before, after = np.split(
      planes, [2, 3, 4, 7], axis=-1
    )
    face = ids >= 0
    grid = np.stack(np.meshgrid(*2 * [np.arange(SIZE) + 0.5]), axis=-1)
    nearest = _nearest(self._depth, grid + flow)
    seen = face & (np.abs(own_depth[..., 0] - nearest) < _DEPTH_SLACK)
    inner = face & np.isin(self._part[ids], _INNER)
    active = face & (active[..., 0] > 0.5)
    flow = _extend(flow, seen & active & ~inner)
    return Maps(
      flow=np.where(np.abs(flow) < _STILL, 0, flow).astype(np.float32),
      before=before,
      after=after,
      face=face,
      hidden=~seen & active,
      inner=inner,
      cast=_cast(edited),
    )

  def _draw(self, screen, radiance):
    """Triangles [P, P] of a face, and [P, P, 10]: see `__call__`."""
    old, old_radiance = self._old
    columns = [
      # Differences, not places: what rests then does so exactly.
      (old - screen).T[:, :2],
      old.T[:, 2:],
      self._active,
      old_radiance,
      radiance,
    ]
    drawn = _raster(
      screen,
      self._model.triangles,
      jnp.concatenate(columns, axis=1),
      size=SIZE,
    )
    return tuple(map(np.asarray, drawn))


def _cast(code):
  """Colour of a code's light, [3] of luminance 1."""
  ambient = np.maximum(np.asarray(code.illumination)[0], 1e-3)
  return ambient / np.maximum(np.asarray(color.luminance(ambient)), 1e-3)


@jax.jit
def _project(model, camera, code):
  return geometry.project(camera, renderer.posed_vertices(model, code))


@jax.jit
def _shaded(model, camera, code, bend):
  """[3, V] column px, row px and depth mm; [V, 3] linear RGB."""
  points = renderer.posed_vertices(model, code)
  normals = geometry.vertex_normals(points, model.triangles, model.incidence)
  shade = illumination.shading(normals, code.illumination)
  radiance = morphable_model.albedo(model, code.albedo) * shade
  screen = geometry.project(camera, points) + bend
  return (
    jnp.concatenate([screen.T, -points.T[2:]]),
    radiance * model.occlusion[:, None],
  )


@functools.partial(jax.jit, static_argnames="size")
def _raster(screen, triangles, columns, *, size):
  """Visible triangles [P, P] and values of vertices [V, R] there, [P, P, R]."""
  ids = rasterizer.rasterize(screen.T, triangles, height=size, width=size)
  corners = interpolation.visible_corners(triangles, ids, len(columns))
  weights = interpolation.perspective_weights(screen, corners, ids.shape)
  planes = interpolation.interpolate(columns.T, weights, corners)
  planes = jnp.where((ids >= 0).ravel(), planes, 0.0)
  return ids, planes.T.reshape(size, size, -1)


def _nearest(image, places):
  """An image [P, P] at the pixels of places [P, P, 2]."""
  columns, rows = np.moveaxis(
    np.floor(places).astype(int).clip(0, SIZE - 1), -1, 0
  )
  return image[rows, columns]


def _extend(flow, known):
  """Continues a flow beyond where it is known, and lets it fade."""
  if not (flow * known[..., None]).any():
    return np.zeros_like(flow)
  distance = cv2.distanceTransform(
    (~known).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE
  )
  share = np.clip(1 - distance / (_REACH * SIZE), 0, 1)[..., None]
  share = share * share * (3 - 2 * share)
  return np.where(known[..., None], flow, share * fill(flow, known))


def fill(values: np.ndarray, known: np.ndarray) -> np.ndarray:
  """Continues an image smoothly where it is not known.

  Weighted means of the known pixels around, over wider and wider surroundings
  the farther these are.

  Args:
    values: [P, P, C].
    known: [P, P] bool.

  Returns:
    [P, P, C] float32; the values themselves where they are known.
  """
  size = len(known)
  weight = known.astype(np.float32)[..., None]
  values = values.astype(np.float32)
  filled = np.zeros_like(values)
  for part in (6, 12, 24, 48, 96, 192):
    near = smooth(weight, size / part)
    mean = smooth(values * weight, size / part) / np.maximum(near, 1e-6)
    share = np.clip(4 * near, 0, 1)
    filled = filled + share * (mean - filled)
  return np.where(known[..., None], values, filled)


def smooth(image: np.ndarray, deviation: float) -> np.ndarray:
  """Blurs an image [P, P, ...] by a Gaussian, quickly where it is wide."""
  height, width = image.shape[:2]
  step = max(int(deviation / 4), 1)
  small = image
  if step > 1:
    small = cv2.resize(
      image, (width // step, height // step), interpolation=cv2.INTER_AREA
    )
  small = cv2.GaussianBlur(small, (0, 0), deviation / step)
  if step > 1:
    small = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
  return small.reshape(image.shape)
