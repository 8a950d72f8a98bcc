"""All encoders: published sizes and layers, shared options, errors."""

import functools

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import inception as inception_config
from configs import resnet as resnet_config
from configs import xception as xception_config
from facerec_jax import encoders


@functools.cache
def shapes_of(name, pixels, blocks):
  """Shapes of all variables, and {block name: shape of its output}."""
  encoder = encoders.create(name, num_outputs=0)

  def run(key):
    return encoder.init_with_output(
      key,
      jnp.zeros((1, pixels, pixels, 3)),
      False,
      capture_intermediates=lambda module, method: (
        module.name is not None and module.name.startswith(blocks)
      ),
    )[1]

  variables = dict(jax.eval_shape(run, jax.random.key(0)))
  outputs = variables.pop("intermediates")
  found = {
    block: output["__call__"][0].shape[1:] for block, output in outputs.items()
  }
  return variables, found


def count(variables):
  return sum(leaf.size for leaf in jax.tree.leaves(variables))


def convolutions(variables):
  """Kernel shapes of all convolutions, sorted."""
  leaves = jax.tree.leaves_with_path(variables["params"])
  return sorted(leaf.shape for path, leaf in leaves if path[-1].key == "kernel")


def test_xception_has_the_published_layers():
  variables, outputs = shapes_of("xception", 299, "block")
  # Parameters of keras.applications without top, statistics counted.
  assert count(variables) == 20_861_480
  kernels = convolutions(variables)
  # 36 convolutional layers (Chollet 2017): 34 separable, each of two kernels,
  # and 2 plain; with the 4 shortcuts.
  assert len(kernels) == 2 * 34 + 2 + 4
  # The middle flow, the second of block 4 and both of block 13.
  assert kernels.count((3, 3, 1, 728)) == 3 * 8 + 1 + 2
  assert outputs["block2"] == (74, 74, 128)
  assert outputs["block3"] == (37, 37, 256)
  assert {outputs[f"block{n}"] for n in range(4, 13)} == {(19, 19, 728)}
  assert outputs["block13"] == (10, 10, 1024)
  assert outputs["block14_separable2"] == (10, 10, 2048)


def test_inception_has_the_published_layers():
  variables, outputs = shapes_of("inception", 299, "mixed")
  assert count(variables) == 21_802_784
  kernels = convolutions(variables)
  assert len(kernels) == 94
  assert not any("scale" in str(path) for path, _ in _leaves(variables))
  # Table 1 of Szegedy et al. (2016).
  assert outputs["mixed0"] == (35, 35, 256)
  assert {outputs["mixed1"], outputs["mixed2"]} == {(35, 35, 288)}
  assert {outputs[f"mixed{n}"] for n in range(3, 8)} == {(17, 17, 768)}
  assert outputs["mixed8"] == (8, 8, 1280)
  assert {outputs["mixed9"], outputs["mixed10"]} == {(8, 8, 2048)}
  assert kernels.count((1, 7, 160, 160)) == kernels.count((7, 1, 160, 160))


def _leaves(variables):
  return jax.tree.leaves_with_path(variables["params"])


# Blocks of each stage and layers, as in the names, of He et al. (2016).
@pytest.mark.parametrize(
  "name, sizes, wanted",
  (
    ("resnet50", (3, 4, 6, 3), 23_587_712),
    ("resnet101", (3, 4, 23, 3), 42_658_176),
  ),
)
def test_resnets_have_the_published_layers(name, sizes, wanted):
  variables, outputs = shapes_of(name, 224, "stage")
  assert count(variables) == wanted
  # The four shortcuts are not counted in the name; the head is.
  assert len(convolutions(variables)) - 4 + 1 == int(
    name.removeprefix("resnet")
  )
  for stage, blocks in enumerate(sizes, start=1):
    side, width = 56 // 2 ** (stage - 1), 256 * 2 ** (stage - 1)
    names = [f"stage{stage}_block{n}" for n in range(1, blocks + 1)]
    assert {outputs[name] for name in names} == {(side, side, width)}
  assert len(outputs) == sum(sizes)


def test_convnext_is_smaller_than_small():
  variables, outputs = shapes_of("convnext_zepto", 112, "stage4_block")
  assert 1.8e6 < count(variables["params"]) < 2.0e6
  # 7 x 7 does not halve evenly.
  assert outputs["stage4_block2"] == (4, 4, 256)


_TINY = {
  "tiny": (16, {}),
  "resnet50": (16, dict(width=4, block_sizes=(1, 1))),
  "xception": (16, dict(width=1 / 32, middle_blocks=1)),
  "inception": (75, dict(width=1 / 32)),
  "convnext_zepto": (16, dict(widths=(4, 8), block_sizes=(1, 1))),
}


# How the names of blocks start; block 14 of Xception is no residual block.
_BLOCKS = tuple(f"block{n}" for n in (2, 3, 4, 5, 13)) + (
  "mixed",
  *(f"stage{n}_block" for n in (1, 2)),
)


def make(name, **options):
  pixels, sizes = _TINY[name]
  encoder = encoders.create(name, **dict(num_outputs=5) | sizes | options)
  images = jax.random.uniform(jax.random.key(1), (2, pixels, pixels, 3))
  return encoder, images


