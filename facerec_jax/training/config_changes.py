"""Whether a checkpoint is of the run that wants to continue it."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Mapping
from typing import Any

from facerec_jax.training import checkpoint


class ConfigChangedError(Exception):
  """A checkpoint was made with another config or face model."""


def check(
  checkpointer: checkpoint.Checkpointer,
  config: Mapping[str, Any],
  facts: Mapping[str, str],
  *,
  free_keys: Iterable[str],
) -> None:
  """Compares a run with the checkpoint that it wants to continue.

  Args:
    checkpointer: of a folder with a checkpoint.
    config: of the run.
    facts: of the run, as given to `Checkpointer`.
    free_keys: of the config that may differ.

  Raises:
    ConfigChangedError: another key differs, or a fact.
  """
  changes = differences(checkpointer.restore_config(), config, ignore=free_keys)
  changes += [
    f"{name} itself (another file or version)"
    for name in changed_facts(checkpointer.restore_facts(), facts)
  ]
  if changes:
    raise ConfigChangedError("; ".join(changes))


def changed_facts(
  saved: Mapping[str, str], wanted: Mapping[str, str]
) -> list[str]:
  """Names of facts with other values; unknown ones are no change."""
  return [
    name for name, value in wanted.items() if saved.get(name, value) != value
  ]


def differences(
  saved: Mapping[str, Any],
  wanted: Mapping[str, Any],
  *,
  ignore: Iterable[str] = (),
) -> list[str]:
  """Names the keys in which two configs differ.

  Args:
    saved: nested plain values, of a checkpoint.
    wanted: of this run.
    ignore: top-level keys that may differ.

  Returns:
    Such as "optimizer.learning_rate was 0.001, is 0.01".
  """
  ignore, found = set(ignore), []
  for key in sorted({*saved, *wanted} - ignore):
    old, new = saved.get(key, "absent"), wanted.get(key, "absent")
    if isinstance(old, Mapping) and isinstance(new, Mapping):
      found += [f"{key}.{line}" for line in differences(old, new)]
    elif old != new:
      found.append(f"{key} was {old}, is {new}")
  return found
