"""Confusion matrices as a picture and as a table."""

from __future__ import annotations

from collections.abc import Sequence
import csv
import os
import pathlib

from matplotlib import figure as mpl_figure
import numpy as np

from facerec_jax.recognition import agreement


def summary(counts, classes: Sequence[str]) -> dict:
  """How often each class is named rightly, with 95 % Wilson intervals.

  Args:
    counts: [K, K], rows the true classes.
    classes: K names.

  Returns:
    `count`, `accuracy` and `accuracy_interval` over all examples,
    `mean_recall` over the classes that occur, and `recall` by class: `right`,
    `count`, `share`, `interval`. Shares of nothing are None.
  """
  counts = np.asarray(counts)
  totals, right = counts.sum(axis=1), counts.diagonal()
  recall = {
    name: _share(int(hits), int(total))
    for name, hits, total in zip(classes, right, totals, strict=True)
  }
  whole = _share(int(right.sum()), int(totals.sum()))
  shares = [entry["share"] for entry in recall.values() if entry["count"]]
  return {
    "count": whole["count"],
    "accuracy": whole["share"],
    "accuracy_interval": whole["interval"],
    "mean_recall": float(np.mean(shares)) if shares else None,
    "recall": recall,
  }


def _share(right, count):
  return {
    "right": right,
    "count": count,
    "share": right / count if count else None,
    "interval": agreement.wilson_interval(right, count),
  }


def write(
  path: str | os.PathLike, counts, classes: Sequence[str], *, title: str
) -> list[pathlib.Path]:
  """Writes PATH.png and PATH.csv.

  Args:
    path: without ending; the folder is made where it is missing.
    counts: [K, K], rows the true classes.
    classes: K names.
    title: of the picture.

  Returns:
    Both files.
  """
  path = pathlib.Path(path)
  path.parent.mkdir(parents=True, exist_ok=True)
  counts = np.asarray(counts)
  files = [path.with_name(f"{path.name}{end}") for end in (".png", ".csv")]
  _draw(counts, classes, title).savefig(files[0], dpi=120)
  _write_table(files[1], counts, classes)
  return files


def percentages(counts) -> np.ndarray:
  """[K, K] shares of each row, percent; 0 in empty rows."""
  counts = np.asarray(counts, float)
  return 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)


def _write_table(path, counts, classes):
  header = ["true", *classes, "count", *(f"{name} %" for name in classes)]
  header += ["right %", "from %", "to %"]
  with path.open("w", newline="", encoding="utf-8") as stream:
    writer = csv.writer(stream)
    writer.writerow(header)
    for index, (name, row, percent) in enumerate(
      zip(classes, counts, percentages(counts), strict=True)
    ):
      low, high = agreement.wilson_interval(int(row[index]), int(row.sum()))
      shares = [*percent, percent[index], 100 * low, 100 * high]
      writer.writerow(
        [name, *row, row.sum(), *(f"{share:.1f}" for share in shares)]
      )


def _draw(counts, classes, title):
  percent = percentages(counts)
  size = 1.8 + 0.82 * len(classes)
  figure = mpl_figure.Figure(figsize=(size + 0.6, size), layout="constrained")
  axes = figure.add_subplot()
  shown = axes.imshow(percent, cmap="Blues", vmin=0, vmax=100)
  places = np.arange(len(classes))
  totals = counts.sum(axis=1)
  axes.set_xticks(places, classes, rotation=30, ha="right")
  axes.set_yticks(
    places, [f"{n}\n({t})" for n, t in zip(classes, totals, strict=True)]
  )
  axes.set(xlabel="named", ylabel="true (count)")
  axes.set_title(title, fontsize=11)
  for row, column in np.ndindex(counts.shape):
    if counts[row, column]:
      axes.text(
        column,
        row,
        f"{percent[row, column]:.0f} %\n{counts[row, column]}",
        ha="center",
        va="center",
        fontsize=9,
        color="white" if percent[row, column] > 55 else "black",
      )
  figure.colorbar(shown, label="% of the true class", shrink=0.8)
  return figure
