"""Photographs of every kind that cameras, scanners and the web produce."""

import io
import struct
import zlib

import cv2
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
import numpy as np
from PIL import Image
from PIL import ImageCms
import pytest

from facerec_jax.photos import reading
from facerec_jax.photos.reading import PhotoError

HEIGHT, WIDTH = 48, 64
ORIENTATION = 0x0112
# From the TIFF specification: where the stored row 0 and column 0 belong in the
# upright image, so how an upright image is stored.
STORED = {
  1: lambda upright: upright,
  2: lambda upright: upright[:, ::-1],
  3: lambda upright: upright[::-1, ::-1],
  4: lambda upright: upright[::-1],
  5: lambda upright: upright.swapaxes(0, 1),
  6: lambda upright: np.rot90(upright),  # the camera was held upright
  7: lambda upright: upright[::-1, ::-1].swapaxes(0, 1),
  8: lambda upright: np.rot90(upright, -1),
}


def picture() -> np.ndarray:
  """A smooth [H, W, 3] picture without any symmetry."""
  row, column = np.mgrid[:HEIGHT, :WIDTH]
  channels = (column * 3 + 40, row * 4 + 20, 200 - row - column)
  return np.stack(channels, -1).astype(np.uint8)


def saved(path, image, **options):
  Image.fromarray(image).save(path, **options)
  return path


def differ(image, expected) -> int:
  assert image.dtype == np.uint8
  assert image.shape == expected.shape
  return np.abs(image.astype(int) - expected).max()


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("extension", ["png", "tif", "jpg", "webp"])
def test_every_exif_orientation_is_shown_upright(
  tmp_path, extension, orientation
):
  exif = Image.Exif()
  exif[ORIENTATION] = orientation
  stored = np.ascontiguousarray(STORED[orientation](picture()))
  options = {"jpg": {"quality": 98}, "webp": {"lossless": True}}
  path = saved(
    tmp_path / f"photo.{extension}",
    stored,
    exif=exif,
    **options.get(extension, {}),
  )
  tolerance = 12 if extension == "jpg" else 0
  assert differ(reading.read_photo(path), picture()) <= tolerance


@pytest.mark.parametrize("extension", ["png", "jpg", "tif", "bmp", "pgm"])
def test_grey_has_three_equal_channels(tmp_path, extension):
  grey = picture()[..., 0]
  photo = reading.read_photo(saved(tmp_path / f"grey.{extension}", grey))
  assert differ(photo, np.repeat(grey[..., None], 3, 2)) <= 2


def test_bilevel_is_black_and_white(tmp_path):
  bits = picture()[..., 0] > 120
  photo = reading.read_photo(saved(tmp_path / "scan.png", bits))
  assert differ(photo, np.repeat(bits[..., None] * 255, 3, 2)) == 0


@pytest.mark.parametrize("alpha", [0, 100, 255])
@pytest.mark.parametrize("extension", ["png", "tif", "webp"])
def test_transparency_is_laid_over_white(tmp_path, extension, alpha):
  image = np.dstack([picture(), np.full((HEIGHT, WIDTH), alpha, np.uint8)])
  options = {"lossless": True, "exact": True} if extension == "webp" else {}
  path = saved(tmp_path / f"cutout.{extension}", image, **options)
  expected = picture() * (alpha / 255) + 255 * (1 - alpha / 255)
  assert differ(reading.read_photo(path), expected) <= 1


def test_transparent_grey_is_laid_over_white(tmp_path):
  grey = Image.fromarray(picture()[..., 0])
  grey.putalpha(0)
  grey.save(tmp_path / "cutout.png")
  assert reading.read_photo(tmp_path / "cutout.png").min() == 255


@pytest.mark.parametrize("extension", ["png", "gif", "tif"])
def test_palette(tmp_path, extension):
  image = Image.fromarray(picture()).quantize(8)
  image.save(tmp_path / f"drawing.{extension}")
  photo = reading.read_photo(tmp_path / f"drawing.{extension}")
  assert differ(photo, np.asarray(image.convert("RGB"))) == 0


def test_transparent_palette_colour_is_white(tmp_path):
  image = Image.fromarray(picture()).quantize(8)
  image.save(tmp_path / "drawing.png", transparency=3)
  photo = reading.read_photo(tmp_path / "drawing.png")
  assert (photo[np.asarray(image) == 3] == 255).all()


