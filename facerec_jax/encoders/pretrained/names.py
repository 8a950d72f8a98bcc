"""How Keras and torchvision name arrays, and in which order their axes are."""

from __future__ import annotations

from collections.abc import Iterable
import re
from typing import Any, NamedTuple

KERAS, TORCHVISION = "keras", "torchvision"
# What follows the name of a Keras layer that has two kernels.
DEPTHWISE, POINTWISE = "/depthwise_kernel", "/pointwise_kernel"
# Heads, the auxiliary classifier, and counters.
_LEFT_OUT = {
  KERAS: re.compile(r"(predictions|fc1000)/"),
  TORCHVISION: re.compile(r"(fc|AuxLogits)\.|.*\.num_batches_tracked$"),
}
# Keras numbers the layers that have no name, on and on within one process.
_NUMBERED = re.compile(r"(conv2d|batch_normalization)(?:_(\d+))?$")


class Source(NamedTuple):
  """An array of theirs.

  Attributes:
    name: of the array.
    axes: their axes in our order; () for the same order.
    shape: of theirs.
  """

  name: str
  axes: tuple[int, ...] = ()
  shape: tuple[int, ...] = ()


# (is of a normalization, our name) -> their suffix and axes.
_SUFFIXES = {
  KERAS: {
    (False, "kernel"): ("/kernel", ()),
    (False, "bias"): ("/bias", ()),
    (True, "scale"): ("/gamma", ()),
    (True, "bias"): ("/beta", ()),
    (True, "mean"): ("/moving_mean", ()),
    (True, "var"): ("/moving_variance", ()),
  },
  TORCHVISION: {
    (False, "kernel"): (".weight", (2, 3, 1, 0)),
    (False, "bias"): (".bias", ()),
    (True, "scale"): (".weight", ()),
    (True, "bias"): (".bias", ()),
    (True, "mean"): (".running_mean", ()),
    (True, "var"): (".running_var", ()),
  },
}


def source(library: str, layer: str, kind: str, *, is_norm: bool) -> Source:
  """The array that becomes one of ours.

  Args:
    library: "keras" or "torchvision".
    layer: their name of the layer, see `layer_names`, or of the array.
    kind: our name of the array: kernel, bias, scale, mean or var.
    is_norm: whether the layer is a normalization.

  Returns:
    Name and axes.
  """
  if layer.endswith(DEPTHWISE):
    return Source(layer, (0, 1, 3, 2))
  if layer.endswith(POINTWISE):
    return Source(layer)
  suffix, axes = _SUFFIXES[library][is_norm, kind]
  return Source(layer + suffix, axes)


def library_of(names: Iterable[str]) -> str | None:
  """Whose names these are."""
  names = list(names)
  if names and all("/" in name for name in names):
    return KERAS
  if names and all("." in name and "/" not in name for name in names):
    return TORCHVISION
  return None


def canonical(arrays: dict[str, Any], library: str) -> dict[str, Any]:
  """The arrays of the trunk under the names that a fresh process gives them."""
  if library == KERAS:
    arrays = _renumbered({_keras_name(n): a for n, a in arrays.items()})
  else:
    arrays = {n.removeprefix("module."): a for n, a in arrays.items()}
  left_out = _LEFT_OUT[library]
  return {n: array for n, array in arrays.items() if not left_out.match(n)}


def _keras_name(name):
  """Takes model/conv2d_3/kernel:0 to conv2d_3/kernel."""
  return "/".join(name.removesuffix(":0").split("/")[-2:])


def _renumbered(arrays):
  numbers: dict[str, set[int]] = {}
  for name in arrays:
    match = _NUMBERED.match(name.split("/")[0])
    if match:
      numbers.setdefault(match[1], set()).add(int(match[2] or 0))
  places = {
    base: {number: place for place, number in enumerate(sorted(found))}
    for base, found in numbers.items()
  }

  def renamed(name):
    layer, slash, array = name.partition("/")
    match = _NUMBERED.match(layer)
    if not match:
      return name
    place = places[match[1]][int(match[2] or 0)]
    return numbered(match[1], place) + slash + array

  return {renamed(name): array for name, array in arrays.items()}


def numbered(base: str, place: int) -> str:
  """What Keras calls the layer at a place among those of its kind."""
  return f"{base}_{place}" if place else base
