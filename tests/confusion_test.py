"""The table holds what was counted; the picture can be looked at."""

import csv

import numpy as np
from PIL import Image
import pytest

from facerec_jax.recognition import agreement
from facerec_jax.results import confusion

CLASSES = ("calm", "wild", "never")
COUNTS = np.array([[8, 2, 0], [1, 3, 0], [0, 0, 0]])


def test_summary_counts_and_skips_empty_classes():
  summary = confusion.summary(COUNTS, CLASSES)
  assert summary["count"] == 14
  assert summary["accuracy"] == pytest.approx(11 / 14)
  assert summary["accuracy_interval"] == agreement.wilson_interval(11, 14)
  assert summary["mean_recall"] == pytest.approx((0.8 + 0.75) / 2)
  assert summary["recall"]["wild"]["interval"] == agreement.wilson_interval(
    3, 4
  )
  assert summary["recall"]["never"]["share"] is None
  empty = confusion.summary(0 * COUNTS, CLASSES)
  assert empty["accuracy"] is None and empty["mean_recall"] is None


def test_files(tmp_path):
  picture, table = confusion.write(
    tmp_path / "new" / "faces", COUNTS, CLASSES, title="faces"
  )
  with table.open() as stream:
    rows = list(csv.DictReader(stream))
  assert [row["true"] for row in rows] == list(CLASSES)
  assert [rows[0][name] for name in CLASSES] == ["8", "2", "0"]
  assert rows[0]["count"] == "10" and rows[0]["wild %"] == "20.0"
  assert rows[1]["right %"] == "75.0" and rows[2]["calm %"] == "0.0"
  image = np.asarray(Image.open(picture).convert("L"))
  assert min(image.shape) > 300
  assert image.std() > 20
