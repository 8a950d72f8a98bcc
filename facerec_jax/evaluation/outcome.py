"""What a suite found: examples with errors, distances, pictures."""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import math
import pathlib

from absl import logging
import numpy as np

from facerec_jax import messages
from facerec_jax.evaluation import groups as group_lib
from facerec_jax.results import report


@dataclasses.dataclass(frozen=True)
class Metric:
  """How an error is shown.

  Attributes:
    label: what it is.
    unit: after multiplication.
    factor: from the stored number to the unit.
  """

  label: str
  unit: str
  factor: float = 1.0


_PERCENT_EYES = "% of outer-canthal distance"
METRICS = {
  "vertex_mm": Metric("vertices after rigid alignment", "mm"),
  "posed_vertex_mm": Metric("vertices with pose", "mm"),
  "neutral_vertex_mm": Metric(
    "vertices without expression, after rigid alignment", "mm"
  ),
  "pose_deg": Metric("pose", "degrees"),
  "pitch_deg": Metric("pitch", "degrees"),
  "yaw_deg": Metric("yaw", "degrees"),
  "roll_deg": Metric("roll", "degrees"),
  "landmark_nme": Metric("landmarks 17-67", _PERCENT_EYES, 100.0),
  "given_nme": Metric("landmarks 17-67, given points", _PERCENT_EYES, 100.0),
  "dlib_nme": Metric("landmarks 17-67, dlib's points", _PERCENT_EYES, 100.0),
  "photometric": Metric("colour in the face mask", "% of white", 100.0),
  "now_mm": Metric("scan to mesh, scaled (NoW)", "mm"),
  "metric_mm": Metric("scan to mesh, own scale", "mm"),
} | {
  f"{group}_sd": Metric(f"{group} coefficients", "standard deviations")
  for group in (
    "identity",
    "expression",
    "albedo",
    "rotation",
    "translation",
    "illumination",
  )
}


def metric(name: str) -> Metric:
  """How the error of a name is shown."""
  return METRICS.get(name, Metric(name, ""))


@dataclasses.dataclass(frozen=True)
class Example:
  """One face.

  Attributes:
    name: of it, within its suite.
    errors: of the encoder, by the names of METRICS; NaN where not measured.
    mean_face: the same of always answering the mean face.
    groups: kind of group -> the group it is in.
  """

  name: str
  errors: Mapping[str, float]
  mean_face: Mapping[str, float]
  groups: Mapping[str, group_lib.Band] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Distances:
  """Distances of all points of all scans, as the NoW benchmark pools them.

  Attributes:
    encoder: [n] mm.
    mean_face: [n] mm.
  """

  encoder: np.ndarray
  mean_face: np.ndarray

  def summary(self) -> dict[str, dict[str, float]]:
    """Median, mean and standard deviation, mm, of both."""
    return {
      name: {
        "median": float(np.median(values)),
        "mean": float(np.mean(values)),
        "std": float(np.std(values)),
      }
      for name, values in dataclasses.asdict(self).items()
    }


@dataclasses.dataclass(frozen=True)
class Outcome:
  """The result of a suite.

  Attributes:
    name: of the suite.
    text: what was measured, for people.
    examples: in order.
    headline: metrics that curves and groups are drawn of.
    distances: by metric, pooled.
    figures: pictures.
    facts: (name, value) further numbers.
    problems: what went wrong, one line each.
  """

  name: str
  text: str
  examples: tuple[Example, ...]
  headline: tuple[str, ...]
  distances: Mapping[str, Distances] = dataclasses.field(default_factory=dict)
  figures: tuple[report.Figure, ...] = ()
  facts: tuple[tuple[str, str], ...] = ()
  problems: tuple[str, ...] = ()

  @property
  def metrics(self) -> tuple[str, ...]:
    """Names of all errors, in the order of METRICS."""
    names = dict.fromkeys(n for e in self.examples for n in e.errors)
    order = {name: rank for rank, name in enumerate(METRICS)}
    return tuple(sorted(names, key=lambda n: order.get(n, len(order))))

  def errors(self, name: str) -> tuple[np.ndarray, np.ndarray]:
    """[n] errors of the encoder and of the mean face, in order."""
    return tuple(
      np.array([errors.get(name, math.nan) for errors in column])
      for column in zip(
        *((e.errors, e.mean_face) for e in self.examples), strict=True
      )
    )

  def curve(self, name: str) -> tuple[np.ndarray, np.ndarray, str]:
    """What the cumulative curve of a metric is drawn of.

    Args:
      name: of the metric.

    Returns:
      (values of the encoder [n], of the mean face [n], what they are of): the
      distances of all scan points where there are any, else the errors of the
      examples that have both.
    """
    if name in self.distances:
      pooled = self.distances[name]
      return pooled.encoder, pooled.mean_face, "scan points"
    errors = np.stack(self.errors(name))
    return *errors[:, np.isfinite(errors).all(axis=0)], "examples"

  def members(self, kind: str) -> dict[str, list[int]]:
    """Examples of each group of a kind, groups in order."""
    found = {}
    for index, example in enumerate(self.examples):
      if kind in example.groups:
        found.setdefault(example.groups[kind], []).append(index)
    return {band.label: found[band] for band in sorted(found)}

  @property
  def kinds(self) -> tuple[str, ...]:
    """Kinds of groups with at least two groups."""
    kinds = dict.fromkeys(k for e in self.examples for k in e.groups)
    return tuple(k for k in kinds if len(self.members(k)) > 1)


def problem(path: pathlib.Path, error: Exception) -> str:
  """One line on a file that could not be measured; faults of ours are logged.

  Call it while the error is handled.
  """
  if not isinstance(error, ValueError):
    logging.exception("%s", path)
  reason = messages.one_line(error)
  return f"{path.name}: {reason}"


class SuiteError(Exception):
  """A suite cannot run; the message says why in one line."""
