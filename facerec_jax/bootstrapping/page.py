"""The page of a run: photographs beside what every round read, and tables."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence
import pathlib

import jax.numpy as jnp
import numpy as np

from facerec_jax import experiment as experiments
from facerec_jax.bootstrapping import readings
from facerec_jax.bootstrapping import summary
from facerec_jax.evaluation import drawing
from facerec_jax.results import codes
from facerec_jax.results import figures
from facerec_jax.results import report
from facerec_jax.training import steps

# Photographs of a sheet.
_SHOWN = 6
_SHEET_WIDTH = 900


def write(
  workdir: pathlib.Path,
  experiment: experiments.Experiment,
  start: steps.TrainState,
  photos: readings.Photos,
  found: Sequence[readings.Reading],
  *,
  picture: Callable[[int], np.ndarray] | None = None,
) -> pathlib.Path:
  """Writes index.html, its sheets, and report.json.

  Args:
    workdir: an existing folder.
    experiment: of the run.
    start: state that the run started from.
    photos: that were read.
    found: before the first round and after each.
    picture: index -> photograph [SIZE, SIZE, 3] of `drawing`; by default what
      the encoder saw, enlarged.

  Returns:
    The path of the page.
  """
  if picture is None:

    def picture(index):
      return drawing.enlarge(photos.photo.image[index] / np.float32(255))

  table = list(summary.errors(found, photos))
  codes.write_json(workdir / "report.json", summary.records(table))
  content = report.Report(
    title="Adapted to photographs",
    # A sheet fills the page.
    figure_width=_SHEET_WIDTH,
    text=(
      "Held-out photographs show people whom the encoder was never adapted to. "
      "Gain: the share of the start's error that the rounds took away; its "
      "interval by bootstrap over pairs."
    ),
    facts=_facts(experiment, photos, found),
    sections=(
      report.Section(
        "Errors",
        tables=summary.error_tables(table),
      ),
      *_sheets(workdir, experiment, photos, found, picture),
      report.Section(
        "Codes",
        text="A spread that falls from round to round is the codes' collapse.",
        tables=(
          summary.code_table(
            experiment, found, photos, start.code_mean, start.code_std
          ),
        ),
      ),
    ),
  )
  return report.write_report(workdir / "index.html", content)


def _facts(experiment, photos, found):
  settings = experiment.bootstrap
  adapted = int((~photos.held_out).sum())
  kept = ", ".join(str(int(reading.kept.sum())) for reading in found)
  return (
    ("Start", str(settings.checkpoint)),
    ("Photographs", str(settings.photos)),
    ("Adapted to, held out", f"{adapted}, {int(photos.held_out.sum())}"),
    ("Of the adapted ones, used in each round", kept),
    ("Stage", settings.stage),
    ("Steps in a round", str(experiment.schedule.num_steps)),
    ("Share of the prior", f"{settings.prior_share:g}"),
  )


def _sheets(workdir, experiment, photos, found, picture):
  parts = (
    ("Held-out photographs", "held_out", photos.held_out),
    ("Adapted photographs", "adapted", ~photos.held_out),
  )
  for title, name, part in parts:
    indices = np.flatnonzero(part)
    # Evenly over the set: neighbours often show one person.
    step = max(len(indices) / _SHOWN, 1.0)
    chosen = indices[np.arange(0, len(indices), step).astype(int)]
    if not len(chosen):
      continue
    rows = [
      [picture(int(index)), *_answers(experiment, found, index)]
      for index in chosen
    ]
    sheet = figures.contact_sheet(
      rows,
      column_labels=("photograph", *summary.header(len(found) - 1)[1:]),
      row_labels=[_label(photos, found, index) for index in chosen],
    )
    path = workdir / "sheets" / f"{name}.png"
    figures.save_image(path, sheet)
    yield report.Section(
      title,
      figures=(report.Figure(path.relative_to(workdir), title),),
    )


def _answers(experiment, found, index):
  for reading in found:
    code = experiment.layout.unflatten(jnp.asarray(reading.codes[index]))
    yield drawing.draw(experiment.model, code).over()


def _label(photos, found, index):
  landmark = [reading.landmark[index] for reading in (found[0], found[-1])]
  text = photos.files[index]
  if np.isfinite(landmark).all():
    first, last = 100 * np.array(landmark)
    text += f": landmarks {first:.1f} %, then {last:.1f} %"
  return text
