"""Photographs from files: upright, sRGB, 8 bits, whatever the file holds."""

from __future__ import annotations

import io
import os
import pathlib
import struct
import warnings
import zlib

import numpy as np
from PIL import Image
from PIL import ImageCms
from PIL import ImageOps
from PIL import UnidentifiedImageError

# Decoders that may run on a stranger's file. Pillow knows more, among them
# EPS, which starts Ghostscript.
FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "BMP", "GIF", "PPM")
EXTENSIONS = (
  *(".jpg", ".jpeg", ".png", ".tif", ".tiff"),
  *(".webp", ".bmp", ".gif", ".ppm", ".pgm"),
)
# 300 MB decoded; above the sensors of today's cameras.
MAX_PIXELS = 100_000_000
# dlib's detector sees faces of 80 pixels, in photographs that are enlarged
# twice at most.
MIN_SIDE = 40
# Everything that Pillow raises for files with damaged content.
_DAMAGED = (
  *(OSError, EOFError, SyntaxError, ValueError, TypeError, KeyError),
  *(IndexError, OverflowError, MemoryError, struct.error, zlib.error),
)


class PhotoError(ValueError):
  """A photograph cannot be used; the message names the file and the reason."""


def list_photos(path: str | os.PathLike) -> list[pathlib.Path]:
  """The photographs that a command line argument stands for.

  Args:
    path: a file, or a folder, whose image files (by extension; hidden files
      and folders inside are skipped) are meant.

  Returns:
    The file alone, or the folder's files sorted by name.

  Raises:
    PhotoError: nothing is there, or the folder holds no image file.
  """
  path = pathlib.Path(path)
  if not path.is_dir():
    _check_file(path)
    return [path]
  photos = sorted(
    file
    for file in path.iterdir()
    if file.suffix.lower() in EXTENSIONS
    and not file.name.startswith(".")
    and file.is_file()
  )
  if not photos:
    raise PhotoError(
      f"{path}: no photograph in this folder; looked for "
      f"{' '.join(EXTENSIONS)} (folders inside are not searched)"
    )
  return photos


def read_photo(
  path: str | os.PathLike, *, max_pixels: int = MAX_PIXELS
) -> np.ndarray:
  """Reads a photograph as every viewer shows it.

  The EXIF orientation is applied: all positions in this package are pixels of
  the UPRIGHT photograph, not of the rows as the file stores them. Colours are
  converted to sRGB where the file carries a colour profile; transparent pixels
  are laid over white; 16 bits become 8; of several frames the first is taken.

  Args:
    path: of the file; its content decides on the format, not its name.
    max_pixels: refuse larger images, before anything is decoded.

  Returns:
    [H, W, 3] uint8 sRGB.

  Raises:
    PhotoError: missing, empty, too large, too small, no image, or damaged.
  """
  path = pathlib.Path(path)
  _check_file(path)
  try:
    # Pillow warns of large images (max_pixels decides) and of metadata that it
    # skips (the image is whole): neither is for our user.
    with warnings.catch_warnings():
      warnings.simplefilter("ignore")
      return _decode(path, max_pixels)
  except PhotoError:
    raise
  except Image.DecompressionBombError as error:
    limit = min(max_pixels, 2 * Image.MAX_IMAGE_PIXELS) / 1e6
    raise PhotoError(
      f"{path}: more pixels than the limit of {limit:g} megapixels; shrink the "
      "photograph"
    ) from error
  except UnidentifiedImageError as error:
    raise PhotoError(
      f"{path}: not an image of a known format; got neither "
      f"{', '.join(FORMATS[:-1])} nor {FORMATS[-1]}: export it as JPEG or PNG"
    ) from error
  except _DAMAGED as error:
    raise PhotoError(
      f"{path}: the image cannot be decoded ({_first_line(error)}); export it "
      "again as JPEG or PNG"
    ) from error


def check_photo(photo: np.ndarray) -> None:
  """Raises a ValueError for arrays that are not [H, W, 3] uint8."""
  if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3:
    raise ValueError(
      f"a photo is [H, W, 3] uint8, got {list(photo.shape)} {photo.dtype}"
    )


def _decode(path: pathlib.Path, max_pixels: int) -> np.ndarray:
  with Image.open(path, formats=FORMATS) as image:
    _check_size(path, image.size, max_pixels)
    image.load()
    ImageOps.exif_transpose(image, in_place=True)
    return np.array(_to_srgb(image))


def _check_file(path: pathlib.Path) -> None:
  if path.is_dir():
    raise PhotoError(f"{path}: got a folder, wanted an image file")
  if not path.exists():
    raise PhotoError(f"{path}: no such file")
  if path.is_file() and path.stat().st_size == 0:
    raise PhotoError(f"{path}: the file is empty")


def _check_size(
  path: pathlib.Path, size: tuple[int, int], max_pixels: int
) -> None:
  width, height = size
  if width * height > max_pixels:
    raise PhotoError(
      f"{path}: {width} x {height} pixels are more than the limit of "
      f"{max_pixels / 1e6:g} megapixels; shrink the photograph"
    )
  if min(width, height) < MIN_SIDE:
    raise PhotoError(
      f"{path}: {width} x {height} pixels are too few to find a face; each "
      f"side must have {MIN_SIDE} at least"
    )


def _first_line(error: Exception) -> str:
  text = str(error).strip() or type(error).__name__
  return text.splitlines()[0]


def _to_srgb(image: Image.Image) -> Image.Image:
  """An image of any mode as RGB."""
  if image.mode == "F":
    raise ValueError("floating-point pixels have no agreed white")
  profile = image.info.get("icc_profile")
  if image.mode.startswith("I"):
    image = _from_16_bits(image)
  elif image.has_transparency_data:
    image = image.convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    image = Image.alpha_composite(white, image).convert("RGB")
  elif image.mode not in ("L", "RGB", "CMYK"):
    image = image.convert("RGB")
  if profile:
    image = _apply_profile(image, profile)
  return image.convert("RGB")


def _from_16_bits(image: Image.Image) -> Image.Image:
  """Grey of 16 bits, which Pillow would clip at 255, as grey of 8 bits."""
  grey = np.asarray(image).astype(np.int64)
  if grey.min() < 0 or grey.max() > 65535:
    raise ValueError("integer pixels of more than 16 bits")
  return Image.fromarray(((grey + 128) // 257).astype(np.uint8))


def _apply_profile(image: Image.Image, profile: bytes) -> Image.Image:
  """Colours of the file's ICC profile as sRGB; a useless profile is ignored."""
  try:
    return ImageCms.profileToProfile(
      image,
      ImageCms.ImageCmsProfile(io.BytesIO(profile)),
      ImageCms.createProfile("sRGB"),
      outputMode="RGB",
    )
  except (ImageCms.PyCMSError, OSError):
    return image
