"""Encoders: parameter counts, types, statistics, devices, errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facerec_jax import encoders
from facerec_jax.encoders import patches
from facerec_jax.encoders import resnet


def count(name, *, collection=None, pixels=64, **options):
  options = {"num_outputs": 0} | options
  encoder = encoders.create(name, **options)
  shapes = jax.eval_shape(
    lambda key: encoder.init(key, jnp.zeros((1, pixels, pixels, 3)), False),
    jax.random.key(0),
  )
  tree = shapes if collection is None else shapes[collection]
  return sum(leaf.size for leaf in jax.tree.leaves(tree))


# Parameters of keras.applications without top, statistics and biases counted.
@pytest.mark.parametrize(
  "name, wanted",
  (
    ("resnet50", 23_587_712),
    ("resnet101", 42_658_176),
    ("resnet152", 58_370_944),
  ),
)
def test_parameters_as_keras_counts_them(name, wanted):
  assert count(name) == wanted


# Parameters of torchvision.models less the 1000-way head.
@pytest.mark.parametrize(
  "name, wanted",
  (
    ("resnet18", 11_689_512 - 513_000),
    ("resnet34", 21_797_672 - 513_000),
    ("resnet50", 25_557_032 - 2_049_000),
  ),
)
def test_parameters_without_biases_as_torchvision_counts_them(name, wanted):
  assert count(name, collection="params", conv_bias=False) == wanted


def test_head_has_a_weight_per_feature_and_output_and_a_bias():
  assert count("resnet50", num_outputs=257) - count("resnet50") == 2049 * 257
  assert 2.7e6 < count("small", num_outputs=257) < 3.1e6
  assert count("tiny", num_outputs=257) < 1e4


def make(name="tiny", *, pixels=16, batch=4, num_outputs=7, **options):
  encoder = encoders.create(name, num_outputs=num_outputs, **options)
  images = jax.random.uniform(jax.random.key(1), (batch, pixels, pixels, 3))
  return encoder, init(encoder, images), images


def init(encoder, images):
  return jax.jit(lambda key: encoder.init(key, images[:1], False))(
    jax.random.key(0)
  )


def test_untrained_encoder_predicts_almost_the_mean_face():
  encoder, variables, images = make(num_outputs=257)
  codes = encoder.apply(variables, images, False)
  assert codes.shape == (4, 257) and codes.dtype == jnp.float32
  assert 0 < float(jnp.abs(codes).max()) < 0.1


def test_input_range_becomes_symmetric():
  encoder = encoders.create("tiny", num_outputs=0)
  grey = jnp.full((2, 8, 8, 3), 0.5)
  variables = init(encoder, grey)
  _, updates = encoder.apply(variables, grey, True, mutable=["batch_stats"])
  # Mid grey is the origin: the stem has no bias, so its mean stays 0.
  mean = updates["batch_stats"]["stem_norm"]["mean"]
  np.testing.assert_array_equal(mean, 0.0)


def test_zero_init_makes_the_last_blocks_identities():
  def outputs(**options):
    encoder, variables, images = make(num_outputs=0, **options)
    scale = variables["params"]["stage1_block1"]["BatchNorm_1"]["scale"]
    return encoder.apply(variables, images, False), scale

  plain, zeros = outputs()
  other, ones = outputs(zero_init_residual=False)
  np.testing.assert_array_equal(zeros, 0.0)
  np.testing.assert_array_equal(ones, 1.0)
  assert not np.allclose(plain, other)


def test_training_reaches_every_parameter():
  _, _, images = make()
  encoder = resnet.ResNet(
    num_outputs=7, block_sizes=(2, 1), width=4, bottleneck=True
  )
  variables = init(encoder, images)
  # Zero scales hide what is behind them; nudge everything off its start.
  params = jax.tree.map(lambda p: p + 0.1, variables["params"])

  def loss(params):
    codes, _ = encoder.apply(
      variables | {"params": params}, images, True, mutable=["batch_stats"]
    )
    return jnp.mean((codes - jnp.arange(7.0)) ** 2)

  gradients = jax.jit(jax.grad(loss))(params)
  for path, gradient in jax.tree.leaves_with_path(gradients):
    assert np.isfinite(gradient).all(), path
    assert np.abs(gradient).max() > 0, path


def test_statistics_move_in_training_only():
  encoder, variables, images = make(momentum=0.75)
  _, unchanged = encoder.apply(
    variables, images, False, mutable=["batch_stats"]
  )
  for old, new in zip(
    jax.tree.leaves(variables["batch_stats"]),
    jax.tree.leaves(unchanged["batch_stats"]),
    strict=True,
  ):
    np.testing.assert_array_equal(old, new)
  _, changed = encoder.apply(variables, images, True, mutable=["batch_stats"])
  # Momentum by hand, at the stem, whose input is known.
  cut = patches.space_to_depth(2 * images - 1)
  stem = cut @ variables["params"]["stem"]["kernel"][0, 0]
  got = changed["batch_stats"]["stem_norm"]
  np.testing.assert_allclose(
    got["mean"], 0.25 * stem.mean((0, 1, 2)), atol=1e-5
  )
  np.testing.assert_allclose(
    got["var"], 0.75 + 0.25 * stem.var((0, 1, 2)), rtol=1e-4
  )


def test_replicas_share_their_batch_statistics():
  alone, variables, images = make(batch=6)
  shared = encoders.create("tiny", num_outputs=7, axis_name="devices")

  def train(images):
    return shared.apply(variables, images, True, mutable=["batch_stats"])

  wanted = alone.apply(variables, images, True, mutable=["batch_stats"])
  # A mapped axis of two "devices" with half of the batch each.
  halves = images.reshape(2, 3, *images.shape[1:])
  got = jax.vmap(train, axis_name="devices")(halves)
  np.testing.assert_allclose(got[0].reshape(6, 7), wanted[0], atol=1e-5)
  for ours, theirs in zip(
    jax.tree.leaves(got[1]), jax.tree.leaves(wanted[1]), strict=True
  ):
    np.testing.assert_allclose(ours[0], theirs, atol=1e-5)
    np.testing.assert_array_equal(ours[0], ours[1])


def test_bfloat16_computes_nearly_the_same_codes():
  encoder, variables, images = make(head_stddev=0.1)
  low = encoders.create("tiny", num_outputs=7, dtype=jnp.bfloat16)
  codes = low.apply(variables, images, False)
  assert codes.dtype == jnp.float32
  wanted = encoder.apply(variables, images, False)
  np.testing.assert_allclose(codes, wanted, atol=0.05 * np.abs(wanted).max())


def test_space_to_depth_keeps_pixels_in_their_patch():
  row, column = jnp.meshgrid(jnp.arange(8), jnp.arange(12), indexing="ij")
  image = jnp.stack([row, column, 0 * row], -1)[None]
  cut = patches.space_to_depth(image)
  assert cut.shape == (1, 2, 3, 48)
  pixels = cut[0, 1, 2].reshape(4, 4, 3)
  np.testing.assert_array_equal(pixels, image[0, 4:8, 8:12])


@pytest.mark.parametrize("height, width", ((32, 48), (20, 20), (33, 17)))
def test_size_is_free_without_patches(height, width):
  encoder = encoders.create("resnet18", num_outputs=3)
  shape = jax.eval_shape(
    lambda images: encoder.init_with_output(jax.random.key(0), images, False)[
      0
    ],
    jnp.zeros((2, height, width, 3)),
  )
  assert shape.shape == (2, 3)


def test_patches_need_multiples_of_four():
  encoder = encoders.create("small", num_outputs=3)
  message = (
    "encoder: got images of 112 x 90 pixels, wanted multiples of 4; change "
    "the image size or use resnet18"
  )
  with pytest.raises(ValueError, match=message):
    encoder.init(jax.random.key(0), jnp.zeros((1, 112, 90, 3)), False)


@pytest.mark.parametrize("shape", ((64, 64, 3), (1, 64, 64, 4)))
def test_wrong_images_are_named(shape):
  encoder = encoders.create("tiny", num_outputs=3)
  with pytest.raises(ValueError, match=r"wanted \[B, H, W, 3\]"):
    encoder.init(jax.random.key(0), jnp.zeros(shape), False)
