"""Pictures: conversion, files, overlay, contact sheet."""

import numpy as np
from PIL import Image
import pytest

from facerec_jax.results import figures


def test_bytes_round_to_nearest_and_clip():
  image = np.array([[[-1.0, 0.0, 0.5], [1.0, 2.0, 0.1]]])
  wanted = [[[0, 0, 128], [255, 255, 26]]]
  np.testing.assert_array_equal(figures.to_bytes(image), wanted)


def test_saved_image_is_read_back(tmp_path):
  image = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
  for content in (image, image / 255, (image / 255).astype(np.float32)):
    path = figures.save_image(tmp_path / "new" / "image.png", content)
    np.testing.assert_array_equal(np.asarray(Image.open(path)), image)


@pytest.mark.parametrize("shape", ((4, 4, 4), (4,), (1, 4, 4, 3)))
def test_other_shapes_are_errors(shape):
  with pytest.raises(ValueError, match=r"wanted \(H, W, 3\)"):
    figures.to_bytes(np.zeros(shape))


def test_nan_is_an_error():
  with pytest.raises(ValueError, match="NaN"):
    figures.to_bytes(np.full((2, 2, 3), np.nan))


def test_overlay_limits_and_mean():
  photo = np.full((1, 3, 3), 0.2)
  rendering = np.full((1, 3, 3), 0.8)
  mixed = figures.overlay(photo, rendering, np.array([[0.0, 1.0, 0.5]]))
  np.testing.assert_array_equal(mixed[0, :, 0], [51, 204, 128])
  masked = figures.overlay(photo, rendering, np.array([[False, True, False]]))
  np.testing.assert_array_equal(masked[0, :, 0], [51, 204, 51])


def test_contact_sheet_holds_every_image_unscaled():
  # Colours, so that no grey of the antialiased text is one of them.
  shades = [(20 + 40 * i, 0, 200) for i in range(5)]
  images = [np.full((30, 20, 3), shade, np.uint8) for shade in shades]
  sheet = figures.contact_sheet(
    [images[:3], images[3:]],
    column_labels=("one", "two", "three"),
    row_labels=("first", "second"),
  )
  for shade in shades:
    rows, columns = np.nonzero((sheet == shade).all(-1))
    assert np.ptp(rows) + 1 == 30 and np.ptp(columns) + 1 == 20
    assert len(rows) == 600
  first = np.argwhere((sheet == shades[0]).all(-1)).min(0)
  last = np.argwhere((sheet == shades[4]).all(-1)).min(0)
  assert (last > first).all()


def test_contact_sheet_errors():
  image = np.zeros((4, 4, 3))
  with pytest.raises(ValueError, match=r"\[\(4, 4\), \(5, 5\)\]"):
    figures.contact_sheet([[image, np.zeros((5, 5, 3))]])
  with pytest.raises(ValueError, match="wanted one size"):
    figures.contact_sheet([])
  with pytest.raises(ValueError, match="2 row labels for 1 rows"):
    figures.contact_sheet([[image]], row_labels=("a", "b"))
  with pytest.raises(ValueError, match="2 column labels for 1 columns"):
    figures.contact_sheet([[image]], column_labels=("a", "b"))
