"""Training images: code -> face over a background, as a camera sees it.

An example depends on its key alone, and its key on (seed, step, global index):
batches, devices and resumed runs see the same faces. Nothing here leaves the
device.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from facerec_jax.face import code_vector
from facerec_jax.face import landmarks as landmarks_lib
from facerec_jax.face import morphable_model
from facerec_jax.render import geometry
from facerec_jax.render import rasterizer
from facerec_jax.render import renderer
from facerec_jax.synthesis import backgrounds
from facerec_jax.synthesis import camera_noise
from facerec_jax.synthesis import code_bank
from facerec_jax.synthesis import pose_prior


@dataclasses.dataclass(frozen=True)
class Options:
  """How codes become images; hashable, so that it can be a static argument.

  Attributes:
    face_mask: cut the face out by the hull of its landmarks, without mouth
      interior, as is done with photographs; black outside.
    background: random backgrounds; otherwise black.
    hair_share: share of faces with hair behind them.
    body_share: share of faces with shoulders below them.
    field_of_view: median, degrees.
    field_of_view_spread: standard deviation of its logarithm.
    field_of_view_limits: smallest and largest, degrees.
    blur: largest standard deviation of the blur, px in an image of 224 px.
    gain_spread: standard deviation of the logarithm of the camera's gain.
    cast_spread: the same of each colour channel.
    noise: largest standard deviation of the sensor noise, sRGB in [0, 1].
    grey_share: share of images without colour.
    supersampling: samples along each side of a pixel; 2 smooths the outline at
      about three times the cost of rendering.
    rasterizer: back end, see `render.rasterizer.rasterize`.
  """

  face_mask: bool = False
  background: bool = True
  hair_share: float = 0.7
  body_share: float = 0.7
  field_of_view: float = 22.0
  field_of_view_spread: float = 0.4
  field_of_view_limits: tuple[float, float] = (8.0, 60.0)
  blur: float = 1.2
  gain_spread: float = 0.04
  cast_spread: float = 0.02
  noise: float = 0.02
  grey_share: float = 0.03
  supersampling: int = 1
  rasterizer: str = "auto"

  def __post_init__(self):
    limits = tuple(self.field_of_view_limits)
    object.__setattr__(self, "field_of_view_limits", limits)
    low, high = limits
    if not 0 < low <= self.field_of_view <= high < 180:
      raise ValueError(
        f"synthesis: field of view {self.field_of_view} and limits "
        f"{limits}, wanted 0 < low <= median <= high < 180 degrees"
      )
    for name in ("hair_share", "body_share", "grey_share"):
      if not 0 <= getattr(self, name) <= 1:
        raise ValueError(
          f"synthesis: {name} is {getattr(self, name)}, wanted 0 to 1"
        )
    for name in (
      "field_of_view_spread",
      "blur",
      "gain_spread",
      "cast_spread",
      "noise",
    ):
      if getattr(self, name) < 0:
        raise ValueError(
          f"synthesis: {name} is {getattr(self, name)}, wanted 0 or more"
        )
    if not isinstance(self.supersampling, int) or self.supersampling < 1:
      raise ValueError(
        f"synthesis: supersampling is {self.supersampling!r}, wanted a whole "
        "number >= 1"
      )
    if self.rasterizer not in rasterizer.BACKENDS:
      raise ValueError(
        f"synthesis: rasterizer is {self.rasterizer!r}, wanted one of "
        f"{', '.join(rasterizer.BACKENDS)}"
      )


DEFAULT = Options()


class Example(NamedTuple):
  """An image with its label; leading axes, if any, are batch axes.

  Attributes:
    image: [..., H, W, 3] sRGB in [0, 1].
    code: [..., D] flat code, in the reference camera of the image size.
    landmarks: [..., 68, 2] px, as the image shows them.
    mask: [..., H, W] bool, where the image shows the face.
  """

  image: jax.Array
  code: jax.Array
  landmarks: jax.Array
  mask: jax.Array


def synthesize(
  key,
  model: morphable_model.MorphableModel,
  bank: code_bank.CodeBank,
  *,
  layout: code_vector.CodeLayout,
  image_size: int,
  options: Options = DEFAULT,
) -> Example:
  """Makes one example.

  Args:
    key: randomness.
    model: the morphable model.
    bank: where the code is drawn from.
    layout: of the bank's codes.
    image_size: px.
    options: how the code becomes an image.

  Returns:
    The example, without batch axes.
  """
  code_key, camera_key, scene_key, person_key, noise_key = jax.random.split(
    key, 5
  )
  flat = code_bank.sample(bank, code_key)
  camera, code = geometry.dolly_zoom(
    geometry.reference_camera(image_size),
    layout.unflatten(flat),
    pose_prior.sample_field_of_view(
      camera_key,
      median=options.field_of_view,
      spread=options.field_of_view_spread,
      limits=options.field_of_view_limits,
    ),
  )
  size = {"height": image_size, "width": image_size}
  face = renderer.render(
    model,
    camera,
    code,
    supersampling=options.supersampling,
    backend=options.rasterizer,
    **size,
  )
  points = renderer.project_landmarks(model, camera, code)
  mask, scene = face.mask, jnp.zeros_like(face.image)
  if options.face_mask:
    mask &= landmarks_lib.hull_mask(points, **size)
  elif options.background:
    scene = backgrounds.pattern(scene_key, **size)
    scene = backgrounds.add_person(
      person_key,
      scene,
      camera,
      code,
      hair_share=options.hair_share,
      body_share=options.body_share,
    )
  image = camera_noise.expose(
    noise_key,
    face.image + (1.0 - face.coverage[..., None]) * scene,
    blur=options.blur,
    gain_spread=options.gain_spread,
    cast_spread=options.cast_spread,
    noise=options.noise,
    grey_share=options.grey_share,
  )
  if options.face_mask:
    # Photographs are cut after the camera too: no blur or noise outside.
    image = jnp.where(mask[..., None], image, 0.0)
  return Example(image=image, code=flat, landmarks=points, mask=mask)


def synthesize_batch(
  seed_key,
  step,
  indices,
  model: morphable_model.MorphableModel,
  bank: code_bank.CodeBank,
  *,
  layout: code_vector.CodeLayout,
  image_size: int,
  options: Options = DEFAULT,
) -> Example:
  """Makes the examples of one step on one device.

  Args:
    seed_key: root of all randomness of the data.
    step: [] integer.
    indices: [B] integers, global over all devices.
    model: the morphable model.
    bank: where codes are drawn from.
    layout: of the bank's codes.
    image_size: px.
    options: how codes become images.

  Returns:
    Examples with a batch axis.
  """
  step_key = jax.random.fold_in(seed_key, step)

  def one(index):
    return synthesize(
      jax.random.fold_in(step_key, index),
      model,
      bank,
      layout=layout,
      image_size=image_size,
      options=options,
    )

  return jax.vmap(one)(indices)
