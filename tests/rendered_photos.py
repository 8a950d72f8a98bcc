"""Photographs whose codes are known: the fake face, rendered."""

import dataclasses
import functools

import fake_model
import jax
import jax.numpy as jnp
import numpy as np

from facerec_jax.face import code_vector
from facerec_jax.face import landmarks
from facerec_jax.face import morphable_model
from facerec_jax.render import color
from facerec_jax.render import geometry
from facerec_jax.render import renderer
from facerec_jax.synthesis import code_bank
from facerec_jax.synthesis import priors
from facerec_jax.training import code_prior
from facerec_jax.training import self_supervision

SIZE = 48
NAMES = ("AU12_L", "AU12_R", "AU25", "AU26")


@dataclasses.dataclass(frozen=True)
class World:
  """A model, its prior, and faces drawn from it."""

  scene: self_supervision.FittingScene
  layout: code_vector.CodeLayout
  bank: code_bank.CodeBank

  def photo(self, flat, *, trust=1.0):
    """The photograph of a code."""
    return _photograph(self.scene, flat, trust, layout=self.layout)

  def vertices(self, flat):
    """[V, 3] mm, model frame."""
    code = self.layout.unflatten(flat)
    return np.asarray(
      morphable_model.vertices(self.scene.model, code.identity, code.expression)
    )


@functools.partial(jax.jit, static_argnames="layout")
def _photograph(scene, flat, trust, *, layout):
  code, size = layout.unflatten(flat), {"height": SIZE, "width": SIZE}
  face = renderer.render(scene.model, scene.camera, code, **size)
  points = renderer.project_landmarks(scene.model, scene.camera, code)
  image = jnp.where(face.mask[..., None], color.linear_to_srgb(face.image), 0.7)
  mask = face.mask & landmarks.hull_mask(points, **size)
  return self_supervision.Photo(image, mask, points, jnp.float32(trust))


def make_world(**model_options) -> World:
  """A world of the fake face, with blendshapes unless asked otherwise."""
  options = {"num_rings": 8, "expression_names": NAMES} | model_options
  model = fake_model.make(**options)
  layout = code_vector.CodeLayout(5, 4, 3)
  camera = geometry.reference_camera(SIZE)
  bank = priors.make_bank(
    jax.random.key(0), model, layout, camera=camera, size=512
  )
  prior = code_prior.measure(model, layout, bank)
  scene = self_supervision.FittingScene(model, camera, prior)
  return World(scene, layout, bank)
