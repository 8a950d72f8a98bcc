"""Where on the face a mean lies too deep or too far out: picture and table."""

from __future__ import annotations

import cv2
import numpy as np

_CELL = 10.0  # mm
_RIGHTS = np.arange(0.0, 70.0, _CELL)
_HEIGHTS = np.arange(35.0, -116.0, -_CELL)
_SCALE, _SPAN = 6.0, 4.0  # px per mm, mm of full colour
_LEFT, _TOP, _WIDTH, _HEIGHT = -80.0, 65.0, 160.0, 190.0  # mm
_FEWEST = 3  # points in a cell that has a mean


def cell_means(places, error) -> np.ndarray:
  """Mean signed error by cells of 10 mm, both sides together.

  Args:
    places: [n, 3] mm.
    error: [n] mm.

  Returns:
    [rows from y = 45 down to -115, columns from |x| = 0 to 70] mm, NaN where
    there are fewer than three points.
  """
  means = np.full((len(_HEIGHTS), len(_RIGHTS)), np.nan)
  column = np.floor(np.abs(places[:, 0]) / _CELL).astype(int)
  row = np.floor((_HEIGHTS[0] + _CELL - places[:, 1]) / _CELL).astype(int)
  for i in range(len(_HEIGHTS)):
    for k in range(len(_RIGHTS)):
      mine = (row == i) & (column == k)
      if mine.sum() >= _FEWEST:
        means[i, k] = error[mine].mean()
  return means


def text(title: str, places, error) -> str:
  """The table of `cell_means`; + the target lies outside of the model."""
  lines = [f"{title}: signed error, mm (+ target outside), by |x| and y:"]
  lines.append(
    "    y \\ |x| " + " ".join(f"{x:3.0f}-{x + _CELL:<3.0f}" for x in _RIGHTS)
  )
  for low, row in zip(_HEIGHTS, cell_means(places, error), strict=True):
    cells = " ".join("   .   " if np.isnan(x) else f"{x:+6.1f} " for x in row)
    lines.append(f"{low:5.0f}..{low + _CELL:<4.0f} {cells}".rstrip())
  return "\n".join(lines)


def picture(title: str, places, error) -> np.ndarray:
  """Frontal view [H, W, 3] uint8 BGR; red: the target lies outside."""
  size = (round(_SCALE * _HEIGHT), round(_SCALE * _WIDTH), 3)
  canvas = np.full(size, 255, np.uint8)
  share = np.clip(error / _SPAN, -1, 1)
  pale = 1 - np.abs(share)
  red, blue = np.where(share > 0, 1, pale), np.where(share < 0, 1, pale)
  colors = 235 * np.column_stack([blue, pale, red])
  for at, color in zip(_pixels(places[:, :2]), colors, strict=True):
    cv2.circle(canvas, at, 7, color.tolist(), -1, cv2.LINE_AA)
  for x in np.arange(-70, 71, _CELL):
    ends = _pixels(np.array([[x, _TOP], [x, _TOP - _HEIGHT]]))
    _line(canvas, ends, f"{x:.0f}", (ends[0][0] - 12, 52), x == 0)
  for y in np.arange(-120, 51, _CELL):
    ends = _pixels(np.array([[_LEFT, y], [_LEFT + _WIDTH, y]]))
    _line(canvas, ends, f"{y:.0f}", (4, ends[0][1] - 3), y == 0)
  for (x, y), value in _labels(places, error):
    at = _pixels(np.array([[x, y]]))[0]
    _write(canvas, f"{value:+.1f}", (at[0] - 20, at[1] + 6))
  rms = np.sqrt((error**2).mean())
  _write(
    canvas, f"{title}: rms {rms:.2f} mm, full colour {_SPAN:g} mm", (8, 26)
  )
  return canvas


def _labels(places, error):
  """Means of single cells of both sides, at their centres."""
  index = np.floor(places[:, :2] / _CELL).astype(int)
  for cell in np.unique(index, axis=0):
    mine = (index == cell).all(axis=1)
    if mine.sum() >= _FEWEST:
      yield (cell + 0.5) * _CELL, error[mine].mean()


def _pixels(places):
  offset = (places - [_LEFT, _TOP]) * [_SCALE, -_SCALE]
  return [tuple(int(v) for v in row) for row in np.round(offset)]


def _line(canvas, ends, label, at, strong):
  shade = (90, 90, 90) if strong else (190, 190, 190)
  cv2.line(canvas, *ends, shade, 1, cv2.LINE_AA)
  _write(canvas, label, at)


def _write(canvas, words, at):
  font = cv2.FONT_HERSHEY_SIMPLEX
  cv2.putText(canvas, words, at, font, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
