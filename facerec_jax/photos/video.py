"""Frames of a video file or of a camera."""

from __future__ import annotations

from collections.abc import Iterator
import math
import os
import pathlib
import time
from typing import NamedTuple

import cv2
import numpy as np

from facerec_jax.photos import reading

WEBCAM = "webcam:"
# Frames a second where a file does not say.
_USUAL_RATE = 25.0


class VideoError(ValueError):
  """A video cannot be used; the message names it and the reason."""


class Frame(NamedTuple):
  """A picture of a video.

  Attributes:
    time: seconds since the first.
    image: [H, W, 3] uint8 sRGB, upright.
  """

  time: float
  image: np.ndarray


class Video:
  """An open video; a context manager.

  Attributes:
    rate: frames a second.
  """

  def __init__(self, source: str | os.PathLike):
    """Opens a video.

    Args:
      source: path of a file, or "webcam:0" (1, ...) for a camera.

    Raises:
      VideoError: nothing is there, or nothing that can be decoded.
    """
    self._name = os.fspath(source)
    self._live = self._name.startswith(WEBCAM)
    # FFmpeg would tell its own story on the terminal.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    self._capture = cv2.VideoCapture(self._target())
    rate = self._capture.get(cv2.CAP_PROP_FPS)
    usable = math.isfinite(rate) and 1.0 <= rate <= 1000.0
    self.rate = rate if usable else _USUAL_RATE
    found, self._first = self._capture.read()
    if not found:
      self.close()
      raise VideoError(self._refusal())

  def _target(self):
    if self._live:
      number = self._name.removeprefix(WEBCAM)
      if not number.isdecimal():
        raise VideoError(
          f"{self._name}: got no camera number, such as webcam:0"
        )
      return int(number)
    path = pathlib.Path(self._name)
    if path.is_dir():
      raise VideoError(f"{path}: got a folder, wanted a video file")
    if not path.exists():
      raise VideoError(f"{path}: no such file")
    if path.stat().st_size == 0:
      raise VideoError(f"{path}: the file is empty")
    return self._name

  def _refusal(self):
    if self._live:
      return f"{self._name}: the camera gives no picture"
    return (
      f"{self._name}: no frame can be decoded; damaged, or not a video that "
      "FFmpeg reads: convert it to MP4 (H.264)"
    )

  def frames(self) -> Iterator[Frame]:
    """The frames, once; those of a camera never end.

    Raises:
      VideoError: frames too small to find a face in.
    """
    image, start, index = self._first, time.monotonic(), 0
    if min(image.shape[:2]) < reading.MIN_SIDE:
      raise VideoError(
        f"{self._name}: {image.shape[1]} x {image.shape[0]} pixels are too few "
        f"to find a face; each side must have {reading.MIN_SIDE} at least"
      )
    found = True
    while found:
      seconds = index / self.rate
      if self._live:
        seconds = time.monotonic() - start
      yield Frame(seconds, cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
      found, image = self._capture.read()
      index += 1

  def close(self) -> None:
    """Lets go of the file or camera."""
    self._capture.release()

  def __enter__(self):
    return self

  def __exit__(self, *_):
    self.close()
