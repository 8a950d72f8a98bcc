"""Prepared photographs as TFDS data sets, without TensorFlow.

TFDS needs no TensorFlow as long as files are array records, images are handed
over as encoded bytes, and reading goes through a data source. A data set lies
in `FOLDER/data_sets/FINGERPRINT/prepared_photos/VERSION`; the fingerprint names
settings, photographs and labels. `FOLDER/photos.json` names the newest one and
says what became of every photograph.
"""

from __future__ import annotations

from collections.abc import Sequence
import contextlib
import io
import json
import os
import pathlib
from typing import NamedTuple

import cv2
import numpy as np
import tensorflow_datasets as tfds

from facerec_jax.face import landmarks as landmark_points
from facerec_jax.photos import alignment
from facerec_jax.photos import prepared
from facerec_jax.photos import preparing
from facerec_jax.photos import reading

SUMMARY = "photos.json"
_FOLDER = "data_sets"
_SPLIT = "train"


class PreparedPhotos(tfds.core.GeneratorBasedBuilder):
  """The builder: prepared photographs of any folder, in the order given."""

  VERSION = tfds.core.Version("1.0.0")

  def __init__(
    self,
    outcomes: Sequence[preparing.Outcome],
    settings: prepared.Settings,
    **options,
  ):
    """Describes a data set; `download_and_prepare` writes it.

    Args:
      outcomes: of photographs that could be prepared.
      settings: of the preparation.
      **options: of `tfds.core.GeneratorBasedBuilder`, such as `data_dir`.
    """
    self._outcomes = outcomes
    self._settings = settings
    super().__init__(file_format="array_record", **options)

  def _info(self) -> tfds.core.DatasetInfo:
    features, size = tfds.features, self._settings.image_size
    labels = sorted({outcome.source.label for outcome in self._outcomes})
    points = (landmark_points.NUM_LANDMARKS, 2)
    return tfds.core.DatasetInfo(
      builder=self,
      description="Faces of photographs: aligned crops, masks, landmarks.",
      # In the order of their names, so that index i stays the same photograph.
      disable_shuffling=True,
      features=features.FeaturesDict(
        {
          "image": features.Image(shape=(size, size, 3), encoding_format="png"),
          "mask": features.Image(shape=(size, size, 1), encoding_format="png"),
          "landmarks": features.Tensor(shape=points, dtype=np.float32),
          "square": features.Tensor(shape=(3,), dtype=np.float32),
          "box": features.Tensor(shape=(4,), dtype=np.float32),
          "score": np.float32,
          "detector": features.Text(),
          "num_faces": np.int64,
          "label": features.ClassLabel(names=labels),
          "person": features.Text(),
          "file": features.Text(),
        }
      ),
    )

  def _split_generators(self, dl_manager):
    del dl_manager
    return {_SPLIT: self._generate_examples()}

  def _generate_examples(self):
    for index, outcome in enumerate(self._outcomes):
      photo = prepared.load(outcome.file)
      yield (
        index,
        {
          **vars(photo),
          "label": outcome.source.label,
          "person": outcome.source.person,
          "file": outcome.source.name,
        },
      )


def fingerprint(
  outcomes: Sequence[preparing.Outcome], settings: prepared.Settings
) -> str:
  """Names a data set by its settings, photographs and labels."""
  facts = [
    f"{o.source.name} {o.source.label} {o.source.person} {o.digest}"
    for o in outcomes
  ]
  return prepared.combined_digest([settings.fingerprint(), *facts])


def write(
  folder: str | os.PathLike,
  outcomes: Sequence[preparing.Outcome],
  settings: prepared.Settings,
) -> pathlib.Path:
  """Writes the data set of prepared photographs, where it is not there yet.

  Args:
    folder: of data sets.
    outcomes: of `preparing.prepare_all`; one is done at least.
    settings: of the preparation.

  Returns:
    The folder of the data set.
  """
  done = [o for o in outcomes if o.status == preparing.DONE]
  data_dir = pathlib.Path(folder) / _FOLDER / fingerprint(done, settings)
  builder = PreparedPhotos(done, settings, data_dir=os.fspath(data_dir))
  # It prints sizes that it does not know, and a bar for each of its steps.
  tfds.disable_progress_bar()
  with contextlib.redirect_stdout(io.StringIO()):
    builder.download_and_prepare()
  return pathlib.Path(builder.data_path)


class PhotoBatch(NamedTuple):
  """Photographs in the frame that encoders see.

  Attributes:
    images: [B, S, S, 3] uint8 sRGB, not masked.
    masks: [B, S, S] bool.
    landmarks: [B, 68, 2] float32 px, NaN where unknown.
  """

  images: np.ndarray
  masks: np.ndarray
  landmarks: np.ndarray


class PhotoSet:
  """A written data set, read by index.

  Attributes:
    fingerprint: of settings and photographs.
    files: names of the photographs.
    labels: their classes.
    people: who they show.
  """

  def __init__(self, folder: str | os.PathLike, *, image_size: int):
    """Opens a data set.

    Args:
      folder: of `prepare_photos`, or of one data set in it.
      image_size: S, px; crops of another size are resampled.

    Raises:
      PhotoError: there is no data set.
    """
    self._size = image_size
    path = data_set_folder(folder)
    builder = tfds.builder_from_directory(path)
    encoded = tfds.decode.SkipDecoding()
    self._source = builder.as_data_source(
      _SPLIT, decoders={"image": encoded, "mask": encoded}
    )
    self.fingerprint = path.parent.parent.name
    names = builder.info.features["label"].names
    rows = [self._source[index] for index in range(len(self._source))]
    self.files = tuple(row["file"].decode() for row in rows)
    self.labels = tuple(names[row["label"]] for row in rows)
    self.people = tuple(row["person"].decode() for row in rows)

  def __len__(self) -> int:
    return len(self.files)

  def batch(self, indices: Sequence[int]) -> PhotoBatch:
    """Reads photographs by index."""
    rows = [self._one(self._source[int(index)]) for index in indices]
    return PhotoBatch(*map(np.stack, zip(*rows, strict=True)))

  def _one(self, row):
    pixels = _decode(row["image"], cv2.IMREAD_COLOR)[..., ::-1]
    mask = _decode(row["mask"], cv2.IMREAD_GRAYSCALE)
    points, stored = row["landmarks"].astype(np.float32), len(pixels)
    if stored != self._size:
      pixels, mask = (_resample(image, self._size) for image in (pixels, mask))
      points = points * np.float32(self._size / stored)
    return np.ascontiguousarray(pixels), mask > 127, points


def _resample(image, size):
  square = alignment.Square(np.full(2, len(image) / 2), float(len(image)))
  colors = image if image.ndim == 3 else np.repeat(image[..., None], 3, -1)
  resampled = np.round(alignment.crop(colors, square, size) * 255)
  resampled = resampled.astype(np.uint8)
  return resampled if image.ndim == 3 else resampled[..., 0]


def _decode(data, mode):
  return cv2.imdecode(np.frombuffer(data, np.uint8), mode)


def data_set_folder(folder: str | os.PathLike) -> pathlib.Path:
  """The newest data set of a folder of `prepare_photos`, or the folder itself.

  Raises:
    PhotoError: neither.
  """
  folder = pathlib.Path(folder)
  summary = folder / SUMMARY
  if summary.is_file():
    folder = folder / json.loads(summary.read_text("utf-8"))["data_set"]
  if not (folder / "dataset_info.json").is_file():
    raise reading.PhotoError(
      f"{folder}: no prepared photographs; make them with "
      "python -m facerec_jax.prepare_photos --input=FOLDER --output=DIR"
    )
  return folder
