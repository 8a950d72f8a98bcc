"""Random codes: what the encoder knows of faces before it sees a photograph.

`Prior` holds every range; the distributions themselves are in
`expression_prior`, `pose_prior` and `illumination_prior`.
"""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from facerec_jax.face import code_vector
from facerec_jax.face import morphable_model
from facerec_jax.render import geometry
from facerec_jax.synthesis import code_bank
from facerec_jax.synthesis import distributions
from facerec_jax.synthesis import expression_prior
from facerec_jax.synthesis import illumination_prior
from facerec_jax.synthesis import pose_prior

# Coefficients beyond this many standard deviations look like nobody.
_COEFFICIENT_LIMIT = 2.7
# Colours cannot be as far from the mean as shapes: no skin is black or white.
_ALBEDO_LIMIT = 2.0
# A mode named "sex" is half the difference of the means of men and women: two
# peaks at +-1.
_SEX_PEAK, _SEX_SPREAD = 1.0, 0.7
# Least share of the spread of the other colour modes on the darkest skin.
_LEAST_DETAIL = 0.25
# Vertices that the exposure is metered on, at most, and codes drawn at once.
_METERED_VERTICES = 400
_CHUNK = 1024


@dataclasses.dataclass(frozen=True)
class Prior:
  """Ranges of random codes; hashable, so that it can be a static argument.

  Attributes:
    identity_scale: multiplies the identity coefficients.
    albedo_scale: multiplies the albedo coefficients.
    expression_scale: multiplies the expression coefficients.
    neutral_share: share of (nearly) neutral faces, blendshape models.
    emotion_share: share of acted emotions; the rest are random expressions.
    rotation_scale: multiplies the angles; 0 makes all faces frontal.
    wide_share: share of poses with yaw uniform to +-60 degrees.
    profile_share: share of poses with yaw uniform to +-90 degrees.
    center_spread: of the face in the image, share of the width.
    size_spread: of the face in the image, share of its size.
    exposure_spread: standard deviation of the exposure, logarithm.
    exposure_adaptation: share of differences in skin tone that the exposure
      makes up, 0 to 1.
  """

  identity_scale: float = 1.0
  albedo_scale: float = 1.0
  expression_scale: float = 1.0
  neutral_share: float = 0.3
  emotion_share: float = 0.35
  rotation_scale: float = 1.0
  wide_share: float = 0.15
  profile_share: float = 0.0
  center_spread: float = 0.025
  size_spread: float = 0.06
  exposure_spread: float = 0.3
  exposure_adaptation: float = 0.25

  def __post_init__(self):
    for name, value in dataclasses.asdict(self).items():
      if value < 0:
        raise ValueError(f"prior: {name} is {value}, wanted 0 or more")
    for first, second in (
      ("neutral_share", "emotion_share"),
      ("wide_share", "profile_share"),
    ):
      total = getattr(self, first) + getattr(self, second)
      if total > 1:
        raise ValueError(f"prior: {first} + {second} is {total}, wanted <= 1")


DEFAULT = Prior()


def sample_code(
  key,
  model: morphable_model.MorphableModel,
  *,
  camera: geometry.Camera,
  prior: Prior = DEFAULT,
  expression=None,
) -> code_vector.CodeVector:
  """Draws the code of one face.

  Args:
    key: randomness.
    model: the morphable model.
    camera: reference camera of the image size.
    prior: ranges.
    expression: [Ke] what the face shows; None draws that, too.

  Returns:
    A code with all coefficients of the model.
  """
  keys = jax.random.split(key, 6)
  identity = prior.identity_scale * _identity(keys[0], model)
  albedo = _albedo(keys[1], model, prior.albedo_scale)
  if expression is None:
    expression = expression_prior.sample_expression(
      keys[2],
      model,
      neutral_share=prior.neutral_share,
      emotion_share=prior.emotion_share,
      scale=prior.expression_scale,
    )
  rotation = prior.rotation_scale * pose_prior.sample_rotation(
    keys[3], wide_share=prior.wide_share, profile_share=prior.profile_share
  )
  few = morphable_model.restrict(model, model.landmarks)
  translation = pose_prior.sample_translation(
    keys[4],
    camera,
    morphable_model.vertices(few, identity, expression),
    rotation,
    center_spread=prior.center_spread,
    size_spread=prior.size_spread,
  )
  return code_vector.CodeVector(
    identity=identity,
    expression=expression,
    albedo=albedo,
    rotation=rotation,
    translation=translation,
    illumination=_illumination(keys[5], model, albedo, rotation, prior),
  )


