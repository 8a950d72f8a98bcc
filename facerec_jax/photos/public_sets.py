"""Public data sets of TFDS as folders of photographs.

TFDS needs TensorFlow (the extra `tf`) to download and convert most of its own
data sets, but not to read them afterwards. Their images are written out as the
files that they once were, and prepared like any other folder.
"""

from __future__ import annotations

import os
import pathlib

from absl import logging
import numpy as np
import tensorflow_datasets as tfds

from facerec_jax.photos import folders
from facerec_jax.photos import reading

PREFIX = "tfds:"
_ENDINGS = {b"\xff\xd8": ".jpg", b"\x89P": ".png"}
# Written last: a folder without it is incomplete.
_MARK = ".complete"


def export(
  name: str,
  folder: str | os.PathLike,
  *,
  data_dir: str | os.PathLike | None = None,
) -> pathlib.Path:
  """Writes the images of a data set into folders of their labels.

  Args:
    name: of TFDS, such as "lfw", "celeb_a" or "celeb_a:2.*.*"; its examples
      have an `image`, and perhaps a `label`.
    folder: where a folder of the data set's name is made; one that is complete
      is left as it is.
    data_dir: where TFDS keeps its data sets; None for its own default.

  Returns:
    The folder of the photographs.

  Raises:
    PhotoError: there is no such data set, or it cannot be converted here.
  """
  folder = pathlib.Path(folder) / name.replace(":", "_").replace("/", "_")
  if (folder / _MARK).exists():
    return folder
  builder = _builder(name, data_dir)
  if "image" not in builder.info.features:
    raise reading.PhotoError(
      f"{PREFIX}{name}: its examples have no image, but "
      f"{', '.join(builder.info.features)}"
    )
  for split in builder.info.splits:
    source = builder.as_data_source(
      split, decoders={"image": tfds.decode.SkipDecoding()}
    )
    for index in range(len(source)):
      _write(folder, split, index, source[index], builder.info)
    logging.info("%s: %d images of %s", name, len(source), split)
  (folder / _MARK).touch()
  return folder


def _builder(name, data_dir):
  try:
    builder = tfds.builder(
      name,
      data_dir=None if data_dir is None else os.fspath(data_dir),
      file_format="array_record",
    )
    builder.download_and_prepare()
  except (ImportError, tfds.core.DatasetNotFoundError, OSError) as error:
    reason = str(error).strip().splitlines()[0]
    raise reading.PhotoError(
      f"{PREFIX}{name} cannot be made here ({reason}); preparing it needs the "
      "network and pip install 'facerec_jax[tf]'"
    ) from error
  return builder


def _write(folder, split, index, row, info):
  data = row["image"]
  ending = _ENDINGS.get(data[:2], ".img")
  place = folder / _label(row, info)
  place.mkdir(parents=True, exist_ok=True)
  (place / f"{split}_{index:07d}{ending}").write_bytes(data)


def _label(row, info):
  label = row.get("label", folders.UNLABELLED)
  if isinstance(label, bytes):
    label = label.decode()
  if isinstance(label, int | np.integer):
    label = info.features["label"].int2str(int(label))
  # A label is a name, never a way out of the folder.
  return label.replace("/", "_").replace("..", "_") or folders.UNLABELLED
