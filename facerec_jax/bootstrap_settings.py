"""The section `config.bootstrap`."""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
from typing import Any

from facerec_jax import config_sections
from facerec_jax.face import code_vector
from facerec_jax.training import photo_augmentation
from facerec_jax.training import photo_steps
from facerec_jax.training import self_supervision

STAGES = ("rerender", "self_supervised")


@dataclasses.dataclass(frozen=True)
class Guards:
  """When a round is suspicious, and when it has gone wrong.

  Attributes:
    max_color: photographs whose rendered code differs more, mean absolute sRGB
      inside the mask, are left out of the bank.
    max_landmark: the same of the landmarks, share of the outer-canthal
      distance.
    warn_spread: a warning where the spread of a group of codes falls below this
      share of what the start read.
    stop_spread: the run stops there.
    warn_offset: a warning where the mean of a group lies so many standard
      deviations of the prior from the prior's mean (root mean square).
    stop_offset: the run stops there.
  """

  max_color: float = 0.25
  max_landmark: float = 0.25
  warn_spread: float = 0.5
  stop_spread: float = 0.1
  warn_offset: float = 1.5
  stop_offset: float = 4.0


@dataclasses.dataclass(frozen=True)
class Settings:
  """How an encoder is adapted.

  Attributes:
    checkpoint: work folder of the encoder to start from.
    photos: folder of `prepare_photos`.
    stage: "rerender": learn from rendered faces of the codes read.
      "self_supervised": from the photographs themselves, through the renderer,
      with such faces mixed in.
    rounds: of reading, then learning.
    held_out_share: of the people, who are never adapted to.
    prior_share: of the code bank that comes from the prior.
    scales: (group, standard deviation) of the noise around the codes read,
      standard deviations of the prior.
    copies: noisy rows of each code, fixed for a round; 0: noise is drawn anew
      for every image.
    clip: whether codes are moved into the plausible range before use.
    refine_steps: of fitting each code to its photograph before use; 0: the
      codes are used as they are read.
    guards: against collapse.
    objective: of photographs.
    fine_tuning: of the second stage.
  """

  checkpoint: str
  photos: str
  stage: str
  rounds: int
  held_out_share: float
  prior_share: float
  scales: tuple[tuple[str, float], ...]
  copies: int
  clip: bool
  refine_steps: int
  guards: Guards
  objective: self_supervision.Objective
  fine_tuning: photo_steps.FineTuning

  def __post_init__(self):
    if self.stage not in STAGES:
      raise ValueError(f"stage {self.stage!r} is none of {', '.join(STAGES)}")
    for name, low in (("rounds", 1), ("copies", 0), ("refine_steps", 0)):
      value = getattr(self, name)
      if not isinstance(value, int) or value < low:
        raise ValueError(f"{name} is {value!r}, wanted a whole number >= {low}")
    for name in ("held_out_share", "prior_share"):
      if not 0 <= getattr(self, name) <= 1:
        raise ValueError(f"{name} is {getattr(self, name)}, wanted 0 to 1")
    if self.held_out_share == 1:
      raise ValueError("held_out_share is 1: no photograph to adapt to")
    for group, scale in self.scales:
      if group not in code_vector.GROUPS:
        raise ValueError(
          f"scales: {group!r} is none of {', '.join(code_vector.GROUPS)}"
        )
      if scale < 0:
        raise ValueError(f"scales: {group} is {scale}, wanted 0 or more")


def create(
  *,
  scales: Mapping[str, float],
  guards: Mapping[str, float],
  objective: Mapping[str, float],
  fine_tuning: Mapping[str, Any],
  **values,
) -> Settings:
  """Builds settings from the section `config.bootstrap`.

  Args:
    scales: by code group; 0 where missing.
    guards: fields of `Guards`.
    objective: fields of `self_supervision.Objective`.
    fine_tuning: fields of `photo_steps.FineTuning`; `augmentation` holds those
      of `photo_augmentation.Augmentation`.
    **values: the other fields of `Settings`.

  Raises:
    ConfigError: a key is unknown or missing, or a value does not fit.
  """
  name = "config.bootstrap"
  augmentation = config_sections.call(
    photo_augmentation.Augmentation,
    f"{name}.fine_tuning.augmentation",
    fine_tuning.get("augmentation", {}),
  )
  return config_sections.call(
    Settings,
    name,
    dict(
      scales=tuple(sorted(scales.items())),
      guards=config_sections.call(Guards, f"{name}.guards", guards),
      objective=config_sections.call(
        self_supervision.Objective, f"{name}.objective", objective
      ),
      fine_tuning=config_sections.call(
        photo_steps.FineTuning,
        f"{name}.fine_tuning",
        {**fine_tuning, "augmentation": augmentation},
      ),
      **values,
    ),
  )
