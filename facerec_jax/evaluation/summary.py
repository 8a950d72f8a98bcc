"""An outcome as numbers: printed table, metrics.json, per_example.csv."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence
import csv
import os
import pathlib
from typing import Any

import numpy as np

from facerec_jax.evaluation import outcome as outcomes
from facerec_jax.evaluation import statistics

Outcome = outcomes.Outcome
_CURVE_POINTS = 101
HEADER = ("error", "encoder", "95 %", "mean face", "gain", "95 %", "better for")


def comparison(
  outcome: Outcome, metric: str, members: Sequence[int] | None = None
) -> statistics.Comparison:
  """Encoder against mean face, of all examples or of some."""
  errors = outcome.errors(metric)
  if members is not None:
    errors = [values[list(members)] for values in errors]
  return statistics.compare(*errors)


def rows(outcome: Outcome) -> Iterator[tuple[str, ...]]:
  """Rows of the table with `HEADER`, in the units of `METRICS`."""
  for name in outcome.metrics:
    found, shown = comparison(outcome, name), outcomes.metric(name)
    if found.encoder.count:
      yield (
        f"{shown.label}, {shown.unit}".rstrip(", "),
        _number(found.encoder.value, shown.factor),
        _range(found.encoder, shown.factor),
        _number(found.mean_face.value, shown.factor),
        _number(found.gain.value, 100.0, ".0f") + " %",
        _range(found.gain, 100.0, ".0f"),
        f"{100 * found.wins:.0f} %",
      )


def distance_rows(outcome: Outcome) -> Iterator[tuple[str, ...]]:
  """Rows of (rule, whose, median, mean, std), mm, over all scan points."""
  for name, distances in outcome.distances.items():
    for whose, numbers in distances.summary().items():
      yield (
        outcomes.metric(name).label,
        whose.replace("_", " "),
        *(f"{numbers[key]:.2f}" for key in ("median", "mean", "std")),
      )


DISTANCE_HEADER = ("over all scan points", "", "median", "mean", "std, mm")


def _number(value, factor, form=".3g"):
  return f"{factor * value:{form}}"


def _range(interval, factor, form=".3g"):
  if np.isnan(interval.low):
    return "-"
  low, high = (
    _number(value, factor, form) for value in (interval.low, interval.high)
  )
  return f"{low} to {high}"


def text_table(outcome: Outcome) -> str:
  """What is printed."""
  parts = [f"{outcome.name}: {len(outcome.examples)} examples"]
  parts += [f"{name}: {value}" for name, value in outcome.facts]
  parts += _aligned([HEADER, *rows(outcome)])
  if outcome.distances:
    parts += ["", *_aligned([DISTANCE_HEADER, *distance_rows(outcome)])]
  parts += [f"  ! {problem}" for problem in outcome.problems]
  return "\n".join(parts)


def _aligned(table):
  widths = [max(map(len, column)) for column in zip(*table, strict=True)]
  for first, *others in table:
    cells = [
      cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)
    ]
    yield "  ".join([first.ljust(widths[0]), *cells]).rstrip()


def as_json(outcome: Outcome) -> dict[str, Any]:
  """What metrics.json holds of an outcome; numbers as stored, not as shown."""
  return {
    "status": "measured",
    "examples": len(outcome.examples),
    "metrics": {
      name: _comparison_json(comparison(outcome, name))
      for name in outcome.metrics
    },
    "distances": {
      name: distances.summary() for name, distances in outcome.distances.items()
    },
    "groups": {
      kind: {
        label: {
          "examples": len(members),
          "metrics": {
            name: _comparison_json(comparison(outcome, name, members))
            for name in outcome.metrics
          },
        }
        for label, members in outcome.members(kind).items()
      }
      for kind in outcome.kinds
    },
    "curves": {
      name: _curve_json(*outcome.curve(name)[:2]) for name in outcome.headline
    },
    "facts": dict(outcome.facts),
    "problems": list(outcome.problems),
  }


def _curve_json(encoder, mean_face):
  """Shares at most each limit, as the plots show them."""
  if not len(encoder):
    return None
  limits = np.linspace(0.0, max(encoder.max(), mean_face.max()), _CURVE_POINTS)
  return {
    "limits": limits,
    "encoder": statistics.cumulative_share(encoder, limits),
    "mean_face": statistics.cumulative_share(mean_face, limits),
  }


def _comparison_json(found):
  return {
    "encoder": found.encoder._asdict(),
    "mean_face": found.mean_face._asdict(),
    "gain": found.gain._asdict(),
    "better_share": found.wins,
  }


def write_csv(path: str | os.PathLike, outcome_list: Sequence[Outcome]) -> None:
  """Writes one row for each example of all suites.

  Columns: suite, example, groups, errors, and errors of the mean face under
  `mean_face/`. What a suite does not measure stays empty.
  """
  kinds = dict.fromkeys(
    k for o in outcome_list for e in o.examples for k in e.groups
  )
  metrics = dict.fromkeys(m for o in outcome_list for m in o.metrics)
  names = ["suite", "example", *kinds, *metrics]
  names += [f"mean_face/{name}" for name in metrics]
  with pathlib.Path(path).open("w", newline="", encoding="utf-8") as file:
    table = csv.DictWriter(file, names)
    table.writeheader()
    for outcome in outcome_list:
      for example in outcome.examples:
        table.writerow(
          {"suite": outcome.name, "example": example.name}
          | {kind: band.label for kind, band in example.groups.items()}
          | _cells("", example.errors)
          | _cells("mean_face/", example.mean_face)
        )


def _cells(prefix, errors):
  return {
    prefix + name: f"{value:.6g}"
    for name, value in errors.items()
    if np.isfinite(value)
  }
