"""Contact sheets of a face model: views with landmarks, modes, expressions."""

from __future__ import annotations

from collections.abc import Sequence
import functools
import math
import os
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image
from PIL import ImageDraw
from PIL import ImageFont

from facerec_jax.face import code_vector
from facerec_jax.face import morphable_model
from facerec_jax.render import color
from facerec_jax.render import geometry
from facerec_jax.render import renderer
from facerec_jax.results import figures
from facerec_jax.results import studio

MorphableModel = morphable_model.MorphableModel

_SIZE = 256
_LARGE = 640
_SAMPLES = 2
_YAWS = (-70.0, -35.0, 0.0, 35.0, 70.0)
# Standard deviations at which modes are shown, and how many modes.
_FAR = 2.0
_MODES = 12
# Columns of a sheet, twice as many for both ends of modes.
_COLUMNS = 7
# Height of the space seen in a picture of a head, and of a face, mm.
_HEIGHT, _CLOSE = 320.0, 250.0
# mm from the middle of the landmarks to that of the head.
_ABOUT = np.array([0.0, 15.0, -25.0])
# Linear: what lies around heads, and heads of one grey.
_BACKGROUND = 0.012
_CLAY = 0.5
_DOT, _OUTLINE = (255, 255, 0), (0, 0, 0)
_DERIVED = (80, 255, 255)


def write_sheets(
  folder: str | os.PathLike,
  model: MorphableModel,
  *,
  derived_landmarks: Sequence[int] = (),
  expressions: Sequence[tuple[str, np.ndarray]] = (),
  modes: int | None = _MODES,
) -> list[pathlib.Path]:
  """Writes views.png, landmarks.png, a sheet of each basis, expressions.png.

  Args:
    folder: made where it is missing.
    model: the morphable model.
    derived_landmarks: iBUG indices that are drawn in another colour.
    expressions: (label, [Ke] coefficients) of faces to show besides the
      basis' own columns.
    modes: how many modes of a Gaussian basis to show; None for all.

  Returns:
    The files.
  """
  folder = pathlib.Path(folder)
  sheets = {
    "views.png": views_sheet(model),
    "landmarks.png": landmark_sheet(model, derived_landmarks),
  }
  for group in ("identity", "expression", "albedo"):
    if getattr(model, group).shape[-1]:
      sheets[f"{group}.png"] = mode_sheet(model, group, modes)
  if expressions:
    sheets["expressions.png"] = expression_sheet(model, expressions)
  return [
    figures.save_image(folder / name, sheet) for name, sheet in sheets.items()
  ]


def views_sheet(model: MorphableModel) -> np.ndarray:
  """The mean from five sides, in colour and as grey geometry."""
  code = _mean_code(model)
  rows = [
    [_draw(shown, code, yaw=yaw) for yaw in _YAWS]
    for shown in (model, studio.clay(model, _CLAY))
  ]
  return figures.contact_sheet(
    rows, column_labels=[f"yaw {yaw:+.0f}" for yaw in _YAWS]
  )


def landmark_sheet(
  model: MorphableModel, derived: Sequence[int] = ()
) -> np.ndarray:
  """The mean with its numbered landmarks, frontal and from both sides."""
  code = _mean_code(model)
  clay = studio.clay(model, _CLAY)
  images = []
  for yaw in (-40.0, 0.0, 40.0):
    image = Image.fromarray(_draw(clay, code, yaw=yaw, size=_LARGE))
    points = np.asarray(_project(model, code, math.radians(yaw), size=_LARGE))
    _number(image, points, set(derived))
    images.append(np.asarray(image))
  return figures.contact_sheet([images])