def make_bank(
  key,
  model: morphable_model.MorphableModel,
  layout: code_vector.CodeLayout,
  *,
  camera: geometry.Camera,
  size: int,
  prior: Prior = DEFAULT,
  expressions=None,
) -> code_bank.CodeBank:
  """Draws the bank of a prior.

  Coefficients that the layout leaves out are zero in the faces that the codes
  are drawn for: a frontal layout gets faces framed frontally. Row i depends on
  the key and i alone.

  Args:
    key: randomness.
    model: the morphable model.
    layout: of the flat codes.
    camera: reference camera of the image size.
    size: M.
    prior: ranges.
    expressions: [M, Ke] what the faces show; None draws that, too.

  Returns:
    A bank without noise around its rows.

  Raises:
    ValueError: the model has fewer coefficients than the layout.
  """
  if not layout.rotation:
    prior = dataclasses.replace(prior, rotation_scale=0.0)
  few = morphable_model.truncate(
    model,
    identity=layout.identity,
    expression=layout.expression,
    albedo=layout.albedo,
  )
  return code_bank.create(
    _draw_rows(
      key, few, camera, expressions, layout=layout, size=size, prior=prior
    )
  )


@functools.partial(jax.jit, static_argnames=("layout", "size", "prior"))
def _draw_rows(key, model, camera, expressions, *, layout, size, prior):
  def row(inputs):
    index, expression = inputs
    code = sample_code(
      jax.random.fold_in(key, index),
      model,
      camera=camera,
      prior=prior,
      expression=expression,
    )
    return layout.flatten(code)

  return jax.lax.map(
    row, (jnp.arange(size), expressions), batch_size=min(size, _CHUNK)
  )


def _identity(key, model):
  """N(0, 1) cut at 2.7; a mode named "sex" has two peaks."""
  count = model.identity.shape[-1]
  uniform = jax.random.uniform(key, (count + 1,))
  values = distributions.normal(uniform[:count], limit=_COEFFICIENT_LIMIT)
  if "sex" not in model.identity_names:
    return values
  index = model.identity_names.index("sex")
  peak = jnp.where(uniform[count] < 0.5, _SEX_PEAK, -_SEX_PEAK)
  return values.at[index].set(peak + _SEX_SPREAD * values[index])


def _albedo(key, model, scale):
  """N(0, 1) cut at 2; what marks dark skin takes a share of its light.

  A linear model adds the same freckle to all skins. On skin that the first mode
  makes darker than the mean the other modes vary less, by how much darker.
  """
  uniform = jax.random.uniform(key, model.albedo.shape[-1:])
  values = scale * distributions.normal(uniform, limit=_ALBEDO_LIMIT)
  mean = _middle_brightness(model.albedo_mean)
  step = _middle_brightness(model.albedo[..., :1].sum(axis=-1))
  share = jnp.clip(1 + values[:1].sum() * step / mean, _LEAST_DETAIL, 1.0)
  return values.at[1:].multiply(share)


def _middle_brightness(color):
  return jnp.median(color.mean(axis=-1)[:: _metering_stride(len(color))])


def _metering_stride(count):
  return -(-count // _METERED_VERTICES)


def _illumination(key, model, albedo, rotation, prior):
  """Light exposed for this face's own skin, metered on a few vertices."""
  light_key, exposure_key = jax.random.split(key)
  stride = _metering_stride(model.num_vertices)
  index = np.arange(0, model.num_vertices, stride)
  few = morphable_model.restrict(model, index)
  # Normals of the mean face do for metering; they are shared by all codes.
  normals = geometry.vertex_normals(
    model.mean, model.triangles, model.incidence
  )[index]
  normals = geometry.to_camera(normals, rotation, jnp.zeros(3))
  skin = morphable_model.albedo(few, albedo) * few.occlusion[:, None]
  is_skin = jnp.ones(len(index))
  if "skin" in model.region_names:
    is_skin = few.region == model.region_names.index("skin")
  return illumination_prior.expose(
    exposure_key,
    illumination_prior.sample_light(light_key),
    skin,
    normals,
    is_skin.astype(jnp.float32),
    spread=prior.exposure_spread,
    adaptation=prior.exposure_adaptation,
  )
