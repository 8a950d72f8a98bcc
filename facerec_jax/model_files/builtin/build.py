"""Makes the built-in face: shape, identity, expression, colour, occlusion."""

from __future__ import annotations

import numpy as np

from facerec_jax.face import morphable_model
from facerec_jax.face.morphable_model import MorphableModel
from facerec_jax.model_files.builtin import albedo
from facerec_jax.model_files.builtin import color_masks
from facerec_jax.model_files.builtin import expression
from facerec_jax.model_files.builtin import identity
from facerec_jax.model_files.builtin import occlusion
from facerec_jax.model_files.builtin import sculpture as sculpture_lib

NAME = "builtin"
REGIONS = (
  "skin",
  "lips",
  "left_eye",
  "right_eye",
  "lid_margin",
  "mouth_interior",
  "teeth",
  "ears",
  "neck",
)


def build() -> MorphableModel:
  """Makes the model; deterministic, some ten seconds."""
  sculpture = sculpture_lib.sculpt()
  shapes, shape_names = identity.basis(sculpture)
  motions, motion_names = expression.basis(sculpture)
  color, colors = albedo.basis(sculpture)
  return morphable_model.create(
    mean=sculpture.points,
    identity=shapes,
    expression=motions,
    albedo_mean=color,
    albedo=colors,
    triangles=sculpture.triangles,
    landmarks=sculpture.landmarks,
    occlusion=occlusion.of_sculpture(sculpture),
    region=regions(sculpture),
    uv=_texture_coordinates(sculpture.chart),
    name=NAME,
    region_names=REGIONS,
    identity_names=shape_names,
    expression_names=motion_names,
    expression_kind="blendshape",
  )


def regions(sculpture) -> np.ndarray:
  """[V] index into `REGIONS`."""
  region = np.zeros(len(sculpture.points), int)
  at = color_masks.places(sculpture)
  region[color_masks.lips(at) > 0.5] = REGIONS.index("lips")
  for part, where in zip(sculpture.parts, sculpture.part_slices, strict=True):
    region[where] = REGIONS.index(part.name)
  return region


def _texture_coordinates(uv):
  """The chart, scaled to the unit square."""
  reach = np.abs(uv).max()
  return 0.5 + 0.5 * uv / reach
