"""Pictures of faces as an encoder sees and reads them."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence
import math
import pathlib
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from facerec_jax.face import code_vector
from facerec_jax.face import morphable_model
from facerec_jax.render import color
from facerec_jax.render import geometry
from facerec_jax.render import illumination
from facerec_jax.render import renderer
from facerec_jax.results import figures
from facerec_jax.results import report

SIZE = 224
_SAMPLES = 2
_SHOWN = 4
_CLAY = 0.55
_BACKGROUND = 0.13


class View(NamedTuple):
  """A rendering of a code in the reference camera.

  Attributes:
    image: [SIZE, SIZE, 3] sRGB in [0, 1], where alpha > 0.
    alpha: [SIZE, SIZE] share of each pixel that the face covers.
  """

  image: np.ndarray
  alpha: np.ndarray

  def over(self, background: np.ndarray | None = None) -> np.ndarray:
    """Over a picture [SIZE, SIZE, 3], or over dark grey; uint8."""
    if background is None:
      background = np.full_like(self.image, _BACKGROUND)
    return figures.overlay(background, self.image, self.alpha)


def draw(
  model: morphable_model.MorphableModel, code: code_vector.CodeVector
) -> View:
  """Renders a code, without batch axes, as the encoder's square shows it."""
  return View(*map(np.asarray, _render(model, code)))


def clay(model: morphable_model.MorphableModel):
  """The model in one grey, to look at shapes alone."""
  return model.replace(
    albedo_mean=jnp.full_like(model.albedo_mean, _CLAY),
    albedo=jnp.zeros_like(model.albedo),
  )


def studio_light() -> np.ndarray:
  """[9, 3] illumination that shows shapes."""
  direction = np.array([-0.45, 0.55, 1.0])
  direction /= np.linalg.norm(direction)
  key = illumination.directional_light(direction, np.full(3, 0.75 * math.pi))
  return np.asarray(key + illumination.ambient_light(np.full(3, 0.35)))


@jax.jit
def _render(model, code):
  full = renderer.render(
    model,
    geometry.reference_camera(SIZE),
    code,
    height=SIZE,
    width=SIZE,
    supersampling=_SAMPLES,
  )
  alpha = full.coverage
  image = full.image / jnp.maximum(alpha, 0.5 / _SAMPLES**2)[..., None]
  return color.linear_to_srgb(image), alpha


def enlarge(image: np.ndarray) -> np.ndarray:
  """An encoder's image [S, S, 3] at SIZE."""
  shape = (SIZE, SIZE, 3)
  return np.asarray(jax.image.resize(jnp.asarray(image), shape, "linear"))


def extreme_sheets(
  folder: pathlib.Path,
  errors: np.ndarray,
  row: Callable[[int], Sequence[np.ndarray]],
  *,
  columns: Sequence[str],
  label: Callable[[int], str],
  caption: str,
) -> list[report.Figure]:
  """Writes best.png and worst.png.

  Args:
    folder: of the pictures.
    errors: [n]; NaN where not measured.
    row: index -> pictures of one size.
    columns: labels of the pictures.
    label: index -> label of the row.
    caption: what "best" is judged by.

  Returns:
    The pictures that there is an example for.
  """
  pictures = []
  for name, indices in zip(
    ("best", "worst"), extremes(errors, _SHOWN), strict=True
  ):
    if indices:
      sheet = figures.contact_sheet(
        [row(index) for index in indices],
        column_labels=columns,
        row_labels=[label(index) for index in indices],
      )
      path = figures.save_image(folder / f"{name}.png", sheet)
      pictures.append(report.Figure(path, f"{name} {caption}"))
  return pictures


def extremes(errors: np.ndarray, count: int) -> tuple[list[int], list[int]]:
  """Indices of the smallest finite errors and, worst first, of the largest.

  At most `count` of each; no example is in both.
  """
  order = np.argsort(errors)[: np.isfinite(errors).sum()]
  best = order[: min(count, -(-len(order) // 2))]
  worst = order[len(best) :][::-1][:count]
  return list(map(int, best)), list(map(int, worst))