def test_cmyk_tiff_and_adobe_inverted_jpeg(tmp_path):
  inks = Image.fromarray(picture()).convert("CMYK")
  inks.save(tmp_path / "print.tif")
  inks.save(tmp_path / "print.jpg", quality=98)
  # The inverted storage that Photoshop made a standard, and its marker.
  assert b"Adobe" in (tmp_path / "print.jpg").read_bytes()[:200]
  assert differ(reading.read_photo(tmp_path / "print.tif"), picture()) <= 1
  assert differ(reading.read_photo(tmp_path / "print.jpg"), picture()) <= 12


@pytest.mark.parametrize("extension", ["png", "tif"])
@pytest.mark.parametrize("channels", [1, 3])
def test_16_bits_keep_their_brightness(tmp_path, extension, channels):
  image = picture()[..., :channels]
  path = tmp_path / f"scan.{extension}"
  assert cv2.imwrite(str(path), image[..., ::-1].astype(np.uint16) * 257)
  expected = image if channels == 3 else np.repeat(image, 3, 2)
  assert differ(reading.read_photo(path), expected) <= 1


def test_16_bit_pgm(tmp_path):
  grey = picture()[..., :1]
  header = f"P5 {WIDTH} {HEIGHT} 65535\n".encode()
  path = tmp_path / "scan.pgm"
  path.write_bytes(header + (grey.astype(">u2") * 257).tobytes())
  assert differ(reading.read_photo(path), np.repeat(grey, 3, 2)) == 0


def test_floating_point_pixels_are_refused(tmp_path):
  path = saved(tmp_path / "hdr.tif", picture()[..., 0].astype(np.float32))
  with pytest.raises(PhotoError, match="floating-point pixels"):
    reading.read_photo(path)


def srgb_profile() -> bytes:
  return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def test_colour_profile_is_converted_to_srgb(tmp_path):
  # sRGB with the primaries red and green exchanged.
  profile = srgb_profile().replace(b"rXYZ", b"????").replace(b"gXYZ", b"rXYZ")
  profile = profile.replace(b"????", b"gXYZ")
  path = saved(tmp_path / "wide.png", picture(), icc_profile=profile)
  photo = reading.read_photo(path)
  assert differ(photo, picture()[..., [1, 0, 2]]) <= 2


@pytest.mark.parametrize("profile", [b"no profile", srgb_profile()])
def test_useless_and_plain_profiles_change_nothing(tmp_path, profile):
  path = saved(tmp_path / "photo.png", picture(), icc_profile=profile)
  assert differ(reading.read_photo(path), picture()) <= 1


def test_profile_of_transparent_photo_is_applied_too(tmp_path):
  image = np.dstack([picture(), np.full((HEIGHT, WIDTH), 255, np.uint8)])
  path = saved(tmp_path / "photo.png", image, icc_profile=srgb_profile())
  assert differ(reading.read_photo(path), picture()) <= 1


def test_first_frame_of_an_animation(tmp_path):
  frames = [Image.fromarray(np.full((48, 48), v, np.uint8)) for v in (9, 200)]
  path = tmp_path / "wave.gif"
  frames[0].save(path, save_all=True, append_images=frames[1:])
  assert (reading.read_photo(path) == 9).all()


def png_header(width: int, height: int) -> bytes:
  """A PNG that declares a size and holds no pixels."""
  body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
  body = struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))
  end = b"IDAT" + zlib.compress(b"")
  end = (
    struct.pack(">I", len(end) - 4) + end + struct.pack(">I", zlib.crc32(end))
  )
  return b"\x89PNG\r\n\x1a\n" + body + end


@pytest.mark.parametrize(
  ("size", "message"),
  [
    ((12_000, 10_000), "12000 x 10000 pixels are more than the limit of 100"),
    ((60_000, 60_000), "more pixels than the limit of 100 megapixels; shrink"),
    ((39, 500), "39 x 500 pixels are too few to find a face; each side must"),
  ],
)
def test_size_is_judged_before_decoding(tmp_path, size, message):
  path = tmp_path / "bomb.png"
  path.write_bytes(png_header(*size))  # decoding it would fail otherwise
  with pytest.raises(PhotoError, match=message):
    reading.read_photo(path)


