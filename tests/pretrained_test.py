"""Weights of others: activations against NumPy networks, and bad files."""

import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import published_networks
import pytest
import safetensors.numpy

from facerec_jax import encoders
from facerec_jax.encoders import pretrained

_SMALL = dict(width=4, block_sizes=(1, 2))


def draw_images(pixels, batch=2):
  random = np.random.default_rng(1)
  return random.uniform(size=(batch, pixels, pixels, 3)).astype(np.float32)


def variables_of(encoder, images):
  shapes = jax.eval_shape(
    lambda key: encoder.init(key, images, False), jax.random.key(0)
  )
  return jax.tree.map(lambda leaf: jnp.full(leaf.shape, 9.0), shapes)


def features(path, encoder, images):
  variables = pretrained.load(path, encoder, variables_of(encoder, images))
  return jax.jit(lambda images: encoder.apply(variables, images, False))(images)


def _torch_basic(images):
  network = published_networks.Torchvision()
  return network, network.resnet(images, (1, 2), 4, bottleneck=False)


def _torch_bottleneck(images):
  network = published_networks.Torchvision()
  return network, network.resnet(images, (1, 2), 4, bottleneck=True)


def _torch_inception(images):
  network = published_networks.Torchvision(epsilon=1e-3)
  return network, network.inception(images, 1 / 16)


def _keras_resnet(images):
  network = published_networks.Keras()
  return network, network.resnet(images, (1, 2), 4)


def _keras_xception(images):
  network = published_networks.Keras()
  return network, network.xception(images, 1 / 16, 1)


def _keras_inception(images):
  # As in a process that had made other networks before.
  network = published_networks.Keras(first_number=8)
  return network, network.inception(images, 1 / 16)


# Odd and even sizes: paddings differ between the libraries in one of them.
_CASES = {
  "resnet18 torchvision": (_torch_basic, 34, _SMALL),
  "resnet50 torchvision": (_torch_bottleneck, 33, _SMALL),
  "resnet50 keras": (_keras_resnet, 34, _SMALL),
  "xception keras": (_keras_xception, 34, dict(width=1 / 16, middle_blocks=1)),
  "inception keras": (_keras_inception, 75, dict(width=1 / 16)),
  "inception torchvision": (_torch_inception, 75, dict(width=1 / 16)),
}


@pytest.mark.parametrize("case", _CASES)
def test_features_are_those_of_the_original(case, tmp_path):
  name, library = case.split()
  oracle, pixels, options = _CASES[case]
  images = draw_images(pixels)
  network, wanted = oracle(np.float64(images))
  path = tmp_path / "weights.npz"
  np.savez(path, **network.weights)
  encoder = encoders.create(
    name, num_outputs=0, compatible_with=library, **options
  )
  got = features(path, encoder, images)
  assert got.shape == wanted.shape
  np.testing.assert_allclose(got, wanted, atol=2e-5 * np.abs(wanted).max())


@pytest.fixture(scope="module")
def torch_weights():
  return dict(_torch_basic(draw_images(16))[0].weights)


def small(**options):
  options = dict(num_outputs=0, compatible_with="torchvision") | options
  return encoders.create("resnet18", **_SMALL, **options)


def load(path, encoder=None):
  encoder = encoder or small()
  return pretrained.load(path, encoder, variables_of(encoder, draw_images(16)))


def test_safetensors_are_read_as_npz_is(torch_weights, tmp_path):
  np.savez(tmp_path / "a.npz", **torch_weights)
  # A checkpoint of DataParallel, in half precision.
  half = {
    f"module.{name}": np.asarray(array, np.float16)
    for name, array in torch_weights.items()
  }
  safetensors.numpy.save_file(half, tmp_path / "b.safetensors")
  wanted, got = load(tmp_path / "a.npz"), load(tmp_path / "b.safetensors")
  assert jax.tree.structure(got) == jax.tree.structure(wanted)
  for ours, theirs in zip(
    jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True
  ):
    assert ours.dtype == jnp.float32
    np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)


