"""How well a code explains a photograph: the objective without labels.

Analysis by synthesis, as in MoFA (Tewari et al. 2017): the code is rendered and
compared with the photograph inside a fixed mask; its landmarks are compared
with detected ones; and it must be probable. All three terms are negative log
likelihoods in nats, so that their weights follow from how noisy pixels and
landmarks are. Written for one photograph; callers `vmap`.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

from flax import struct
import jax
import jax.numpy as jnp

from facerec_jax.face import code_vector
from facerec_jax.face import landmarks
from facerec_jax.face import morphable_model
from facerec_jax.render import color
from facerec_jax.render import geometry
from facerec_jax.render import renderer
from facerec_jax.training import code_prior
from facerec_jax.training import lenses


class Photo(NamedTuple):
  """A photograph as the objective sees it; leading axes are batch axes.

  Attributes:
    image: [..., S, S, 3] sRGB in [0, 1], or uint8; not masked.
    mask: [..., S, S] bool, where it shows skin, eyes, lips of the face.
    landmarks: [..., 68, 2] detected points, px of the image.
    trust: [...] weight of the landmarks: 1, or 0 where none were detected.
  """

  image: jax.Array
  mask: jax.Array
  landmarks: jax.Array
  trust: jax.Array


@struct.dataclass
class FittingScene:
  """What the objective knows besides the photograph; constants.

  Attributes:
    model: the morphable model.
    camera: in which codes are expressed, of the photographs' size.
    prior: of the codes.
  """

  model: morphable_model.MorphableModel
  camera: geometry.Camera
  prior: code_prior.CodePrior


@dataclasses.dataclass(frozen=True)
class Objective:
  """The knobs of the objective; hashable, so that it can be a static argument.

  Attributes:
    color_noise: how far colours differ that agree, sRGB: sensor noise and what
      the model cannot show. In sRGB, where noise is about even and dark skin
      counts as much as light skin.
    pixels: how many independent pixels the mask stands for; neighbours err
      alike. 0 leaves the photometric term out.
    landmark_noise: how far detected points lie from the model's that agree,
      share of the image's side (which spans about 230 mm at the face).
    landmarks: how many independent points the 68 stand for; 0 leaves the
      landmark term out.
    jaw: weight of a point of the jaw line; others count 1.
    jaw_slide: share that counts of a jaw point's distance along the jaw line:
      detectors spread these points over the contour as they like.
    prior: multiplies all priors.
    outside: nats per unit of squared distance, in standard deviations, by which
      a code leaves its plausible range.
    supersampling: of the rendering.
  """

  color_noise: float = 0.06
  pixels: float = 300.0
  landmark_noise: float = 0.008
  landmarks: float = 68.0
  jaw: float = 0.3
  jaw_slide: float = 0.1
  prior: float = 1.0
  outside: float = 10.0
  supersampling: int = 1

  def __post_init__(self):
    for field in dataclasses.fields(self):
      value = getattr(self, field.name)
      positive = field.name in ("color_noise", "landmark_noise")
      if value < 0 or (positive and value == 0):
        wanted = "more than 0" if positive else "0 or more"
        raise ValueError(f"objective: {field.name} is {value}, wanted {wanted}")


DEFAULT = Objective()


def energy(
  scene: FittingScene,
  photo: Photo,
  flat,
  *,
  layout: code_vector.CodeLayout,
  objective: Objective = DEFAULT,
  reading: code_prior.Reading | None = None,
  lens: lenses.Lens | None = None,
) -> tuple[jax.Array, dict[str, jax.Array]]:
  """How badly a code explains a photograph.

  A code out of its plausible range is rendered as the nearest one within, with
  the slope of that, and pays for the distance.

  Args:
    scene: constants.
    photo: without batch axes.
    flat: [D] code.
    layout: of the code.
    objective: the knobs.
    reading: what an encoder answered for it, if that is to count.
    lens: of the photograph; None for the scene's camera, in focus.

  Returns:
    ([] nats, {name: []}): the terms in nats, `color` the mean absolute
    difference in sRGB inside the mask, and `landmark` the mean distance of the
    points 17-67, share of the outer-canthal distance (0 without any).
  """
  inside = code_prior.clip(scene.prior, flat)
  beyond = (flat - inside) / scene.prior.std
  code = layout.unflatten(flat + jax.lax.stop_gradient(inside - flat))
  terms = {"outside": objective.outside * jnp.square(beyond).sum()}
  priors = code_prior.energy(scene.prior, flat, layout=layout, reading=reading)
  terms |= {f"prior/{k}": objective.prior * v for k, v in priors.items()}
  if lens is not None:
    terms["lens"] = lenses.energy(lens)
    camera, code = geometry.dolly_zoom(
      scene.camera, code, lenses.field_of_view(lens)
    )
    scene = scene.replace(camera=camera)
  facts = {}
  terms["photometric"], facts["color"] = _photometric(
    scene, photo, code, objective, lens
  )
  terms["landmarks"], facts["landmark"] = _landmarks(
    scene, photo, code, objective
  )
  return sum(terms.values()), terms | facts


def _robust(square):
  """0.5 z^2 for small z, |z| for large: an outlier pulls, but not harder."""
  return jnp.sqrt(1.0 + square) - 1.0


def as_float(image) -> jax.Array:
  """An image in [0, 1], of bytes or of floats."""
  if jnp.issubdtype(image.dtype, jnp.integer):
    return image.astype(jnp.float32) / 255.0
  return image


def _photometric(scene, photo, code, objective, lens):
  size = photo.image.shape[0]
  rendering = renderer.render(
    scene.model,
    scene.camera,
    code,
    height=size,
    width=size,
    supersampling=objective.supersampling,
  )
  wanted = as_float(photo.image)
  image, coverage = rendering.image, rendering.coverage[..., None]
  if lens is not None:
    # Of the face alone: what lies behind it is not known.
    seen = lenses.soften(lens, jnp.concatenate([image, coverage], axis=-1))
    image, coverage = seen[..., :3], seen[..., 3:]
  shown = color.encode(image / jnp.maximum(coverage, 1e-6))
  # Whiter than white is white on a photograph.
  shown = jnp.where((wanted >= 1.0) & (shown > 1.0), 1.0, shown)
  # The domain is the mask, whatever the code: a face cannot hide from what it
  # does not explain. A pixel that it leaves bare is wrong by all of its range.
  difference = jnp.where(rendering.mask[..., None], shown - wanted, 1.0)
  square = jnp.square(difference / objective.color_noise).sum(axis=-1)
  share = photo.mask / jnp.maximum(photo.mask.sum(), 1)
  clipped = jnp.abs(jnp.minimum(shown, 1.0) - wanted).mean(axis=-1)
  return (
    objective.pixels * jnp.sum(share * _robust(square)),
    jnp.sum(share * jnp.where(rendering.mask, clipped, 1.0)),
  )


def _landmarks(scene, photo, code, objective):
  points = renderer.project_landmarks(scene.model, scene.camera, code)
  size = photo.image.shape[0]
  # Absent landmarks may be anything; nothing that is not finite may touch sums.
  there = photo.trust > 0
  wanted = jnp.where(there, photo.landmarks, jax.lax.stop_gradient(points))
  difference = _slide(points - wanted, wanted, objective.jaw_slide)
  scale = objective.landmark_noise * size
  square = jnp.square(difference / scale).sum(axis=-1)
  weights = (
    jnp.ones(68).at[jnp.array(landmarks.GROUPS["jaw"])].set(objective.jaw)
  )
  weights = weights / weights.sum()
  error = landmarks.normalized_mean_error(jax.lax.stop_gradient(points), wanted)
  energy = objective.landmarks * jnp.sum(weights * _robust(square))
  return photo.trust * energy, error


def _slide(difference, points, share):
  """Shortens the differences of jaw points along the jaw line."""
  jaw = points[:17]
  along = jnp.gradient(jaw, axis=0)
  along = along / jnp.maximum(
    jnp.linalg.norm(along, axis=-1, keepdims=True), 1e-6
  )
  part = jnp.sum(difference[:17] * along, axis=-1, keepdims=True) * along
  return difference.at[:17].add((share - 1.0) * part)
