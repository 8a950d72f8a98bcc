"""Data sets of TFDS become folders of photographs."""

import numpy as np
import pytest
import tensorflow_datasets as tfds

from facerec_jax.photos import folders
from facerec_jax.photos import prepared
from facerec_jax.photos import public_sets
from facerec_jax.photos import reading


class TinyFaces(tfds.core.GeneratorBasedBuilder):
  """Stands for a public data set with names as labels."""

  VERSION = tfds.core.Version("1.0.0")

  def _info(self):
    return tfds.core.DatasetInfo(
      builder=self,
      description="",
      features=tfds.features.FeaturesDict(
        {
          "image": tfds.features.Image(
            shape=(48, 48, 3), encoding_format="png"
          ),
          "label": tfds.features.Text(),
        }
      ),
    )

  def _split_generators(self, dl_manager):
    del dl_manager
    return {"train": self._generate_examples()}

  def _generate_examples(self):
    for index, label in enumerate(("Ann", "Ann", "../Bob")):
      image = np.full((48, 48, 3), index / 4)
      yield index, {"image": prepared.encode_png(image), "label": label}


def test_images_by_label(tmp_path):
  tfds.disable_progress_bar()
  folder = public_sets.export(
    "tiny_faces", tmp_path / "out", data_dir=tmp_path / "tfds"
  )
  found = folders.find(folder)
  assert sorted(source.label for source in found) == ["Ann", "Ann", "__Bob"]
  levels = {int(reading.read_photo(s.path)[0, 0, 0]) for s in found}
  assert levels == {0, 64, 128}
  # Complete: not even asked for again.
  assert public_sets.export("tiny_faces", tmp_path / "out") == folder


def test_unknown_data_set(tmp_path, monkeypatch):
  def nothing(name, **options):
    # The real one first asks the network, for a long time.
    raise tfds.core.DatasetNotFoundError(f"Dataset {name} not found\nList: ...")

  monkeypatch.setattr(tfds, "builder", nothing)
  with pytest.raises(
    reading.PhotoError,
    match=r"tfds:no_such_set cannot be made here \(Dataset no_such_set not "
    r"found\); preparing it needs the network and pip install",
  ):
    public_sets.export("no_such_set", tmp_path)
