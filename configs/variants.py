"""Variants of a config: changes of one base, by name."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
import pathlib

from ml_collections import ConfigDict


def get_config(
  file: str,
  variants: Mapping[str, Callable[[ConfigDict], None]],
  variant: str,
  base: Callable[[], ConfigDict],
) -> ConfigDict:
  """Returns the config of a variant.

  Args:
    file: of the config, its `__file__`.
    variants: what each changes in the base.
    variant: which one.
    base: makes what they all start from.

  Raises:
    ValueError: no such variant.
  """
  if variant not in variants:
    raise ValueError(
      f"configs/{pathlib.Path(file).name} has no variant {variant!r}; it has "
      f"{', '.join(variants)}"
    )
  config = base()
  variants[variant](config)
  return config