@functools.cache
def trace(name, norm="batch", remat=False):
  """The program in bfloat16, and shapes of its (codes, variables)."""
  encoder, images = make(name, norm=norm, remat=remat, dtype=jnp.bfloat16)
  return jax.make_jaxpr(
    lambda key: encoder.init_with_output(key, images, True), return_shape=True
  )(jax.random.key(0))


@pytest.mark.parametrize(
  "name, norm",
  [(name, "batch") for name in _TINY]
  # Inception takes long to trace.
  + [(name, "group") for name in _TINY if name != "inception"],
)
def test_shared_options_keep_output_and_parameters_float32(name, norm):
  codes, variables = trace(name, norm)[1]
  assert codes.shape == (2, 5) and codes.dtype == jnp.float32
  assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {
    jnp.dtype(jnp.float32)
  }
  assert ("batch_stats" in variables) == (norm == "batch")


@pytest.mark.parametrize("name", _TINY)
def test_rematerialisation_is_of_every_block_and_keeps_the_variables(name):
  jaxpr, got = trace(name, remat=True)
  wanted = trace(name)[1]
  assert got == wanted
  inside = sum(
    equation.primitive.name in ("checkpoint", "remat", "remat2")
    for equation in jaxpr.eqns
  )
  blocks = [key for key in wanted[1]["params"] if key.startswith(_BLOCKS)]
  assert inside == len(blocks) > 1


def test_rematerialisation_keeps_values_and_gradients():
  plain, images = make("tiny", head_stddev=0.1)
  remat, _ = make("tiny", head_stddev=0.1, remat=True)
  variables = jax.jit(lambda key: plain.init(key, images, True))(
    jax.random.key(0)
  )

  def loss(params, encoder):
    codes, updates = encoder.apply(
      {**variables, "params": params}, images, True, mutable=["batch_stats"]
    )
    return jnp.sum(codes**2), updates

  wanted, got = (
    jax.jit(
      jax.value_and_grad(functools.partial(loss, encoder=encoder), has_aux=True)
    )(variables["params"])
    for encoder in (plain, remat)
  )
  for ours, theirs in zip(
    jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True
  ):
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_group_statistics_are_of_single_images():
  encoder, images = make("tiny", norm="group", head_stddev=1.0)
  variables = jax.jit(encoder.init, static_argnums=2)(
    jax.random.key(0), images, True
  )
  apply = jax.jit(encoder.apply, static_argnums=2)
  together = apply(variables, images, True)
  alone = apply(variables, images[:1], False)
  np.testing.assert_allclose(together[:1], alone, atol=1e-5)


@pytest.mark.parametrize(
  "options, message",
  (
    (
      dict(name="resnet51"),
      "encoder 'resnet51' is none of resnet18, resnet34, .*small, .*tiny",
    ),
    (
      dict(name="xception", patch_stem=True),
      "encoder 'xception' has no option 'patch_stem'; it has norm, .*middle_bl",
    ),
    (
      dict(name="tiny", middle_blocks=3),
      "encoder 'tiny' has no option 'middle_blocks'; it has norm, ",
    ),
    (dict(name="tiny", norm="layer"), "norm 'layer' is none of batch, group"),
    (dict(name="tiny", dtype="int32"), "dtype 'int32' is none of float32, bfl"),
    (
      dict(name="xception", compatible_with="torchvision"),
      "'xception': compatible_with is 'torchvision', wanted '' or 'keras'",
    ),
    (
      dict(name="small", compatible_with="keras"),
      "'small': compatible_with is 'keras', wanted ''$",
    ),
    (
      dict(name="resnet18", compatible_with="keras"),
      "'resnet18': compatible_with is 'keras', wanted '' or 'torchvision'",
    ),
  ),
)
def test_wrong_options_are_named(options, message):
  with pytest.raises(ValueError, match=message):
    encoders.create(**dict(num_outputs=3) | options)


@pytest.mark.parametrize(
  "name, pixels, message",
  (
    ("inception", 64, "images of 64 x 64 pixels, wanted at least 75 x 75"),
    ("convnext_zepto", 90, "90 x 90 pixels, wanted multiples of 4"),
    ("xception", 4, "map of 1 x 1 pixels is too small for a window of 3 x 3"),
  ),
)
def test_images_of_the_wrong_size_are_named(name, pixels, message):
  encoder = encoders.create(name, num_outputs=3)
  images = jnp.zeros((1, pixels, pixels, 3))
  with pytest.raises(ValueError, match=message):
    jax.eval_shape(
      lambda key: encoder.init(key, images, False), jax.random.key(0)
    )


def test_lists_of_a_config_make_a_module_that_can_be_hashed():
  encoder = encoders.create("resnet18", num_outputs=3, block_sizes=[1, 1])
  assert isinstance(hash(encoder), int)


def test_encoders_are_linen_modules():
  for name in encoders.ENCODERS:
    assert isinstance(encoders.create(name, num_outputs=3), nn.Module)


@pytest.mark.parametrize("module", (xception_config, inception_config))
def test_configs_differ_from_the_resnets_in_the_name_alone(module):
  name = module.__name__.removeprefix("configs.")
  for variant, base in ((name, "resnet50"), ("thesis", "thesis")):
    ours = module.get_config(variant).to_dict()
    theirs = resnet_config.get_config(base).to_dict()
    assert ours["encoder"].pop("name") == name
    del theirs["encoder"]["name"]
    assert ours == theirs
  with pytest.raises(
    ValueError, match=f"no variant 'x'; it has {name}, thesis"
  ):
    module.get_config("x")
