"""Faces coloured by a value of each vertex, seen from three sides."""

from __future__ import annotations

import functools
import math
import os
import pathlib

import jax
import jax.numpy as jnp
import numpy as np

from facerec_jax.face import incidence
from facerec_jax.face import morphable_model
from facerec_jax.render import color
from facerec_jax.render import geometry
from facerec_jax.render import illumination
from facerec_jax.render import renderer
from facerec_jax.results import figures
from facerec_jax.results import plots

YAWS = (-50.0, 0.0, 50.0)
_SIZE, _SAMPLES = 320, 2
# Height of the space that is seen, mm; around the middle of the inner
# landmarks, moved by so much towards the head's middle.
_HEIGHT = 265.0
_ABOUT = np.array([0.0, 5.0, -40.0])
_BACKGROUND = 1.0


def limit_of(values: np.ndarray) -> float:
  """A round end of the colour bar: above most values."""
  finite = values[np.isfinite(values)]
  high = float(np.percentile(finite, 98)) if len(finite) else 1.0
  step = 10.0 ** math.floor(math.log10(max(high, 1e-6))) / 2
  return max(math.ceil(high / step) * step, 1e-6)


def write_heat_map(
  path: str | os.PathLike,
  model: morphable_model.MorphableModel,
  points: np.ndarray,
  values: np.ndarray,
  *,
  label: str,
  limit: float | None = None,
) -> pathlib.Path:
  """Draws a face from three sides, with a colour bar.

  Args:
    path: of the PNG.
    model: whose triangles the face has.
    points: [V, 3] mm, model frame.
    values: [V]; NaN where unknown (grey).
    label: of the bar, with unit.
    limit: end of the bar; by default `limit_of` the values.

  Returns:
    The path.
  """
  limit = limit or limit_of(values)
  views = [
    heat_view(model, points, values, limit=limit, yaw=yaw) for yaw in YAWS
  ]
  return plots.heat_picture(path, views, limit=limit, label=label)


def heat_view(
  model: morphable_model.MorphableModel,
  points: np.ndarray,
  values: np.ndarray,
  *,
  limit: float,
  yaw: float = 0.0,
  size: int = _SIZE,
) -> np.ndarray:
  """One picture of a coloured face over white, [size, size, 3] uint8.

  Args:
    model: whose triangles the face has.
    points: [V, 3] mm, model frame.
    values: [V].
    limit: value of the last colour.
    yaw: degrees.
    size: px.
  """
  albedo = color.srgb_to_linear(plots.colors(values, limit))
  picture = _render(
    jnp.asarray(points, jnp.float32),
    model.triangles,
    model.incidence,
    model.landmarks,
    jnp.asarray(albedo, jnp.float32),
    math.radians(yaw),
    size=size,
  )
  return figures.to_bytes(np.asarray(picture))


def _light():
  """Mostly even, so that colours can be read off the bar."""
  direction = np.array([-0.3, 0.4, 1.0]) / np.linalg.norm([0.3, 0.4, 1.0])
  key = illumination.directional_light(direction, np.full(3, 0.3 * math.pi))
  return key + illumination.ambient_light(np.full(3, 0.7))


@functools.partial(jax.jit, static_argnames="size")
def _render(
  points,
  triangles,
  around: incidence.Incidence,
  landmarks,
  albedo,
  yaw,
  *,
  size,
):
  middle = points[landmarks[17:]].mean(axis=0) + _ABOUT
  turn = jnp.array([0.0, 1.0, 0.0]) * yaw
  away = geometry.reference_camera(1).focal * _HEIGHT
  posed = geometry.to_camera(
    points - middle, turn, jnp.array([0.0, 0.0, -1.0]) * away
  )
  picture = renderer.render_mesh(
    posed,
    triangles,
    around,
    albedo=albedo,
    light=_light(),
    camera=geometry.reference_camera(size),
    height=size,
    width=size,
    supersampling=_SAMPLES,
  )
  ground = (1.0 - picture.coverage[..., None]) * _BACKGROUND
  return color.linear_to_srgb(picture.image + ground)
