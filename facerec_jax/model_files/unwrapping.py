"""A texture chart for models that have none."""

from __future__ import annotations

import dataclasses

import numpy as np

from facerec_jax.model_files import mesh_editing
from facerec_jax.model_files.formats import raw_model

FormatError = raw_model.FormatError
RawModel = raw_model.RawModel


def unwrap(model: RawModel) -> RawModel:
  """Cuts the mean open and lays it flat (xatlas).

  Args:
    model: without a chart.

  Returns:
    The model with `corner_uv`; `mesh_editing.split_seams` makes it one place a
    vertex.

  Raises:
    FormatError: xatlas is not installed.
  """
  try:
    import xatlas
  except ImportError:
    raise FormatError(
      "a texture chart needs xatlas: pip install 'facerec_jax[import]', or "
      "--uv=none"
    ) from None
  points = np.array(model.mean, np.float32)
  triangles = np.array(model.triangles, np.uint32)
  _, corners, uv = xatlas.parametrize(points, triangles)
  corner_uv = np.asarray(uv, np.float32)[np.asarray(corners, np.int64)]
  return dataclasses.replace(model, corner_uv=corner_uv)


def with_chart(model: RawModel) -> RawModel:
  """A model with one chart place a vertex, its own or a new one."""
  if model.uv is not None:
    return model
  if model.corner_uv is None:
    model = unwrap(model)
  return mesh_editing.split_seams(model)
