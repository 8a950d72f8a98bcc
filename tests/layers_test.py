"""Layers: parameters of Flax's, types, groups."""

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facerec_jax.encoders import layers


def draw_images(channels=3):
  random = np.random.default_rng(0)
  return jnp.float32(random.standard_normal((2, 9, 8, channels)))


@pytest.mark.parametrize("size", ((1, 1), (3, 3)))
@pytest.mark.parametrize("padding", ("SAME", "VALID"))
def test_convolution_takes_the_parameters_of_flax(size, padding):
  images = draw_images()
  options = {"kernel_size": size, "strides": (2, 2), "use_bias": True}
  options["padding"] = padding
  theirs = nn.Conv(6, bias_init=nn.initializers.normal(), **options)
  variables = theirs.init(jax.random.key(0), images)
  wanted = theirs.apply(variables, images)
  ours = layers.Conv(6, **options)
  shapes = jax.eval_shape(ours.init, jax.random.key(0), images)
  assert jax.tree.map(jnp.shape, shapes) == jax.tree.map(jnp.shape, variables)
  np.testing.assert_allclose(ours.apply(variables, images), wanted, atol=1e-5)


def test_depthwise_convolution_takes_the_parameters_of_flax():
  images = draw_images()
  theirs = nn.Conv(3, (5, 5), feature_group_count=3, use_bias=False)
  variables = theirs.init(jax.random.key(0), images)
  got = layers.DepthwiseConv((5, 5)).apply(variables, images)
  np.testing.assert_allclose(got, theirs.apply(variables, images), atol=1e-5)


@pytest.mark.parametrize("layer", (layers.Conv(4), layers.DepthwiseConv()))
def test_layers_compute_in_their_type_with_float32_parameters(layer):
  layer = layer.clone(dtype=jnp.bfloat16)
  result, variables = jax.eval_shape(
    layer.init_with_output, jax.random.key(0), draw_images()
  )
  assert result.dtype == jnp.bfloat16
  assert variables["params"]["kernel"].dtype == jnp.float32


@pytest.mark.parametrize("channels, groups", ((64, 32), (48, 16), (7, 1)))
def test_groups_divide_the_channels(channels, groups):
  x = 3 + 5 * draw_images(channels)
  layer = layers.norm(
    "group", train=True, axis_name=None, momentum=0.9, epsilon=0.0
  )()
  y, variables = layer.init_with_output(jax.random.key(0), x)
  assert set(variables) == {"params"}
  grouped = np.asarray(y).reshape(2, -1, groups, channels // groups)
  np.testing.assert_allclose(grouped.mean((1, 3)), 0, atol=1e-5)
  np.testing.assert_allclose(grouped.std((1, 3)), 1, atol=1e-4)


def test_unknown_normalization_lists_the_known_ones():
  with pytest.raises(ValueError, match="norm 'layer' is none of batch, group"):
    layers.norm("layer", train=True, axis_name=None, momentum=0.9)
