"""Tests of encoders in files, and of their export."""

import json
import os
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors
import safetensors.numpy
import tiny_experiment

from facerec_jax import encoder_files
from facerec_jax import experiment as experiments
from facerec_jax import export
from facerec_jax import scenes
from facerec_jax import trained_encoder
from facerec_jax.training import checkpoint
from facerec_jax.training import code_prior

_READ = """
import sys
import jax
from jax import export
import numpy as np

program = export.deserialize(open(sys.argv[1], "rb").read())
images = np.load(sys.argv[2])
np.save(sys.argv[3], program.call(images))
loaded = {name.split(".")[0] for name in sys.modules}
assert not {"flax", "facerec_jax"} & loaded
"""


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
  """An encoder with random weights, also in its head and statistics."""
  config = tiny_experiment.config(tmp_path_factory.mktemp("model"))
  experiment = experiments.build(config)
  scene = scenes.training_scene(experiment)
  state = scenes.initial_state(experiment, scene.space.mean, scene.space.std)
  rng = np.random.default_rng(0)

  def shake(leaf):
    noise = rng.uniform(0.9, 1.1, leaf.shape).astype(np.float32)
    return leaf * noise + 0.01 * noise

  state = state.replace(
    params=jax.tree.map(shake, state.params),
    batch_stats=jax.tree.map(shake, state.batch_stats),
  )
  return trained_encoder.TrainedEncoder(experiment, state)


@pytest.fixture(scope="module")
def images(encoder):
  shape = 3, encoder.image_size, encoder.image_size, 3
  return np.random.default_rng(1).uniform(size=shape).astype(np.float32)


def _save(encoder, path, **options):
  encoder_files.save(path, encoder.experiment, encoder.state, **options)
  return path


def test_float32_files_give_back_the_encoder(tmp_path, encoder, images):
  path = _save(encoder, tmp_path / "e.safetensors", dtype="float32")
  loaded = trained_encoder.load(path)
  assert loaded.experiment.config == encoder.experiment.config
  np.testing.assert_array_equal(loaded.predict(images), encoder.predict(images))


def test_half_precision_changes_codes_little(tmp_path, encoder, images):
  loaded = trained_encoder.load(_save(encoder, tmp_path / "e.safetensors"))
  ours, exact = loaded.predict(images), encoder.predict(images)
  scale = np.abs(exact - encoder.state.code_mean).max()
  assert 0 < np.abs(ours - exact).max() < 5e-3 * scale


def test_errors_are_measured_once_and_kept(tmp_path, encoder, monkeypatch):
  """An encoder that answers the mean errs by the spread of the faces."""
  monkeypatch.setattr(trained_encoder, "_ERROR_FACES", 512)
  experiment, state = encoder.experiment, encoder.state
  deaf = state.replace(params=jax.tree.map(jnp.zeros_like, state.params))
  deaf = trained_encoder.TrainedEncoder(experiment, deaf)
  measured = encoder_files.Measured(
    deaf.error_covariance, deaf.prior, deaf.mirror
  )
  covariance = np.asarray(measured.covariance, np.float64)
  part = code_prior.read_part(experiment.layout)
  ratio = np.sqrt(np.diag(covariance)) / state.code_std[part]
  # Of draws from rows of their own; columns that rarely move vary most.
  assert abs(np.median(ratio) - 1) < 0.08 and (ratio > 0).all()
  assert np.linalg.eigvalsh(covariance).min() > 0
  # Modes are drawn independently.
  size = experiment.layout.identity
  correlation = covariance / np.sqrt(np.outer(*2 * [np.diag(covariance)]))
  assert np.abs(correlation[:size, :size] - np.eye(size)).max() < 0.2
  path = tmp_path / "e.safetensors"
  assert trained_encoder.load(_save(encoder, path)).measured is None
  loaded = trained_encoder.load(_save(encoder, path, measured=measured))
  got = encoder_files.Measured(
    loaded.error_covariance, loaded.prior, loaded.mirror
  )
  assert jax.tree.structure(got) == jax.tree.structure(measured)
  jax.tree.map(np.testing.assert_array_equal, got, measured)
  _rewrite(path, {"measured/covariance": np.float32(-covariance)})
  with pytest.raises(checkpoint.CheckpointError, match="not positive definite"):
    trained_encoder.load(path)
  _rewrite(path, {"measured/covariance": np.float32(covariance)})
  _rewrite(path, {"measured/prior/low": None})
  with pytest.raises(checkpoint.CheckpointError, match="prior/low is missing"):
    trained_encoder.load(path)