def test_size_limit_is_inclusive(tmp_path):
  path = saved(tmp_path / "photo.png", picture())
  assert reading.read_photo(path, max_pixels=HEIGHT * WIDTH).size
  with pytest.raises(PhotoError, match="64 x 48 pixels are more than the limi"):
    reading.read_photo(path, max_pixels=HEIGHT * WIDTH - 1)


def test_missing_empty_and_foreign_files(tmp_path):
  (tmp_path / "empty.jpg").touch()
  (tmp_path / "text.jpg").write_text("not a photograph")
  (tmp_path / "drawing.jpg").write_text(
    "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n%%EndComments\n"
  )
  for name, message in (
    ("none.jpg", r"none\.jpg: no such file"),
    ("", "got a folder, wanted an image file"),
    ("empty.jpg", r"empty\.jpg: the file is empty"),
    ("text.jpg", "not an image of a known format.*export it as JPEG or PNG"),
    ("drawing.jpg", "not an image of a known format"),  # and no Ghostscript
  ):
    with pytest.raises(PhotoError, match=message):
      reading.read_photo(tmp_path / name)


@pytest.mark.parametrize("extension", ["jpg", "png", "webp"])
def test_truncated_file(tmp_path, extension):
  path = saved(tmp_path / f"photo.{extension}", picture())
  path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
  with pytest.raises(PhotoError) as caught:
    reading.read_photo(path)
  assert "\n" not in str(caught.value)
  assert str(caught.value).startswith(f"{path}: ")


def encoded() -> dict[str, bytes]:
  exif = Image.Exif()
  exif[ORIENTATION] = 6
  files = {}
  for extension in ("JPEG", "PNG", "TIFF", "GIF", "WEBP", "BMP"):
    buffer = io.BytesIO()
    Image.fromarray(picture()).save(buffer, format=extension, exif=exif)
    files[extension] = buffer.getvalue()
  return files


FILES = encoded()


@settings(max_examples=150, deadline=None)
@given(
  kind=st.sampled_from(sorted(FILES)),
  changes=st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=5
  ),
  kept=st.floats(0.1, 1),
)
def test_damaged_files_are_photos_or_photo_errors(
  tmp_path_factory, kind, changes, kept
):
  damaged = bytearray(FILES[kind])
  for place, value in changes:
    # Squared: headers are hit more often than pixels.
    damaged[int(place**2 * (len(damaged) - 1))] = value
  path = tmp_path_factory.getbasetemp() / "damaged"
  path.write_bytes(bytes(damaged[: int(kept * len(damaged)) + 1]))
  try:
    reading.check_photo(reading.read_photo(path))
  except PhotoError as error:
    assert "\n" not in str(error)


def test_photo_can_be_written_to(tmp_path):
  photo = reading.read_photo(saved(tmp_path / "photo.png", picture()))
  photo[0, 0] = 0


def test_list_photos_of_folder(tmp_path):
  names = ["b.PNG", "a.jpeg", "c.tif", "notes.txt", ".hidden.jpg", "noext"]
  for name in names:
    (tmp_path / name).touch()
  (tmp_path / "folder.jpg").mkdir()
  found = reading.list_photos(tmp_path)
  assert [path.name for path in found] == ["a.jpeg", "b.PNG", "c.tif"]


def test_list_photos_of_file_ignores_the_extension(tmp_path):
  (tmp_path / "upload").write_bytes(b"x")
  assert reading.list_photos(tmp_path / "upload") == [tmp_path / "upload"]


def test_list_photos_explains_what_is_missing(tmp_path):
  with pytest.raises(PhotoError, match=r"no photograph in this folder.*\.jpg"):
    reading.list_photos(tmp_path)
  with pytest.raises(PhotoError, match="no such file"):
    reading.list_photos(tmp_path / "none")


@pytest.mark.parametrize(
  "photo",
  [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((4, 4, 4), "B")],
)
def test_check_photo(photo):
  with pytest.raises(ValueError, match=r"\[H, W, 3\] uint8, got \[4, 4"):
    reading.check_photo(photo)