def mode_sheet(
  model: MorphableModel, group: str, modes: int | None = _MODES
) -> np.ndarray:
  """Columns of a basis, the first `modes` at both ends (all at weight 1)."""
  values = getattr(model, group).shape[-1]
  blend = group == "expression" and model.expression_kind == "blendshape"
  names = getattr(model, f"{group}_names", ()) or [
    str(k) for k in range(values)
  ]
  count = values if blend else min(values, modes or values)
  ends = (1.0,) if blend else (-_FAR, _FAR)
  cells, labels = [], []
  for column in range(count):
    for end in ends:
      row = jnp.zeros(values).at[column].set(end)
      code = _mean_code(model).replace(**{group: row})
      cells.append(_draw(model, code, height=_CLOSE))
      labels.append(names[column] if blend else f"{names[column]} {end:+.0f}")
  # Both ends of a mode stand side by side.
  return _labelled(cells, labels, columns=_COLUMNS * len(ends))


def expression_sheet(
  model: MorphableModel, expressions: Sequence[tuple[str, np.ndarray]]
) -> np.ndarray:
  """Named expressions of the mean face."""
  cells = []
  for _, coefficients in expressions:
    row = jnp.asarray(coefficients, jnp.float32)
    code = _mean_code(model).replace(expression=row)
    cells.append(_draw(model, code, height=_CLOSE))
  return _labelled(cells, [label for label, _ in expressions])


def _labelled(cells, labels, columns=_COLUMNS):
  """A table whose cells carry their labels."""
  font = ImageFont.load_default(18)
  marked = []
  for cell, label in zip(cells, labels, strict=True):
    image = Image.fromarray(cell)
    ImageDraw.Draw(image).text((6, 4), label, fill=_DOT, font=font)
    marked.append(np.asarray(image))
  rows = [marked[k : k + columns] for k in range(0, len(marked), columns)]
  return figures.contact_sheet(rows)


def developed(picture: renderer.Rendering, samples: int):
  """A rendering over dark grey, [H / samples, W / samples, 3] sRGB."""
  size = picture.image.shape[0] // samples
  image = jnp.where(picture.mask[..., None], picture.image, _BACKGROUND)
  image = image.reshape(size, samples, size, samples, 3).mean(axis=(1, 3))
  return color.linear_to_srgb(image)


def _number(image, points, derived):
  draw = ImageDraw.Draw(image)
  font = ImageFont.load_default(12)
  for index, (x, y) in enumerate(points):
    fill = _DERIVED if index in derived else _DOT
    draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill=fill, outline=_OUTLINE)
    draw.text(
      (x + 4, y - 6), str(index), fill=fill, font=font,
      stroke_width=1, stroke_fill=_OUTLINE,
    )  # fmt: skip


def _mean_code(model):
  return code_vector.CodeVector(
    identity=jnp.zeros(model.identity.shape[-1]),
    expression=jnp.zeros(model.expression.shape[-1]),
    albedo=jnp.zeros(model.albedo.shape[-1]),
    rotation=jnp.zeros(3),
    translation=jnp.zeros(3),
    illumination=studio.light(),
  )


def _placed(model, code, yaw, height):
  """Turned about the middle of the head, framed as a portrait."""
  marks = model.mean[model.landmarks]
  middle = 0.5 * (marks.min(axis=0) + marks.max(axis=0)) + _ABOUT
  rotation = jnp.array([0.0, 1.0, 0.0]) * yaw
  turned = geometry.to_camera(middle, rotation, jnp.zeros(3))
  distance = geometry.reference_camera(1).focal * height
  away = -turned - jnp.array([0.0, 0.0, 1.0]) * distance
  return code.replace(rotation=rotation, translation=away)


def _draw(model, code, *, yaw=0.0, size=None, height=_HEIGHT):
  image = _render(model, code, math.radians(yaw), height, size=size or _SIZE)
  return figures.to_bytes(np.asarray(image))


@functools.partial(jax.jit, static_argnames="size")
def _project(model, code, yaw, *, size):
  camera = geometry.reference_camera(size)
  placed = _placed(model, code, yaw, _HEIGHT)
  return renderer.project_landmarks(model, camera, placed)


@functools.partial(jax.jit, static_argnames="size")
def _render(model, code, yaw, height, *, size):
  large = size * _SAMPLES
  camera = geometry.reference_camera(large)
  placed = _placed(model, code, yaw, height)
  full = renderer.render(model, camera, placed, height=large, width=large)
  return developed(full, _SAMPLES)
