"""Videos as files that every browser plays: MP4, H.264."""

from __future__ import annotations

import fractions
import os

import numpy as np

# Constant quality of x264: 0 is lossless, 51 the worst.
_QUALITY = "20"


class VideoFile:
  """Writes frame after frame; a context manager."""

  def __init__(self, path: str | os.PathLike, *, rate: float):
    """Opens the file.

    Args:
      path: ends in .mp4.
      rate: frames a second.

    Raises:
      ImportError: PyAV is not installed.
      OSError: the file cannot be written.
    """
    try:
      import av
    except ImportError:
      raise ImportError(
        f"{path}: videos are written by PyAV: pip install 'facerec_jax[video]'"
      ) from None
    self._library = av
    self._container = av.open(os.fspath(path), "w", format="mp4")
    self._rate = fractions.Fraction(rate).limit_denominator(1001)
    self._stream = None

  def add(self, frame: np.ndarray) -> None:
    """Adds a frame.

    Args:
      frame: [H, W, 3] uint8 sRGB, of one size; an odd side loses a pixel, which
        H.264 cannot hold.
    """
    height, width = (side - side % 2 for side in frame.shape[:2])
    if self._stream is None:
      self._stream = self._container.add_stream(
        "libx264", rate=self._rate, options={"crf": _QUALITY}
      )
      self._stream.width, self._stream.height = width, height
      self._stream.pix_fmt = "yuv420p"
    picture = self._library.VideoFrame.from_ndarray(
      np.ascontiguousarray(frame[:height, :width]), format="rgb24"
    )
    self._container.mux(self._stream.encode(picture))

  def close(self) -> None:
    """Ends the file."""
    if self._stream is not None:
      self._container.mux(self._stream.encode(None))
    self._container.close()

  def __enter__(self):
    return self

  def __exit__(self, *_):
    self.close()
