"""Metrics of a training: JSON lines, TensorBoard, and one line in the log."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping
import json
import pathlib
import time

from absl import logging
import numpy as np
from tensorboardX import event_file_writer
from tensorboardX import summary
from tensorboardX.proto import event_pb2

from facerec_jax.training import parallel

_FILE = "metrics.jsonl"


class MetricWriter:
  """Writes metrics.jsonl and event files into a work folder.

  Of several processes the first one writes; the others' writers do nothing.
  """

  def __init__(self, workdir, *, resumed_at: int | None = None):
    """Opens both files for appending: a resumed run continues them.

    Args:
      workdir: the folder.
      resumed_at: lines of later steps, which a killed run left and this one
        writes anew, are removed; None keeps all.
    """
    self._writes = parallel.is_first_process()
    if not self._writes:
      return
    folder = pathlib.Path(workdir)
    folder.mkdir(parents=True, exist_ok=True)
    _drop_lines(folder / _FILE, resumed_at)
    self._lines = (folder / _FILE).open("a")
    # Not SummaryWriter: its thread dies on a full disk, and the run with it
    # waits for ever.
    board = folder / "tensorboard"
    board.mkdir(exist_ok=True)
    # Its own names are the same within a second.
    self._board = event_file_writer.EventsWriter(
      str(board / "events"), f".{time.time_ns()}"
    )

  def scalars(
    self, step: int, prefix: str, values: Mapping[str, float], note: str = ""
  ) -> None:
    """Writes named numbers.

    Args:
      step: finished steps.
      prefix: such as "train" or "eval".
      values: by name.
      note: for the log alone.

    Raises:
      OSError: the disk is full.
    """
    if not self._writes:
      return
    values = {name: float(value) for name, value in values.items()}
    line = {"step": step, "kind": prefix, **values}
    self._lines.write(json.dumps(line) + "\n")
    self._lines.flush()
    for name, value in values.items():
      self._event(step, summary.scalar(f"{prefix}/{name}", value))
    self._board.flush()
    about = f" ({note})" if note else ""
    logging.info(
      "%s step %d%s: %s", prefix, step, about, format_metrics(values)
    )

  def image(self, step: int, name: str, image) -> None:
    """Writes an image [H, W, 3], uint8 sRGB."""
    if not self._writes:
      return
    picture = summary.image(name, np.asarray(image), dataformats="HWC")
    self._event(step, picture)
    self._board.flush()

  def _event(self, step, content):
    event = event_pb2.Event(wall_time=time.time(), step=step, summary=content)
    self._board.write_event(event)

  def close(self) -> None:
    """Flushes and closes the files."""
    if self._writes:
      self._lines.close()
      self._board.close()


def _drop_lines(path, last_step):
  """Removes lines of later steps, and what a killed run wrote half."""
  if not path.exists():
    return
  kept = [
    line
    for line, values in _readable_lines(path)
    if last_step is None or values["step"] <= last_step
  ]
  text = "".join(line + "\n" for line in kept)
  if text != path.read_text():
    partial = path.with_suffix(".tmp")
    partial.write_text(text)
    partial.replace(path)


def _readable_lines(path) -> Iterator[tuple[str, dict]]:
  for line in path.read_text().splitlines():
    try:
      yield line, json.loads(line)
    except json.JSONDecodeError:
      continue


def last_scalars(workdir, prefix: str) -> dict[str, float]:
  """The newest numbers that a run wrote under a prefix, or nothing."""
  path = pathlib.Path(workdir) / _FILE
  lines = list(_readable_lines(path)) if path.exists() else []
  for _, values in reversed(lines):
    if values.pop("kind") == prefix:
      values.pop("step")
      return values
  return {}


def format_metrics(values: Mapping[str, float]) -> str:
  """One line of `name value` pairs."""
  return "  ".join(f"{name} {value:.4g}" for name, value in values.items())
