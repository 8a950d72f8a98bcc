"""Edits of a code: record updates, each of one group.

All other groups stay as they are, to the last bit.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from facerec_jax.face import code_vector

CodeVector = code_vector.CodeVector


def show_expression(
  code: CodeVector,
  weights,
  *,
  neutral: CodeVector | None = None,
  kind: str = "gaussian",
) -> CodeVector:
  """A face with a given expression.

  Args:
    code: the face.
    weights: [Ke] on top of the neutral face's.
    neutral: the same person without expression, or None for the model's.
    kind: `MorphableModel.expression_kind`; blendshapes stay in [0, 1].

  Raises:
    ValueError: another number of weights.
  """
  _check("expression", weights, code.expression)
  base = 0.0 if neutral is None else neutral.expression
  return code.replace(expression=_limit(base + jnp.asarray(weights), kind))


def transfer_expression(
  code: CodeVector,
  driver: CodeVector,
  *,
  driver_neutral: CodeVector | None = None,
  neutral: CodeVector | None = None,
  kind: str = "gaussian",
) -> CodeVector:
  """A face with the expression of another one.

  With the driver's neutral face the difference is transferred, onto the neutral
  face of the person (or, without one, onto the face as it is): what an encoder
  mistakes for expression in either face is left behind. Without it the face
  gets the driver's expression as it was read.

  Args:
    code: the face.
    driver: that shows the expression.
    driver_neutral: the driver without expression, or None.
    neutral: the person of `code` without expression, or None.
    kind: `MorphableModel.expression_kind`; blendshapes stay in [0, 1].

  Raises:
    ValueError: the codes have different numbers of expression coefficients.
  """
  _check("expression", driver.expression, code.expression)
  if driver_neutral is None:
    return code.replace(expression=driver.expression)
  base = code if neutral is None else neutral
  change = driver.expression - driver_neutral.expression
  return code.replace(expression=_limit(base.expression + change, kind))


def mix_identity(
  code: CodeVector, other: CodeVector, share: float
) -> CodeVector:
  """A face between two people; share 0 is `code`'s, 1 the other's.

  Raises:
    ValueError: the codes have different numbers of identity coefficients.
  """
  _check("identity", other.identity, code.identity)
  mixed = (1 - share) * code.identity + share * other.identity
  return code.replace(identity=mixed)


def take(code: CodeVector, other: CodeVector, group: str) -> CodeVector:
  """A code with one group of another one.

  Raises:
    ValueError: the group has another size there.
  """
  value = getattr(other, group)
  _check(group, value, getattr(code, group))
  return code.replace(**{group: value})


def set_tone(code: CodeVector, tone: float) -> CodeVector:
  """A face of another skin tone.

  Args:
    code: the face.
    tone: the first albedo coefficient, standard deviations: skin tone in the
      built-in model, the largest variation of colour in others.

  Raises:
    ValueError: the code has no albedo.
  """
  if not code.albedo.shape[-1]:
    raise ValueError("the codes of this encoder have no albedo")
  return code.replace(albedo=jnp.asarray(code.albedo).at[..., 0].set(tone))


def turn(code: CodeVector, degrees) -> CodeVector:
  """A face in another pose: pitch, yaw, roll [3], degrees."""
  return code.replace(rotation=jnp.deg2rad(jnp.asarray(degrees, jnp.float32)))


def between(first: CodeVector, last: CodeVector, share: float) -> CodeVector:
  """A code on the way from one to another; what they share stays exactly."""
  return jax.tree.map(lambda a, b: a + share * (b - a), first, last)


def _limit(expression, kind):
  return jnp.clip(expression, 0.0, 1.0) if kind == "blendshape" else expression


def _check(group, got, wanted):
  if jnp.shape(got) != jnp.shape(wanted):
    raise ValueError(
      f"{group}: got {jnp.size(got)} numbers, wanted {jnp.size(wanted)}; the "
      "codes belong to different models or encoders"
    )
