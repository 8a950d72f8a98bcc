"""What Keras and torchvision call the layers of our encoders."""

from __future__ import annotations

from collections.abc import Iterator
import itertools

from facerec_jax.encoders import encoder as encoder_lib
from facerec_jax.encoders import inception
from facerec_jax.encoders import resnet
from facerec_jax.encoders import xception
from facerec_jax.encoders.pretrained import names


def layers(encoder: encoder_lib.Encoder) -> dict[str, str]:
  """Our path of each layer, joined by slashes -> their name of it.

  Args:
    encoder: with a `library`.

  Returns:
    One item for each layer but the head.
  """
  tables = {
    (resnet.ResNet, names.KERAS): _keras_resnet,
    (resnet.ResNet, names.TORCHVISION): _torchvision_resnet,
    (xception.Xception, names.KERAS): _keras_xception,
    (inception.InceptionV3, names.KERAS): _keras_inception,
    (inception.InceptionV3, names.TORCHVISION): _torchvision_inception,
  }
  return dict(tables[type(encoder), encoder.library](encoder))


def _resnet_blocks(encoder) -> Iterator[tuple[str, int, int, bool]]:
  """Our name, stage, index, and whether there is a shortcut convolution."""
  for stage, count in enumerate(encoder.block_sizes, start=1):
    for index in range(count):
      projected = not index and (encoder.bottleneck or stage > 1)
      yield f"stage{stage}_block{index + 1}", stage, index, projected


def _keras_resnet(encoder):
  yield "stem", "conv1_conv"
  yield "stem_norm", "conv1_bn"
  for ours, stage, index, projected in _resnet_blocks(encoder):
    theirs = f"conv{stage + 1}_block{index + 1}"
    for number in range(3):
      yield f"{ours}/Conv_{number}", f"{theirs}_{number + 1}_conv"
      yield f"{ours}/BatchNorm_{number}", f"{theirs}_{number + 1}_bn"
    if projected:
      yield f"{ours}/shortcut_conv", f"{theirs}_0_conv"
      yield f"{ours}/shortcut_norm", f"{theirs}_0_bn"


def _torchvision_resnet(encoder):
  yield "stem", "conv1"
  yield "stem_norm", "bn1"
  for ours, stage, index, projected in _resnet_blocks(encoder):
    theirs = f"layer{stage}.{index}"
    for number in range(3 if encoder.bottleneck else 2):
      yield f"{ours}/Conv_{number}", f"{theirs}.conv{number + 1}"
      yield f"{ours}/BatchNorm_{number}", f"{theirs}.bn{number + 1}"
    if projected:
      yield f"{ours}/shortcut_conv", f"{theirs}.downsample.0"
      yield f"{ours}/shortcut_norm", f"{theirs}.downsample.1"


def _keras_xception(encoder):
  shortcuts = itertools.count()
  last = 5 + encoder.middle_blocks
  for index in (1, 2):
    yield f"stem{index}", f"block1_conv{index}"
    yield f"stem{index}_norm", f"block1_conv{index}_bn"
  for block in (*range(2, last), 13):
    is_middle = 5 <= block < last
    for index in range(1, 4 if is_middle else 3):
      yield from _separable(
        f"block{block}/separable{index}", f"block{block}_sepconv{index}"
      )
    if not is_middle:
      number = next(shortcuts)
      yield f"block{block}/shortcut_conv", names.numbered("conv2d", number)
      norm = names.numbered("batch_normalization", number)
      yield f"block{block}/shortcut_norm", norm
  for index in (1, 2):
    yield from _separable(
      f"block14_separable{index}", f"block14_sepconv{index}"
    )


def _separable(ours, theirs):
  # One layer of theirs with two kernels.
  yield f"{ours}/depthwise", theirs + names.DEPTHWISE
  yield f"{ours}/pointwise", theirs + names.POINTWISE
  yield f"{ours}/norm", f"{theirs}_bn"


def _keras_inception(encoder):
  del encoder
  for number, ours in enumerate(inception.layer_names()):
    yield f"{ours}/conv", names.numbered("conv2d", number)
    yield f"{ours}/norm", names.numbered("batch_normalization", number)


_TORCHVISION_BLOCKS = (
  *(f"5{letter}" for letter in "bcd"),
  *(f"6{letter}" for letter in "abcde"),
  *(f"7{letter}" for letter in "abc"),
)
_TORCHVISION_STEM = ("1a_3x3", "2a_3x3", "2b_3x3", "3b_1x1", "4a_3x3")
# Of the branches, by block or by the block's digit.
_TORCHVISION_BRANCHES = {
  "5": ("branch1x1", "branch5x5", "branch3x3dbl"),
  "6a": ("branch3x3", "branch3x3dbl"),
  "6": ("branch1x1", "branch7x7", "branch7x7dbl"),
  "7a": ("branch3x3", "branch7x7x3"),
  "7": ("branch1x1", "branch3x3", "branch3x3dbl"),
}


def _torchvision_inception(encoder):
  del encoder
  for ours in inception.layer_names():
    theirs = _torchvision_inception_layer(ours)
    yield f"{ours}/conv", f"{theirs}.conv"
    yield f"{ours}/norm", f"{theirs}.bn"


def _torchvision_inception_layer(ours):
  """Our mixed0/branch2_1 is their Mixed_5b.branch5x5_1."""
  if ours.startswith("stem"):
    return "Conv2d_" + _TORCHVISION_STEM[int(ours.removeprefix("stem")) - 1]
  block, _, layer = ours.partition("/")
  block = _TORCHVISION_BLOCKS[int(block.removeprefix("mixed"))]
  if layer == "pool":
    return f"Mixed_{block}.branch_pool"
  kinds = _TORCHVISION_BRANCHES
  branches = kinds.get(block) or kinds[block[0]]
  branch, _, step = layer.removeprefix("branch").partition("_")
  name = branches[int(branch) - 1]
  # Branches of a single convolution carry no number.
  is_single = name == "branch1x1" or (block, name) == ("6a", "branch3x3")
  return f"Mixed_{block}.{name}" + ("" if is_single else f"_{step}")
