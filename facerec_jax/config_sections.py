"""Sections of a config become arguments; wrong keys and values are named."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
import functools
import inspect
import json
from typing import Any


class ConfigError(ValueError):
  """A config has a key or a value that does not work."""


def call(function: Callable, name: str, section: Mapping[str, Any]):
  """Calls function(**section), so that every key is read by somebody.

  Args:
    function: whose keyword arguments are the known keys.
    name: of the section in messages, such as "config.loss".
    section: keys and values.

  Returns:
    What the function returns.

  Raises:
    ConfigError: a key is unknown or missing, or the function refused a value.
  """
  parameters = inspect.signature(function).parameters.values()
  open_ended = any(p.kind == p.VAR_KEYWORD for p in parameters)
  known = [p.name for p in parameters if p.kind != p.VAR_KEYWORD]
  unknown = [key for key in section if key not in known]
  if unknown and not open_ended:
    raise ConfigError(
      f"{name}.{unknown[0]} is read by nobody; known: {', '.join(known)}"
    )
  required = [p.name for p in parameters if p.default is p.empty]
  missing = [key for key in required if key in known and key not in section]
  if missing:
    raise ConfigError(f"{name} lacks {', '.join(missing)}")
  try:
    return function(**section)
  except ConfigError:
    raise
  except (TypeError, ValueError) as error:
    raise ConfigError(f"{name}: {error}") from error


def build(function: Callable, config: Mapping[str, Any]):
  """Calls function(plain config, **config) for a whole config.

  Args:
    function: of the config as plain nested dicts, and of its keys by keyword.
    config: nested dict.

  Returns:
    What the function returns.

  Raises:
    ConfigError: as `call`.
  """
  # As checkpoints give it back: JSON knows lists, not tuples.
  plain = json.loads(json.dumps(dict(config)))
  return call(functools.partial(function, plain), "config", plain)


def positive(name: str, value: Any) -> int:
  """Returns a whole number of at least 1.

  Raises:
    ConfigError: it is none.
  """
  if not isinstance(value, int) or value < 1:
    raise ConfigError(f"config.{name} is {value!r}, wanted a whole number >= 1")
  return value
