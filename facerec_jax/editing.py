"""Requests -> an edited code."""

from __future__ import annotations

from collections.abc import Callable
import pathlib

import jax
import jax.numpy as jnp
import numpy as np

from facerec_jax import edit_requests
from facerec_jax.face import code_vector
from facerec_jax.face import edits
from facerec_jax.face import morphable_model
from facerec_jax.synthesis import light_presets
from facerec_jax.synthesis import posed_emotion

Read = Callable[[pathlib.Path], code_vector.CodeVector]


def edit(
  model: morphable_model.MorphableModel,
  code: code_vector.CodeVector,
  requests: edit_requests.Requests,
  read: Read,
  *,
  neutral: code_vector.CodeVector | None = None,
  driver_neutral: code_vector.CodeVector | None = None,
) -> code_vector.CodeVector:
  """Edits a code.

  Args:
    model: that the code belongs to.
    code: of a face, without batch axes.
    requests: what to change.
    read: gives the code of a file that a request names.
    neutral: the same person without expression, or None.
    driver_neutral: whom the expression comes from, without one, or None.

  Returns:
    The code; groups that no request names are the same to the last bit.

  Raises:
    ValueError: a request does not fit the model or the codes.
  """
  edited = code
  expression = requests.expression
  if isinstance(expression, edit_requests.From):
    edited = edits.transfer_expression(
      edited,
      read(expression.path),
      driver_neutral=driver_neutral,
      neutral=neutral,
      kind=model.expression_kind,
    )
  elif expression is not None:
    edited = edits.show_expression(
      edited,
      _weights(model, code, expression),
      neutral=neutral,
      kind=model.expression_kind,
    )
  if requests.identity is not None:
    path, share = requests.identity
    edited = edits.mix_identity(edited, read(path), share)
  for change, request in (
    (_set_albedo, requests.albedo),
    (_set_pose, requests.pose),
    (_set_light, requests.light),
  ):
    if request is not None:
      edited = change(model, edited, request, read)
  return jax.tree.map(np.asarray, edited)


def _weights(model, code, expression):
  count = len(code.expression)
  if expression.name == edit_requests.NEUTRAL:
    return np.zeros(count, np.float32)
  weights = posed_emotion.emotion(
    model.expression_names, expression.name, intensity=expression.intensity
  )
  if weights[count:].any():
    raise ValueError(
      f"{expression.name} needs expressions beyond the first {count}, which "
      "the encoder does not read"
    )
  return weights[:count]


def _set_albedo(model, code, albedo, read):
  del model
  if isinstance(albedo, edit_requests.From):
    return edits.take(code, read(albedo.path), "albedo")
  return edits.set_tone(code, albedo)


def _set_pose(model, code, pose, read):
  del model
  if isinstance(pose, edit_requests.From):
    return edits.take(code, read(pose.path), "rotation")
  return edits.turn(code, pose)


def _set_light(model, code, light, read):
  if isinstance(light, edit_requests.From):
    return edits.take(code, read(light.path), "illumination")
  if light.preset:
    wanted = light_presets.by_name(light.preset)
  else:
    wanted = light_presets.from_direction(light.azimuth, light.elevation)
  wanted = light_presets.expose(wanted, model, code, strength=light.strength)
  return code.replace(illumination=jnp.asarray(wanted))
