"""Lights on request: by direction, or by a name that photographers use."""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from facerec_jax.render import color
from facerec_jax.render import geometry
from facerec_jax.render import illumination
from facerec_jax.synthesis import illumination_prior


class Source(NamedTuple):
  """A disc of light.

  Attributes:
    azimuth: degrees, 0 from the camera, positive from the image right.
    elevation: degrees, positive from above.
    strength: relative to the other sources and the ambient light.
    radius: of the disc, degrees; larger is softer.
    temperature: kelvin; 5000 is white.
  """

  azimuth: float
  elevation: float
  strength: float
  radius: float = 20.0
  temperature: float = 5000.0


class Preset(NamedTuple):
  """A scene: the strength of its ambient light, that one's colour, sources."""

  ambient: float
  temperature: float
  sources: tuple[Source, ...]


_WHITE = 5000.0
PRESETS = {
  "frontal": Preset(0.35, _WHITE, (Source(0, 10, 0.65),)),
  "left": Preset(0.3, _WHITE, (Source(-65, 15, 0.8),)),
  "right": Preset(0.3, _WHITE, (Source(65, 15, 0.8),)),
  "above": Preset(0.3, _WHITE, (Source(0, 65, 0.8),)),
  "below": Preset(0.3, _WHITE, (Source(0, -55, 0.8),)),
  "rembrandt": Preset(
    0.22, _WHITE, (Source(-45, 40, 0.9), Source(60, 0, 0.1, 50))
  ),
  "overcast": Preset(0.8, 6500.0, (Source(0, 80, 0.4, 80, 6500.0),)),
  "sunset": Preset(
    0.35, 7000.0, (Source(70, 12, 0.8, 10, 3200.0), Source(-60, 30, 0.1, 60))
  ),
  "candle": Preset(0.2, 2600.0, (Source(-20, -30, 0.8, 15, 2300.0),)),
  "stage": Preset(
    0.15,
    _WHITE,
    (Source(-80, 10, 0.7, 15, 9000.0), Source(80, 10, 0.7, 15, 3000.0)),
  ),
}
# Ambient share of a light that is given by its direction.
_AMBIENT = 0.3


def by_name(name: str) -> jax.Array:
  """The light of `PRESETS`, [9, 3], of unit strength.

  Raises:
    ValueError: no such preset.
  """
  if name not in PRESETS:
    raise ValueError(f"no light {name!r}: choose one of {', '.join(PRESETS)}")
  return _light(PRESETS[name])


def from_direction(azimuth: float, elevation: float) -> jax.Array:
  """A soft white light from a side (degrees) with some ambient light, [9, 3].

  Azimuth 0 is from the camera, positive from the image right; elevation is
  positive from above.
  """
  source = Source(azimuth, elevation, 1 - _AMBIENT)
  return _light(Preset(_AMBIENT, _WHITE, (source,)))


def _light(preset):
  light = illumination.ambient_light(
    preset.ambient * illumination_prior.blackbody(preset.temperature)
  )
  for source in preset.sources:
    direction = illumination_prior.direction(
      math.radians(source.azimuth), math.radians(source.elevation)
    )
    shade = source.strength * illumination_prior.blackbody(source.temperature)
    light += illumination.directional_light(
      direction, math.pi * shade, math.radians(source.radius)
    )
  # What is white at 5000 K is so for the camera, too.
  return light / illumination_prior.blackbody(_WHITE)


def expose(light, model, code, *, strength: float = 1.0) -> jax.Array:
  """A light as bright on a face as the face's own, with its white balance.

  Args:
    light: [9, 3].
    model: the morphable model.
    code: of the face and its present light.
    strength: how much brighter than that.

  Returns:
    [9, 3]; the mean luminance of white skin turned to the camera is `strength`
    times that of before.
  """
  points = model.mean + 0.0
  normals = geometry.vertex_normals(points, model.triangles, model.incidence)
  normals = normals @ geometry.rotation_matrix(code.rotation).T
  weights = jnp.maximum(normals[:, 2], 0.0) * model.occlusion

  def mean_color(light):
    shade = illumination.shading(normals, light)
    return jnp.maximum(weights @ shade / weights.sum(), 1e-4)

  before = mean_color(jnp.asarray(code.illumination))
  cast = before / color.luminance(before)
  balanced = jnp.asarray(light) * cast
  brightness = color.luminance(mean_color(balanced))
  return balanced * strength * color.luminance(before) / brightness
