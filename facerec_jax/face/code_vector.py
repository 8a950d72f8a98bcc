"""The code of a face: everything that the encoder reads from an image."""

from __future__ import annotations

import dataclasses
import math

from flax import struct
import jax
import jax.numpy as jnp

# Radiance coefficient of a white furnace: shading 1 everywhere (1 / Y_00).
FURNACE = 2.0 * math.sqrt(math.pi)


@struct.dataclass
class CodeVector:
  """The six groups of a code; leading axes, if any, are batch axes.

  Attributes:
    identity: [..., Ki] shape coefficients, standard deviations.
    expression: [..., Ke] expression coefficients, standard deviations or
      blendshape weights in [0, 1].
    albedo: [..., Ka] albedo coefficients, standard deviations.
    rotation: [..., 3] pitch, yaw, roll, radians.
    translation: [..., 3] of the model's origin in the camera frame, mm.
    illumination: [..., 9, 3] spherical-harmonics radiance, linear RGB.
  """

  identity: jax.Array
  expression: jax.Array
  albedo: jax.Array
  rotation: jax.Array
  translation: jax.Array
  illumination: jax.Array


# Group names in the order in which a flat code stores them.
GROUPS = tuple(field.name for field in dataclasses.fields(CodeVector))


def white_light(dtype=jnp.float32) -> jax.Array:
  """Returns the [9, 3] illumination under which an image is the albedo."""
  return jnp.zeros((9, 3), dtype).at[0].set(FURNACE)


@dataclasses.dataclass(frozen=True)
class CodeLayout:
  """How many numbers of each group a flat code [D] holds.

  A group of size zero is not part of the flat code; `unflatten` then gives its
  neutral value: zero coefficients, frontal, `default_translation`, white light.
  The thesis' code, for example, is CodeLayout(64, 64, 100, 3, 0, 0), D = 231.

  Attributes:
    identity: number of identity coefficients.
    expression: number of expression coefficients.
    albedo: number of albedo coefficients.
    rotation: 3, or 0 for frontal faces.
    translation: 3, or 0 for faces at `default_translation`.
    illumination: 27, or 0 for unlit faces.
    default_translation: mm, where a face stands if translation is 0.
  """

  identity: int = 80
  expression: int = 64
  albedo: int = 80
  rotation: int = 3
  translation: int = 3
  illumination: int = 27
  default_translation: tuple[float, float, float] = (0.0, 0.0, -1000.0)

  def __post_init__(self):
    for name, allowed in (
      ("rotation", (0, 3)),
      ("translation", (0, 3)),
      ("illumination", (0, 27)),
    ):
      if getattr(self, name) not in allowed:
        raise ValueError(
          f"code group {name}: size {getattr(self, name)} is none of {allowed}"
        )
    for name in ("identity", "expression", "albedo"):
      if getattr(self, name) < 0:
        raise ValueError(f"code group {name}: size {getattr(self, name)} < 0")

  @property
  def size(self) -> int:
    """D, the length of a flat code."""
    return sum(getattr(self, name) for name in GROUPS)

  @property
  def slices(self) -> dict[str, slice]:
    """Where each group lies in a flat code, in order."""
    slices, start = {}, 0
    for name in GROUPS:
      stop = start + getattr(self, name)
      slices[name] = slice(start, stop)
      start = stop
    return slices

  def flatten(self, code: CodeVector) -> jax.Array:
    """Turns a code into one vector.

    Args:
      code: groups with at least as many coefficients as the layout has; the
        first ones of identity, expression and albedo are kept.

    Returns:
      [..., D].

    Raises:
      ValueError: a group has fewer numbers than the layout asks for.
    """
    parts = []
    for name in GROUPS:
      group = getattr(code, name)
      if name == "illumination":
        group = group.reshape(*group.shape[:-2], 27)
      size = getattr(self, name)
      if group.shape[-1] < size:
        raise ValueError(
          f"code group {name}: got {group.shape[-1]} numbers, wanted {size}"
        )
      parts.append(group[..., :size])
    return jnp.concatenate(parts, axis=-1)

  def unflatten(self, flat: jax.Array) -> CodeVector:
    """Turns a flat code [..., D] back into its groups.

    Raises:
      ValueError: the last axis is not D long.
    """
    if flat.shape[-1] != self.size:
      raise ValueError(
        f"flat code: got length {flat.shape[-1]}, wanted {self.size}"
      )
    groups = {name: flat[..., part] for name, part in self.slices.items()}
    batch = flat.shape[:-1]

    def neutral(value):
      value = jnp.asarray(value, flat.dtype)
      return jnp.broadcast_to(value, batch + value.shape)

    if not self.rotation:
      groups["rotation"] = neutral(jnp.zeros(3))
    if not self.translation:
      groups["translation"] = neutral(self.default_translation)
    if self.illumination:
      groups["illumination"] = groups["illumination"].reshape(*batch, 9, 3)
    else:
      groups["illumination"] = neutral(white_light())
    return CodeVector(**groups)

  def neutral(self, dtype=jnp.float32) -> CodeVector:
    """The mean face: no coefficients, frontal, white light."""
    return CodeVector(
      identity=jnp.zeros(self.identity, dtype),
      expression=jnp.zeros(self.expression, dtype),
      albedo=jnp.zeros(self.albedo, dtype),
      rotation=jnp.zeros(3, dtype),
      translation=jnp.asarray(self.default_translation, dtype),
      illumination=white_light(dtype),
    )
