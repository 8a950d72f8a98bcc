"""What the rounds gained: tables of errors and of code statistics."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from facerec_jax import experiment as experiments
from facerec_jax.bootstrapping import guards
from facerec_jax.bootstrapping import readings
from facerec_jax.evaluation import statistics
from facerec_jax.results import report

# Name -> (text, factor, format).
_UNITS = {
  "color": ("colour difference, % of white", 100.0, ".2f"),
  "landmark": ("landmarks 17-67, % of the eyes' outer width", 100.0, ".2f"),
  "vertex_mm": ("vertices after rigid alignment, mm", 1.0, ".2f"),
  "posed_vertex_mm": ("vertices with pose, mm", 1.0, ".2f"),
  "landmark_nme": ("landmarks 17-67, % of the eyes' outer width", 100.0, ".2f"),
  "photometric": ("colour difference, % of white", 100.0, ".2f"),
}


class Errors(NamedTuple):
  """One kind of error, round by round.

  Attributes:
    examples: what it was measured on.
    name: of the error.
    values: [rounds + 1, n], the same examples in each row.
  """

  examples: str
  name: str
  values: np.ndarray

  @property
  def gain(self) -> statistics.Interval:
    """Share of the start's error that the rounds took away."""
    return statistics.compare(self.values[-1], self.values[0]).gain


def errors(
  found: Sequence[readings.Reading], photos: readings.Photos
) -> Iterator[Errors]:
  """All errors: held-out photographs first, then adapted ones, then synthetic.

  Args:
    found: before the first round and after each.
    photos: that were read.
  """
  parts = (
    ("held-out photographs", photos.held_out),
    ("adapted photographs", ~photos.held_out),
  )
  for examples, part in parts:
    for name in ("landmark", "color"):
      values = np.stack([getattr(r, name)[part] for r in found])
      known = np.isfinite(values).all(axis=0)
      if known.any():
        yield Errors(f"{known.sum()} {examples}", name, values[:, known])
  for name in readings.SYNTHETIC:
    values = np.stack([r.synthetic[name] for r in found])
    yield Errors(f"{values.shape[1]} synthetic faces", name, values)


def header(rounds: int) -> tuple[str, ...]:
  """Of tables with a column for every round."""
  names = ("start", *(f"round {k + 1}" for k in range(rounds)))
  return ("", *names)


def error_rows(table: Sequence[Errors]) -> Iterator[tuple[str, ...]]:
  """Rows of one kind of examples: means, and the gain with its interval."""
  for row in table:
    text, factor, style = _UNITS[row.name]
    means = (factor * row.values).mean(axis=1)
    yield (text, *(format(m, style) for m in means), format_gain(row.gain))


def format_gain(gain: statistics.Interval) -> str:
  """As percent, with the interval where there is one."""
  text = f"{100 * gain.value:+.1f} %"
  if np.isfinite(gain.low):
    text += f" ({100 * gain.low:+.1f} to {100 * gain.high:+.1f})"
  return text


def records(table: Sequence[Errors]) -> list[dict[str, Any]]:
  """The errors as rows for JSON: means of rounds, gain with its interval."""
  return [
    {
      "examples": row.examples,
      "error": row.name,
      "means": row.values.mean(axis=1),
      "gain": row.gain._asdict(),
    }
    for row in table
  ]


def by_examples(table: Sequence[Errors]) -> dict[str, list[Errors]]:
  """Groups errors by what they were measured on, in order."""
  groups: dict[str, list[Errors]] = {}
  for row in table:
    groups.setdefault(row.examples, []).append(row)
  return groups


def error_tables(table: Sequence[Errors]) -> tuple[report.Table, ...]:
  """A table for each kind of examples."""
  rounds = len(table[0].values) - 1
  return tuple(
    report.Table(
      (*header(rounds), "gain (95 % interval)"),
      tuple(error_rows(rows)),
      examples,
    )
    for examples, rows in by_examples(table).items()
  )


def code_table(
  experiment: experiments.Experiment,
  found: Sequence[readings.Reading],
  photos: readings.Photos,
  mean,
  std,
) -> report.Table:
  """Spread and offset of the codes read from adapted photographs.

  Args:
    experiment: of the run.
    found: before the first round and after each.
    photos: that were read.
    mean: [D] of the prior.
    std: [D] of the prior.
  """
  statistics_of = [
    guards.measure(r.codes[~photos.held_out], mean, std, experiment.layout)
    for r in found
  ]
  rows = []
  for kind in ("spread", "offset"):
    for name in getattr(statistics_of[0], kind):
      values = [getattr(s, kind)[name] for s in statistics_of]
      rows.append((f"{kind} of {name}", *(f"{v:.2f}" for v in values)))
  return report.Table(
    header(len(found) - 1),
    tuple(rows),
    "codes of adapted photographs: standard deviation and distance of the "
    "mean from the prior's, in the prior's standard deviations",
  )


def format_table(table: Sequence[Errors]) -> str:
  """All errors as text for a terminal."""
  lines = []
  for examples, rows in by_examples(table).items():
    rounds = len(rows[0].values) - 1
    names = "".join(f"{name:>9}" for name in header(rounds)[1:])
    lines.append(f"{examples:44}{names}  gain")
    for text, *values, gain in error_rows(rows):
      cells = "".join(f"{value:>9}" for value in values)
      lines.append(f"  {text:42}{cells}  {gain}")
  return "\n".join(lines)
