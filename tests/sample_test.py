import json
import pathlib

import commands
import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image
import pytest
import tiny_experiment

from facerec_jax import experiment as experiments
from facerec_jax import sample
from facerec_jax import scenes
from facerec_jax.face import code_vector
from facerec_jax.face import landmarks

_ROOT = pathlib.Path(__file__).parent.parent
# More than one device call.
_COUNT = 35


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
  folder = tmp_path_factory.mktemp("model")
  return experiments.build(tiny_experiment.config(folder))


@pytest.fixture(scope="module")
def folder(experiment, tmp_path_factory):
  folder = tmp_path_factory.mktemp("data") / "new"
  sample.write_data_set(experiment, folder, count=_COUNT)
  return folder


def test_files(folder):
  names = {path.name for path in folder.iterdir()}
  images = {f"image_{index:06d}.png" for index in range(_COUNT)}
  assert names == images | {"codes.npz", "landmarks.json", "meta.json"}
  sizes = {Image.open(folder / name).size for name in images}
  modes = {Image.open(folder / name).mode for name in images}
  assert sizes == {(32, 32)} and modes == {"RGB"}


def test_images_and_labels_are_those_of_training(experiment, folder):
  scene = scenes.training_scene(experiment)
  indices = jnp.arange(_COUNT)
  examples = jax.jit(experiment.make_batch)(
    scene.seed_key, 0, indices, scene.model, scene.bank
  )
  codes = np.load(folder / "codes.npz")
  np.testing.assert_allclose(codes["flat"], examples.code, atol=1e-5)
  points = json.loads((folder / "landmarks.json").read_text())
  assert list(points) == [f"image_{index:06d}.png" for index in range(_COUNT)]
  np.testing.assert_allclose(
    list(points.values()), examples.landmarks, atol=0.01
  )
  for index in (0, 31, 32, 34):
    stored = np.asarray(Image.open(folder / f"image_{index:06d}.png")) / 255
    close = np.abs(stored - examples.image[index]).max(axis=-1) < 0.003
    # Another batch size rounds otherwise, which may move an outline.
    assert close.mean() > 0.98


def test_groups_are_the_parts_of_the_flat_code(experiment, folder):
  codes = np.load(folder / "codes.npz")
  assert set(codes) == {"flat", *code_vector.GROUPS}
  assert codes["illumination"].shape == (_COUNT, 9, 3)
  assert len(np.unique(codes["flat"], axis=0)) > _COUNT / 2
  layout = json.loads((folder / "meta.json").read_text())["layout"]
  for name in code_vector.GROUPS:
    part = codes["flat"][:, slice(*layout[name])]
    np.testing.assert_array_equal(codes[name].reshape(_COUNT, -1), part)


def test_faces_are_where_the_landmarks_say(folder):
  points = np.array(
    list(json.loads((folder / "landmarks.json").read_text()).values())
  )
  center, side = landmarks.framing(points)
  assert np.abs(center / 32 - 0.5).max() < 0.1
  assert (side / 32).min() > 0.75 and (side / 32).max() < 1.3


def test_meta_says_how_to_read_the_rest(experiment, folder):
  meta = json.loads((folder / "meta.json").read_text())
  assert meta["count"] == _COUNT and meta["image_size"] == 32
  assert meta["seed"] == 0 and meta["morphable_model"] == "fake"
  assert meta["config"]["bank_size"] == 64
  assert set(meta["layout"]) <= set(meta["units"])
  assert set(meta["versions"]) == {"facerec_jax", "jax", "numpy"}
  assert meta["camera"]["center"] == [16.0, 16.0]


def test_a_folder_with_content_is_left_alone(tmp_path):
  (tmp_path / "precious.txt").write_text("mine")
  result = commands.run(
    "sample",
    *("--count=1", "--config=configs/resnet.py:quick"),
    f"--output={tmp_path}",
    cwd=_ROOT,
  )
  assert result.returncode == 2
  assert result.stderr.splitlines()[-1] == (
    f"error: --output={tmp_path} exists and is not an empty folder; name "
    "another one"
  )
  assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]
