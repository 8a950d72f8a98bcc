"""Moving pictures as files: GIF for pages, MP4 for players."""

from __future__ import annotations

from collections.abc import Sequence
import os

import numpy as np
from PIL import Image

from facerec_jax.results import video_file


def write_gif(
  path: str | os.PathLike, pictures: Sequence[np.ndarray], *, rate: float
) -> None:
  """Writes an endless animation.

  Args:
    path: of the file.
    pictures: [H, W, 3] uint8 each, of one size.
    rate: pictures a second; GIF knows hundredths of a second.
  """
  images = [Image.fromarray(picture) for picture in pictures]
  images[0].save(
    path,
    save_all=True,
    append_images=images[1:],
    duration=max(10 * round(100 / rate), 20),
    loop=0,
  )


def write_mp4(
  path: str | os.PathLike, pictures: Sequence[np.ndarray], *, rate: float
) -> None:
  """Writes a film, see `write_gif`.

  Raises:
    ImportError: PyAV is not installed.
  """
  with video_file.VideoFile(path, rate=rate) as film:
    for picture in pictures:
      film.add(picture)
