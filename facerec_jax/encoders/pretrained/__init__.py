"""Start from weights that others trained, on ImageNet for example.

The weights come as an .npz or .safetensors file under the names of Keras or of
torchvision; the head is left out. The encoder must agree with that library's
network in all details (`Encoder.compatible_with`), its input scaling included,
so that features are those of the original.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from facerec_jax.encoders import encoder as encoder_lib
from facerec_jax.encoders.pretrained import files
from facerec_jax.encoders.pretrained import layer_names
from facerec_jax.encoders.pretrained import names

WeightsError = files.WeightsError
# Named in a message; more are counted.
_SHOWN = 3


def load(
  path, encoder: encoder_lib.Encoder, variables: Mapping[str, Any]
) -> dict[str, Any]:
  """Replaces all weights but those of the head.

  Args:
    path: of the file.
    encoder: that the variables belong to.
    variables: `params` and `batch_stats`.

  Returns:
    The same tree; what a network of this kind is to start from.

  Raises:
    WeightsError: the file cannot be read or its arrays are not exactly those
      of the network; the message names them.
  """
  if encoder.norm != "batch":
    raise WeightsError(
      f"{path}: published weights need config.encoder.norm='batch', not "
      f"{encoder.norm!r}"
    )
  arrays = files.read(path)
  library = names.library_of(arrays)
  if library != encoder.library:
    raise WeightsError(_wrong_library(path, encoder, library))
  arrays = names.canonical(arrays, library)
  sources = _sources(encoder, variables)
  _check(path, arrays, sources)

  def replace(key_path, leaf):
    source = sources.get(_keys(key_path))
    if source is None:
      return leaf
    array = np.float32(arrays[source.name]).transpose(source.axes)
    return jax.numpy.asarray(array, leaf.dtype)

  return jax.tree.map_with_path(replace, dict(variables))


def _wrong_library(path, encoder, library):
  if library is None:
    return f"{path}: the names are neither those of Keras nor of torchvision"
  if library in encoder.libraries:
    return (
      f"{path}: the names are those of {library}; set "
      f"config.encoder.compatible_with={library!r}"
    )
  known = " or ".join(encoder.libraries) or "no library"
  return (
    f"{path}: the names are those of {library}, but this encoder starts from "
    f"weights of {known}"
  )


def _sources(encoder, variables):
  """Where each leaf comes from: {keys: names.Source}, without the head."""
  layers = layer_names.layers(encoder)
  found = {}
  for key_path, leaf in jax.tree.leaves_with_path(dict(variables)):
    _, *layer, kind = keys = _keys(key_path)
    if layer == ["head"]:
      continue
    is_norm = _has_statistics(variables, layer)
    source = names.source(
      encoder.library, layers["/".join(layer)], kind, is_norm=is_norm
    )
    axes = source.axes or tuple(range(leaf.ndim))
    shape = tuple(leaf.shape[axes.index(axis)] for axis in range(leaf.ndim))
    found[keys] = source._replace(axes=axes, shape=shape)
  return found


def _keys(key_path):
  return tuple(key.key for key in key_path)


def _has_statistics(variables, layer):
  node = variables["batch_stats"]
  for key in layer:
    node = node.get(key, {})
  return bool(node)


def _check(path, arrays, sources):
  wanted = {source.name: source.shape for source in sources.values()}
  missing = [name for name in wanted if name not in arrays]
  extra = [name for name in arrays if name not in wanted]
  other = [
    f"{name} {arrays[name].shape} instead of {shape}"
    for name, shape in wanted.items()
    if name in arrays and arrays[name].shape != shape
  ]
  problems = [
    f"{len(items)} {what} ({_some(items)})"
    for what, items in (
      ("missing", missing),
      ("unknown", extra),
      ("of another shape", other),
    )
    if items
  ]
  if problems:
    raise WeightsError(
      f"{path}: of {len(wanted)} arrays, {'; '.join(problems)}; it is of "
      "another network"
    )


def _some(items):
  more = len(items) - _SHOWN
  return ", ".join(items[:_SHOWN]) + (f", and {more} more" if more > 0 else "")
