"""Pictures of faces as an encoder sees and reads them."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence
import pathlib

import jax
import jax.numpy as jnp
import numpy as np

from facerec_jax.face import code_vector
from facerec_jax.face import morphable_model
from facerec_jax.render import color
from facerec_jax.render import geometry
from facerec_jax.render import renderer
from facerec_jax.results import face_views
from facerec_jax.results import figures
from facerec_jax.results import report

SIZE = 224
_SAMPLES = 2
_SHOWN = 4


def draw(
  model: morphable_model.MorphableModel,
  code: code_vector.CodeVector,
  field_of_view: float = geometry.REFERENCE_FIELD_OF_VIEW,
) -> face_views.View:
  """Renders a code, without batch axes, as the encoder's square shows it.

  The view has SIZE pixels a side.
  """
  drawn = _render(model, code, field_of_view)
  return face_views.View(*map(np.asarray, drawn))


@jax.jit
def _render(model, code, field_of_view):
  camera, code = geometry.dolly_zoom(
    geometry.reference_camera(SIZE), code, field_of_view
  )
  full = renderer.render(
    model,
    camera,
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