def test_weights_that_half_precision_cannot_hold(tmp_path, encoder):
  state = encoder.state
  params = jax.tree.map(lambda leaf: 1e6 + leaf, state.params)
  with pytest.raises(
    ValueError, match="does not fit into float16; use float32"
  ):
    encoder_files.save(
      tmp_path / "e.safetensors",
      encoder.experiment,
      state.replace(params=params),
    )


def _rewrite(path, tensors=None, **facts):
  with safetensors.safe_open(path, framework="numpy") as file:
    old = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    metadata = file.metadata()
  old.update(tensors or {})
  kept = {name: array for name, array in old.items() if array is not None}
  safetensors.numpy.save_file(kept, path, metadata={**metadata, **facts})


def _face_of(path, **changes):
  with safetensors.safe_open(path, framework="numpy") as file:
    return json.dumps({**json.loads(file.metadata()["face"]), **changes})


def test_unusable_files_are_named(tmp_path, encoder):
  path = _save(encoder, tmp_path / "e.safetensors")
  whole = path.read_bytes()

  def refused(message):
    with pytest.raises(checkpoint.CheckpointError, match=message):
      trained_encoder.load(path)
    path.write_bytes(whole)

  path.write_bytes(whole[: len(whole) // 2])
  refused("e.safetensors is no usable encoder")
  path.write_bytes(b"no tensors")
  refused("is no usable encoder")
  _rewrite(path, format="other")
  refused("format is 'other', wanted 'facerec_jax encoder 1'")
  _rewrite(path, {"params/head/bias": None})
  refused("params/head/bias is missing")
  _rewrite(path, {"params/tail": np.zeros(1, np.float16)})
  refused("params/tail is not of this encoder")
  _rewrite(path, {"code_mean": np.zeros(2, np.float32)})
  refused(r"code_mean has shape \(2,\), wanted")
  _rewrite(path, face=_face_of(path, modes=[1, 2, 3]))
  refused("the face model's modes are others")
  far = np.array(json.loads(_face_of(path))["landmarks"]) + 3
  _rewrite(path, face=_face_of(path, landmarks=far.tolist()))
  refused("landmarks of the face model lie 3.0 mm from where they were")


def test_missing_files_are_named(tmp_path):
  with pytest.raises(checkpoint.CheckpointError, match="No such file"):
    trained_encoder.load(tmp_path / "none.safetensors")
  with pytest.raises(checkpoint.CheckpointError, match="or use one of small"):
    trained_encoder.load(tmp_path / "none")


@pytest.mark.parametrize("name", ["code", "vertices"])
def test_programs_need_jax_alone(tmp_path, encoder, images, name):
  function = export.programs(encoder)[name]
  path = tmp_path / "program"
  path.write_bytes(export.serialize(encoder, function, ["cpu"]))
  np.save(tmp_path / "images.npy", images)
  subprocess.run(
    [
      *(sys.executable, "-c", _READ, path),
      *(tmp_path / "images.npy", tmp_path / "answers.npy"),
    ],
    check=True,
    cwd=tmp_path,
    env=os.environ | {"PYTHONPATH": ""},
  )
  answers = np.load(tmp_path / "answers.npy")
  assert answers.shape[0] == len(images)
  np.testing.assert_allclose(answers, function(images), rtol=1e-4, atol=1e-3)


def test_the_optimizer_stays_at_home(encoder):
  state = encoder.state
  assert jax.tree.leaves(state.opt_state)
  bare = trained_encoder.TrainedEncoder(
    encoder.experiment, state.replace(opt_state=())
  )
  sizes = [
    len(export.serialize(one, export.programs(one)["code"], ["cpu"]))
    for one in (encoder, bare)
  ]
  assert sizes[0] == sizes[1]


def test_unknown_platforms_are_refused(encoder):
  with pytest.raises(ValueError, match="'abacus' is none of cpu, cuda"):
    export.serialize(encoder, export.programs(encoder)["code"], ["abacus"])


@pytest.mark.parametrize("name", encoder_files.NAMES)
def test_released_encoders_are_small(name):
  path = pathlib.Path(encoder_files.path_of(name))
  assert path.stat().st_size < 16 * 2**20
