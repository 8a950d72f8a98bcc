"""What a user asks of an edit: texts of flags -> requests."""

from __future__ import annotations

from collections.abc import Sequence
import math
import pathlib
from typing import NamedTuple

from facerec_jax.synthesis import emotions
from facerec_jax.synthesis import light_presets

_FROM = "from:"
NEUTRAL = "neutral"


class RequestError(ValueError):
  """A request cannot be understood; the message says what can."""


class From(NamedTuple):
  """Of another face; `share` of it."""

  path: pathlib.Path
  share: float = 1.0


class Emotion(NamedTuple):
  """An expression by name."""

  name: str
  intensity: float = 1.0


class Light(NamedTuple):
  """A light from a side, degrees, or a preset by its name."""

  azimuth: float = 0.0
  elevation: float = 0.0
  strength: float = 1.0
  preset: str = ""


class Requests(NamedTuple):
  """What to edit; None leaves a group as it is.

  Attributes:
    expression: from another face, or an emotion.
    light: from another face, or by direction or name.
    albedo: from another face, or the tone, standard deviations.
    identity: a share of another face.
    pose: from another face, or pitch, yaw, roll in degrees.
  """

  expression: From | Emotion | None = None
  light: From | Light | None = None
  albedo: From | float | None = None
  identity: From | None = None
  pose: From | tuple[float, float, float] | None = None


def parse(
  *, expression=None, light=None, albedo=None, identity=None, pose=None
) -> Requests:
  """Understands the texts of the flags; None where one was not given.

  Raises:
    RequestError: one cannot be understood, or none was given.
  """
  requests = Requests(
    expression=_parse("expression", expression, _expression),
    light=_parse("light", light, _light),
    albedo=_parse("albedo", albedo, _albedo),
    identity=_parse("identity", identity, _identity),
    pose=_parse("pose", pose, _pose),
  )
  if all(request is None for request in requests):
    raise RequestError(
      "nothing to edit: give --expression, --light, --albedo, --identity or "
      "--pose"
    )
  return requests


def _parse(flag, text, parser):
  if text is None:
    return None
  try:
    return parser(text)
  except ValueError as error:
    raise RequestError(f"--{flag}={text}: {error}") from error


def _other(text):
  """The face that a text names, or None."""
  if not text.startswith(_FROM):
    return None
  path = text.removeprefix(_FROM)
  if not path:
    raise ValueError("no file after from:")
  return From(pathlib.Path(path))


def _expression(text):
  name, _, intensity = text.partition(":")
  classes = [*emotions.CLASSES]
  if name not in classes and not text.startswith(_FROM):
    raise ValueError(
      f"want from:PHOTO, or one of {', '.join(classes)}, such as happiness:0.8"
    )
  if other := _other(text):
    return other
  if not intensity:
    return Emotion(name)
  (value,) = _numbers(intensity, (1,), "an intensity from 0 to 1")
  if not 0.0 <= value <= 1.0:
    raise ValueError(f"the intensity is {value:g}, want 0 to 1")
  return Emotion(name, value)


def _light(text):
  if other := _other(text):
    return other
  if text in light_presets.PRESETS:
    return Light(preset=text)
  wanted = "from:PHOTO, azimuth,elevation[,strength], or one of "
  values = _numbers(text, (2, 3), wanted + ", ".join(light_presets.PRESETS))
  if len(values) == 3 and values[2] <= 0:
    raise ValueError(f"the strength is {values[2]:g}, want more than 0")
  return Light(*values)


def _albedo(text):
  return _other(text) or _numbers(text, (1,), "from:PHOTO, or a skin tone")[0]


def _identity(text):
  head, _, share = text.rpartition(":")
  other = _other(head) if head.startswith(_FROM) else None
  if other is None:
    raise ValueError("want from:PHOTO:share, such as from:her.jpg:0.5")
  (value,) = _numbers(share, (1,), "a share from 0 to 1 at the end")
  if not 0.0 <= value <= 1.0:
    raise ValueError(f"the share is {value:g}, want 0 to 1")
  return other._replace(share=value)


def _pose(text):
  wanted = "from:PHOTO, or pitch,yaw,roll in degrees"
  values = _other(text) or tuple(_numbers(text, (3,), wanted))
  if not isinstance(values, From) and max(map(abs, values)) > 90.0:
    raise ValueError("angles beyond 90 degrees show no face")
  return values


def _numbers(text: str, counts: Sequence[int], wanted: str) -> list[float]:
  try:
    values = [float(part) for part in text.split(",")]
  except ValueError:
    values = []
  if len(values) not in counts or not all(map(math.isfinite, values)):
    raise ValueError(f"want {wanted}")
  return values
