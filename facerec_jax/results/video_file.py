"""Videos as files that every browser plays: MP4, H.264."""

from __future__ import annotations

import os

import numpy as np


class VideoFile:
  """Writes frame after frame; a context manager."""

  def __init__(self, path: str | os.PathLike, *, rate: float):
    """Opens the file with the first frame.

    Args:
      path: ends in .mp4.
      rate: frames a second.

    Raises:
      ImportError: imageio-ffmpeg is not installed.
    """
    try:
      import imageio_ffmpeg
    except ImportError:
      raise ImportError(
        f"{path}: videos are written by imageio-ffmpeg: pip install "
        "'facerec_jax[video]'"
      ) from None
    self._library = imageio_ffmpeg
    self._path = os.fspath(path)
    self._rate = rate
    self._writer = None

  def add(self, frame: np.ndarray) -> None:
    """Adds a frame.

    Args:
      frame: [H, W, 3] uint8 sRGB, of one size; an odd side loses a pixel, which
        H.264 cannot hold.
    """
    height, width = (side - side % 2 for side in frame.shape[:2])
    if self._writer is None:
      self._writer = self._library.write_frames(
        self._path,
        (width, height),
        fps=self._rate,
        codec="libx264",
        macro_block_size=2,
        quality=7,
        ffmpeg_log_level="error",
      )
      self._writer.send(None)
    self._writer.send(np.ascontiguousarray(frame[:height, :width]))

  def close(self) -> None:
    """Ends the file; without a frame there is none."""
    if self._writer is not None:
      self._writer.close()
      self._writer = None

  def __enter__(self):
    return self

  def __exit__(self, *_):
    self.close()
