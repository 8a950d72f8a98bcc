"""Guards against collapse: what the codes of a round look like."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from absl import logging
import numpy as np

from facerec_jax import bootstrap_settings as settings
from facerec_jax.face import code_vector

# The spread of fewer codes says nothing.
_FEWEST = 4


class Statistics(NamedTuple):
  """Codes beside the prior, by group.

  Attributes:
    spread: standard deviation of the codes, share of the prior's (root mean
      square over the group's numbers).
    offset: distance of the mean from the prior's, in standard deviations of
      the prior (root mean square).
  """

  spread: dict[str, float]
  offset: dict[str, float]


class CollapseError(Exception):
  """The codes have lost their variety, or drifted away."""


def measure(
  codes: np.ndarray, mean, std, layout: code_vector.CodeLayout
) -> Statistics:
  """Compares codes [N, D] with mean [D] and standard deviation [D]."""
  standard = (codes - np.asarray(mean)) / np.asarray(std)

  def rms(values):
    return float(np.sqrt(np.mean(np.square(values))))

  parts = {
    name: standard[:, part]
    for name, part in layout.slices.items()
    if part.stop > part.start
  }
  return Statistics(
    spread={name: rms(part.std(axis=0)) for name, part in parts.items()},
    offset={name: rms(part.mean(axis=0)) for name, part in parts.items()},
  )


def check(
  now: Statistics,
  start: Statistics,
  limits: settings.Guards,
  *,
  count: int,
  number: int,
) -> None:
  """Warns of codes that collapse or drift, and stops where they have.

  Args:
    now: of the codes read after a round.
    start: of those that the start read.
    limits: thresholds.
    count: of codes.
    number: of rounds done.

  Raises:
    CollapseError: a limit of stopping is passed.
  """
  shares = {}
  if count >= _FEWEST:
    shares = {k: now.spread[k] / v for k, v in start.spread.items() if v > 0}
  said = f"after round {number}: "
  for name, share in shares.items():
    text = f"{said}the spread of {name} is {share:.2f} of the start's"
    if share < limits.stop_spread:
      raise CollapseError(
        f"{text}, below {limits.stop_spread}: the codes collapse. Raise "
        "config.bootstrap.prior_share or scales, or take fewer steps"
      )
    if share < limits.warn_spread:
      logging.warning("%s", text)
  for name, offset in now.offset.items():
    text = f"{said}the mean of {name} lies {offset:.2f} standard deviations off"
    if offset > limits.stop_offset:
      raise CollapseError(
        f"{text}, beyond {limits.stop_offset}: the codes drift away. Raise "
        "config.bootstrap.prior_share, or look at the photographs"
      )
    if offset > limits.warn_offset:
      logging.warning("%s", text)


def scalars(statistics: Statistics) -> Mapping[str, float]:
  """As named numbers for a metric writer."""
  return {
    f"{kind}/{name}": value
    for kind, values in statistics._asdict().items()
    for name, value in values.items()
  }