def test_head_stays_as_it_was(torch_weights, tmp_path):
  np.savez(tmp_path / "a.npz", **torch_weights)
  params = load(tmp_path / "a.npz", small(num_outputs=5))["params"]
  head = params.pop("head")
  for leaf in jax.tree.leaves(head):
    np.testing.assert_array_equal(leaf, 9.0)
  for leaf in jax.tree.leaves(params):
    assert not (np.asarray(leaf) == 9.0).any()


def test_wrong_arrays_are_named_in_one_line(torch_weights, tmp_path):
  weights = dict(torch_weights)
  weights["layer3.0.conv1.weight"] = np.zeros((2, 2, 1, 1), np.float32)
  weights["conv1.weight"] = np.zeros((4, 3, 3, 3), np.float32)
  for name in ("bn1.bias", "bn1.weight", "bn1.running_var", "bn1.running_mean"):
    del weights[name]
  np.savez(tmp_path / "a.npz", **weights)
  with pytest.raises(pretrained.WeightsError) as caught:
    load(tmp_path / "a.npz")
  assert str(caught.value) == (
    f"{tmp_path / 'a.npz'}: of 40 arrays, 4 missing (bn1.running_mean, "
    "bn1.running_var, bn1.bias, and 1 more); 1 unknown "
    "(layer3.0.conv1.weight); 1 of another shape (conv1.weight (4, 3, 3, 3) "
    "instead of (4, 3, 7, 7)); it is of another network"
  )


def test_names_of_the_other_library_say_what_to_set(tmp_path):
  np.savez(tmp_path / "k.npz", **{"conv1_conv/kernel": np.zeros(1)})
  encoder = encoders.create(
    "resnet50", num_outputs=0, compatible_with="torchvision", **_SMALL
  )
  message = (
    "the names are those of keras; set config.encoder.compatible_with='keras'"
  )
  with pytest.raises(pretrained.WeightsError, match=message):
    load(tmp_path / "k.npz", encoder)
  message = "keras, but this encoder starts from weights of torchvision"
  with pytest.raises(pretrained.WeightsError, match=message):
    load(tmp_path / "k.npz")
  with pytest.raises(pretrained.WeightsError, match="weights of no library"):
    load(tmp_path / "k.npz", encoders.create("tiny", num_outputs=0))


def test_group_normalization_has_no_published_weights(tmp_path):
  message = "published weights need config.encoder.norm='batch', not 'group'"
  with pytest.raises(pretrained.WeightsError, match=message):
    pretrained.load(tmp_path / "a.npz", small(norm="group"), {})


def _object_array(path):
  np.savez(path, **{"a.b": np.array([{}], dtype=object)})


def _strings(path):
  np.savez(path, **{"a.b": np.array(["x"])})


def _nan(path):
  np.savez(path, **{"a.b": np.array([np.nan])})


def _text(path):
  path.write_text("no weights")


def _pytorch(path):
  # A zip file with a pickle in it, which must not be executed.
  with zipfile.ZipFile(path, "w") as archive:
    archive.writestr("archive/data.pkl", b"cos\nsystem\n(S'exit 1'\ntR.")


@pytest.mark.parametrize(
  "write, message",
  (
    (_object_array, "of plain arrays"),
    (_strings, "a.b is of type <U1"),
    (_nan, "a.b holds values that are not finite"),
    (_text, "neither an .npz nor a .safetensors file of plain arrays"),
    (_pytorch, "archive/data.pkl is no array"),
    (lambda path: None, "No such file or directory"),
  ),
)
def test_unusable_files(write, message, tmp_path):
  path = tmp_path / "weights.npz"
  write(path)
  with pytest.raises(pretrained.WeightsError, match=message) as caught:
    load(path)
  assert "\n" not in str(caught.value)
