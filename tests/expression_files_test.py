"""Expression networks in single files, and which one an encoder gets."""

import types

import jax
import numpy as np
import pytest
import safetensors.numpy

from configs import expression as expression_config
from facerec_jax import expression_files
from facerec_jax import model_files
from facerec_jax import trained_encoder
from facerec_jax import trained_expression
from facerec_jax.model_files import expression_fitting
from facerec_jax.recognition import network as networks
from facerec_jax.synthesis import emotion_basis
from facerec_jax.synthesis import emotions
from facerec_jax.training import checkpoint

_SIZE = 5
_FACTS = {
  "step": 8,
  "temperature": 1.5,
  "unsure_below": 0.5,
  "morphable_model": "fake",
  "expressions": _SIZE,
  "encoder": "ab",
}


@pytest.fixture(scope="module")
def trained():
  """A network with random weights: (network, state, config)."""
  config = expression_config.get_config().to_dict()
  config["network"]["hidden"] = [6, 4]
  network = networks.Network((6, 4))
  state = networks.State(
    step=8,
    params=network.init(jax.random.key(0), np.zeros((1, _SIZE)))["params"],
    opt_state=(),
    mean=np.arange(_SIZE, dtype=np.float32),
    std=1.0 + np.arange(_SIZE, dtype=np.float32),
  )
  return network, state, config


@pytest.fixture
def path(trained, tmp_path):
  _, state, config = trained
  path = tmp_path / "e.safetensors"
  expression_files.save(path, config, _FACTS, state)
  return path


def test_files_give_back_the_network(trained, path):
  network, state, config = trained
  loaded = trained_expression.load(path)
  assert loaded.config == config
  assert loaded.temperature == 1.5 and loaded.model_name == "fake"
  codes = np.random.default_rng(0).normal(size=(4, _SIZE))
  logits, intensity = networks.apply(network, state, codes)
  got = loaded.predict(codes)
  np.testing.assert_allclose(
    got.probabilities, jax.nn.softmax(logits / 1.5), atol=1e-6
  )
  np.testing.assert_allclose(
    got.intensity[:, :4], networks.grade(intensity)[:, :4], atol=1e-5
  )


@pytest.mark.parametrize(
  "change, message",
  [
    (lambda t: t.pop("std"), "std is missing"),
    (lambda t: t.update(extra=t["std"]), "extra is not of this network"),
    (lambda t: t.update(mean=t["mean"][:2]), r"mean has shape \(2,\), wanted"),
  ],
)
def test_other_contents_are_refused(path, change, message):
  tensors = safetensors.numpy.load_file(path)
  with safetensors.safe_open(path, "numpy") as file:
    metadata = file.metadata()
  change(tensors)
  safetensors.numpy.save_file(tensors, path, metadata)
  with pytest.raises(
    checkpoint.CheckpointError, match=f"no usable expression network: {message}"
  ):
    trained_expression.load(path)


def test_other_files_are_refused(path):
  safetensors.numpy.save_file({"a": np.ones(1)}, path)
  with pytest.raises(checkpoint.CheckpointError, match="format is None, want"):
    trained_expression.load(path)
  path.write_bytes(path.read_bytes()[:20])
  with pytest.raises(checkpoint.CheckpointError, match="no usable expression"):
    trained_expression.load(path)
  with pytest.raises(checkpoint.CheckpointError, match="gone.safetensors is"):
    trained_expression.load(path.with_name("gone.safetensors"))


def _encoder(model, params):
  return types.SimpleNamespace(
    model=model, state=types.SimpleNamespace(params=params)
  )


def test_an_encoder_gets_the_network_that_it_asks_for(path):
  model = types.SimpleNamespace(name="fake", expression=np.zeros((1, 3, _SIZE)))
  encoder = _encoder(model, {"a": np.ones(3)})
  assert trained_expression.find("none", encoder) is None
  assert trained_expression.find("auto", encoder) is None
  assert trained_expression.find(str(path), encoder).size == _SIZE
  model.name = "other"
  with pytest.raises(ValueError, match="5 numbers of 'fake', got 5 of 'other'"):
    trained_expression.find(str(path), encoder)


@pytest.mark.parametrize("refined", (False, True))
def test_the_released_networks_are_for_the_released_encoder(refined):
  encoder = trained_encoder.load()
  recognizer = trained_expression.find("auto", encoder, refined=refined)
  recognizer.check_model(encoder.model)
  assert bool(recognizer.refine_steps) == refined


@pytest.mark.parametrize("refined", (False, True))
def test_the_released_networks_name_the_emotions(refined):
  recognizer = trained_expression.released(refined=refined)
  basis = expression_fitting.emotion_units(model_files.load("builtin"))
  got = recognizer.predict(emotion_basis.prototypes(basis))
  named = [emotions.CLASSES[index] for index in got.likeliest]
  assert tuple(named) == emotions.CLASSES
