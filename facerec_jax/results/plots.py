"""Plots of errors, with units on their axes; for white paper and screens."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import contextlib
import os
import pathlib
from typing import NamedTuple

import numpy as np

# Told apart by their lightness too: for grey printers and the colour-blind.
_COLORS = ("#0b5fa5", "#d9730d", "#3a8f4d", "#8a4fae", "#7a7a7a")
_INK, _GRID = "#1d1d1f", "#d9d9d6"
_DPI = 150
_CURVE_END = 97.0  # percentile at which the axis of errors ends
COLOR_MAP = "viridis"
_UNKNOWN = (0.78, 0.78, 0.78)


class Bar(NamedTuple):
  """A mean with its interval.

  Attributes:
    value: the mean.
    low: end of the interval, NaN for none.
    high: other end.
  """

  value: float
  low: float
  high: float


def cumulative_curves(
  path: str | os.PathLike, curves: Mapping[str, np.ndarray], *, label: str
) -> pathlib.Path:
  """Draws which share of values is at most so large.

  Args:
    path: of the PNG.
    curves: label -> values [n], finite.
    label: of the axis of values, with unit.

  Returns:
    The path.
  """
  end = max(np.percentile(values, _CURVE_END) for values in curves.values())
  with _figure(path, 6.0, 3.9) as (figure, axes):
    for color, (name, values) in zip(_COLORS, curves.items(), strict=False):
      ordered = np.sort(values)
      share = 100.0 * np.arange(1, len(ordered) + 1) / len(ordered)
      text = f"{name}, median {np.median(ordered):.3g}"
      axes.step(
        np.r_[0.0, ordered], np.r_[0.0, share], where="post", color=color,
        linewidth=2, label=text,
      )  # fmt: skip
    axes.set_xlim(0.0, 1.02 * end if end > 0 else 1.0)
    axes.set_ylim(0.0, 100.0)
    axes.set_xlabel(label)
    axes.set_ylabel("share of errors below, %")
    axes.legend(loc="lower right", frameon=False)
    figure.tight_layout()
  return pathlib.Path(path)


def grouped_bars(
  path: str | os.PathLike,
  groups: Sequence[str],
  series: Mapping[str, Sequence[Bar]],
  *,
  label: str,
) -> pathlib.Path:
  """Draws a value with its interval for each group, beside each other.

  Args:
    path: of the PNG.
    groups: labels, from top to bottom.
    series: label -> a bar for each group.
    label: of the axis of values, with unit.

  Returns:
    The path.
  """
  thickness = 0.8 / len(series)
  height = 1.3 + 0.26 * len(groups) * (1 + len(series)) / 2
  with _figure(path, 6.0, height) as (figure, axes):
    for number, (name, bars) in enumerate(series.items()):
      middle = (number - 0.5 * (len(series) - 1)) * thickness
      places = np.arange(len(groups)) + middle
      values = np.array([bar.value for bar in bars])
      ends = np.array([[bar.low, bar.high] for bar in bars]).T
      reach = np.nan_to_num(np.abs(ends - values))
      axes.barh(
        places, values, height=0.9 * thickness, xerr=reach,
        color=_COLORS[number % len(_COLORS)], label=name,
        error_kw={"ecolor": _INK, "elinewidth": 1, "capsize": 2},
      )  # fmt: skip
    axes.set_yticks(np.arange(len(groups)), groups)
    axes.set_ylim(len(groups) - 0.4, -0.6)
    axes.set_xlim(left=0.0)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel(label)
    figure.legend(
      *axes.get_legend_handles_labels(), loc="outside upper right",
      ncols=len(series), frameon=False,
    )  # fmt: skip
    figure.tight_layout(rect=(0, 0, 1, 1 - 0.3 / height))
  return pathlib.Path(path)


def heat_picture(
  path: str | os.PathLike,
  views: Sequence[np.ndarray],
  *,
  limit: float,
  label: str,
) -> pathlib.Path:
  """Draws coloured faces beside the bar that explains their colours.

  Args:
    path: of the PNG.
    views: [P, P, 3] pictures whose colours are those of `colors`.
    limit: value of the bar's end.
    label: of the bar, with unit.

  Returns:
    The path.
  """
  from matplotlib import cm
  from matplotlib import colors as color_lib

  with _figure(path, 2.2 * len(views) + 1.1, 2.5) as (figure, axes):
    axes.imshow(np.concatenate(views, axis=1))
    axes.set_axis_off()
    axes.set_anchor("W")
    scale = cm.ScalarMappable(color_lib.Normalize(0.0, limit), COLOR_MAP)
    bar = figure.colorbar(scale, ax=axes, extend="max", fraction=0.04, pad=0.02)
    bar.set_label(label)
    figure.tight_layout()
  return pathlib.Path(path)


def colors(values: np.ndarray, limit: float) -> np.ndarray:
  """Colours [..., 3], sRGB, of values in [0, limit]; grey for NaN."""
  import matplotlib

  share = np.clip(np.asarray(values, float) / max(limit, 1e-12), 0.0, 1.0)
  found = matplotlib.colormaps[COLOR_MAP](np.nan_to_num(share))[..., :3]
  return np.where(np.isnan(share)[..., None], _UNKNOWN, found)


@contextlib.contextmanager
def _figure(path, width: float, height: float) -> Iterator:
  """A figure with one plot, saved at the end; inches."""
  from matplotlib import figure as figure_lib
  from matplotlib import rc_context

  style = {
    "axes.edgecolor": _INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": _GRID,
    "font.size": 10,
    "text.color": _INK,
    "axes.labelcolor": _INK,
  }
  with rc_context(style):
    figure = figure_lib.Figure(figsize=(width, height), dpi=_DPI)
    yield figure, figure.add_subplot()
    pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, facecolor="white")
