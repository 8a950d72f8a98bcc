"""Metrics of a training: JSON lines, TensorBoard, and one line in the log."""

from __future__ import annotations

from collections.abc import Mapping
import json
import pathlib

from absl import logging
import numpy as np
import tensorboardX


class MetricWriter:
  """Writes metrics.jsonl and event files into a work folder."""

  def __init__(self, workdir):
    """Opens both files for appending: a resumed run continues them."""
    folder = pathlib.Path(workdir)
    folder.mkdir(parents=True, exist_ok=True)
    self._lines = (folder / "metrics.jsonl").open("a")
    self._board = tensorboardX.SummaryWriter(str(folder / "tensorboard"))

  def scalars(
    self, step: int, prefix: str, values: Mapping[str, float]
  ) -> None:
    """Writes named numbers.

    Args:
      step: finished steps.
      prefix: such as "train" or "eval".
      values: by name.
    """
    values = {name: float(value) for name, value in values.items()}
    line = {"step": step, "kind": prefix, **values}
    self._lines.write(json.dumps(line) + "\n")
    self._lines.flush()
    for name, value in values.items():
      self._board.add_scalar(f"{prefix}/{name}", value, step)
    logging.info("%s step %d: %s", prefix, step, format_metrics(values))

  def image(self, step: int, name: str, image) -> None:
    """Writes an image [H, W, 3], uint8 sRGB."""
    self._board.add_image(name, np.asarray(image), step, dataformats="HWC")

  def close(self) -> None:
    """Flushes and closes the files."""
    self._lines.close()
    self._board.close()


def last_scalars(workdir, prefix: str) -> dict[str, float]:
  """The newest numbers that a run wrote under a prefix, or nothing."""
  path = pathlib.Path(workdir) / "metrics.jsonl"
  lines = path.read_text().splitlines() if path.exists() else []
  for line in reversed(lines):
    values = json.loads(line)
    if values.pop("kind") == prefix:
      values.pop("step")
      return values
  return {}


def format_metrics(values: Mapping[str, float]) -> str:
  """One line of `name value` pairs."""
  return "  ".join(f"{name} {value:.4g}" for name, value in values.items())
