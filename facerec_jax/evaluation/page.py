"""The report page of an evaluation, with its plots."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
import pathlib

from facerec_jax.evaluation import outcome as outcomes
from facerec_jax.evaluation import summary
from facerec_jax.results import plots
from facerec_jax.results import report

Outcome = outcomes.Outcome
_FIGURE_WIDTH = 480
_SERIES = ("encoder", "mean face")


def write_page(
  folder: pathlib.Path,
  outcome_list: Sequence[Outcome],
  *,
  title: str,
  facts: Sequence[tuple[str, str]] = (),
  skipped: Mapping[str, str] | None = None,
) -> pathlib.Path:
  """Writes index.html, pictures inside, and its plots beside it.

  Args:
    folder: an existing one; each suite's plots go into a folder of its name.
    outcome_list: of the suites that ran.
    title: of the page.
    facts: (name, value) rows at its top.
    skipped: suite -> why it did not run.

  Returns:
    The path of the page.
  """
  content = report.Report(
    title=title,
    text=(
      "Errors of the encoder beside those of always answering the mean face. "
      "Intervals: 95 %, bootstrap over the examples. Gain: the share of the "
      "mean face's error that the encoder takes away."
    ),
    facts=tuple(facts),
    sections=tuple(_section(folder, outcome) for outcome in outcome_list),
    problems=tuple(f"{k}: {why}" for k, why in (skipped or {}).items()),
    figure_width=_FIGURE_WIDTH,
  )
  return report.write_report(folder / "index.html", content, embed=True)


def _section(folder, outcome):
  place = folder / outcome.name
  tables = [report.Table(summary.HEADER, tuple(summary.rows(outcome)))]
  if outcome.distances:
    rows = tuple(summary.distance_rows(outcome))
    tables.insert(0, report.Table(summary.DISTANCE_HEADER, rows))
  plotted = [*_curves(place, outcome), *_groups(place, outcome)]
  return report.Section(
    title=f"{outcome.name}: {len(outcome.examples)} examples",
    text=outcome.text,
    figures=(*plotted, *outcome.figures),
    facts=outcome.facts,
    tables=tuple(tables),
    problems=outcome.problems,
  )


def _curves(place, outcome):
  for name in outcome.headline:
    shown = outcomes.metric(name)
    *values, of = outcome.curve(name)
    if not len(values[0]):
      continue
    path = plots.cumulative_curves(
      place / f"curve_{name}.png",
      {k: shown.factor * v for k, v in zip(_SERIES, values, strict=True)},
      label=f"{shown.label}, {shown.unit}",
    )
    yield report.Figure(path, f"cumulative error over {of}: {shown.label}")


def _groups(place, outcome):
  """A plot of each headline metric with all kinds of groups."""
  bands = [
    (f"{kind}: {label} (n = {len(members)})", members)
    for kind in outcome.kinds
    for label, members in outcome.members(kind).items()
  ]
  for name in outcome.headline if bands else ():
    shown = outcomes.metric(name)
    found = [summary.comparison(outcome, name, m) for _, m in bands]
    if not any(f.encoder.count for f in found):
      continue
    series = {
      label: [_bar(f[k], shown.factor) for f in found]
      for k, label in enumerate(_SERIES)
    }
    path = plots.grouped_bars(
      place / f"groups_{name}.png",
      [label for label, _ in bands],
      series,
      label=f"{shown.label}, {shown.unit}",
    )
    yield report.Figure(path, f"by group: {shown.label}")


def _bar(interval, factor):
  return plots.Bar(
    *(factor * v for v in (interval.value, interval.low, interval.high))
  )
