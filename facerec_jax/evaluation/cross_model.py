"""Suite `cross_model`: faces of another morphable model, its shapes true.

They are rendered by our renderer with our skin and light, so that the shape
alone is foreign: what the encoder has learned from its own model does not span
them.
"""

from __future__ import annotations

import dataclasses
import functools
import pathlib
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from facerec_jax import framed_faces
from facerec_jax import refining
from facerec_jax import trained_encoder
from facerec_jax.evaluation import dense
from facerec_jax.evaluation import drawing
from facerec_jax.evaluation import groups
from facerec_jax.evaluation import outcome
from facerec_jax.evaluation import scan_distance
from facerec_jax.evaluation import scan_meter
from facerec_jax.evaluation import scan_sampling
from facerec_jax.face import morphable_model
from facerec_jax.model_files import correspondence
from facerec_jax.results import figures
from facerec_jax.results import heat_maps
from facerec_jax.results import report
from facerec_jax.synthesis import code_bank
from facerec_jax.synthesis import priors
from facerec_jax.synthesis import synthesis

NAME = "cross_model"
_POINTS = 8000
_LIMIT = 6.0


class _Measured(NamedTuple):
  """One face: its example, its scan's reading, its vertices' errors [V] mm."""

  example: outcome.Example
  reading: scan_meter.Reading
  vertex: np.ndarray


def run(
  encoder: trained_encoder.TrainedEncoder,
  folder: pathlib.Path,
  *,
  other: morphable_model.MorphableModel,
  count: int,
  seed: int = 0,
  refiner: refining.Refiner | None = None,
) -> outcome.Outcome:
  """Measures an encoder on the faces of another model.

  Args:
    encoder: a trained one.
    folder: of the pictures.
    other: whose faces are drawn, from its own prior.
    count: of faces.
    seed: of the faces.
    refiner: of the encoder's codes, or None.

  Returns:
    One example a face.
  """
  layout = _layout(encoder, other)
  faces = _sample(encoder, other, layout, count, seed)
  read = [
    np.asarray(refining.read(encoder, image[None], refiner)[0])
    for image in faces.image
  ]
  if refiner is not None:
    read = framed_faces.refine(
      refiner, faces.image, faces.landmarks, read, seed=seed
    )
  judge = _Judge(encoder, other, layout)
  measured = [
    judge.measure(f"{index:04d}", faces.code[index], read[index])
    for index in range(count)
  ]
  return outcome.Outcome(
    name=NAME,
    text=_text(other, judge.compared),
    examples=tuple(m.example for m in measured),
    headline=("neutral_vertex_mm", "now_mm", "metric_mm"),
    distances=scan_meter.pool([m.reading for m in measured]),
    figures=(
      *_heat_maps(encoder, folder, measured),
      *_extremes(encoder, folder, faces, read, measured),
    ),
  )


def _text(other, compared):
  return (
    f"Faces of {other.name or 'the other model'}, drawn from its own prior, "
    "rendered with our light and camera. Vertices: distance after rigid "
    f"alignment, through dense correspondence of {int(compared.weights.sum())} "
    "vertices. Scan to mesh: as the NoW benchmark measures, from "
    f"{_POINTS} points spread evenly over each neutral face; the encoder's "
    "face without expression."
  )


def _layout(encoder, other):
  sizes = {
    group: getattr(other, group).shape[-1]
    for group in ("identity", "expression", "albedo")
  }
  return dataclasses.replace(encoder.layout, **sizes)


def _sample(encoder, other, layout, count, seed):
  """[count, ...] examples: one row of the prior each."""
  experiment = encoder.experiment
  bank_key, image_key = jax.random.split(jax.random.key(seed))
  bank = priors.make_bank(
    bank_key,
    other,
    layout,
    camera=experiment.camera,
    size=count,
    prior=experiment.prior,
  )
  synthesize = functools.partial(
    _synthesize,
    layout=layout,
    image_size=experiment.image_size,
    options=experiment.options,
  )
  parts = [
    jax.device_get(synthesize(image_key, index, other, bank))
    for index in range(count)
  ]
  return jax.tree.map(lambda *leaves: np.stack(leaves), *parts)


@functools.partial(jax.jit, static_argnames=("layout", "image_size", "options"))
def _synthesize(key, index, model, bank, *, layout, image_size, options):
  row = code_bank.create(bank.centers[index][None])
  return synthesis.synthesize(
    jax.random.fold_in(key, index),
    model,
    row,
    layout=layout,
    image_size=image_size,
    options=options,
  )


class _Judge:
  """Measures what was read of the other model's faces."""

  def __init__(self, encoder, other, layout):
    self.compared = dense.correspond(encoder.model, other)
    self._encoder, self._other, self._layout = encoder, other, layout
    self._meter = scan_meter.ScanMeter(encoder.model)
    self._samples = scan_sampling.scan_points(other, _POINTS)
    self._grouper = groups.Grouper(other, layout)
    marks = np.asarray(other.landmarks)
    self._marks = marks[list(scan_distance.LANDMARKS)]

  def measure(self, name, true, flat) -> _Measured:
    code = self._layout.unflatten(jnp.asarray(true))
    goals = _shapes(self._other, code)
    carried = [self.compared.carry(points) for points in goals]
    own = self._encoder.layout
    found = [
      _shapes(self._encoder.model, own.unflatten(jnp.asarray(answer)))
      for answer in (flat, self._encoder.state.code_mean)
    ]
    vertex = [
      [self._distance(*pair) for pair in zip(shapes, carried, strict=True)]
      for shapes in found
    ]
    reading = self._meter.measure(
      found[0][0],
      scan_distance.Scan(self._samples.at(goals[0]), goals[0][self._marks]),
    )
    names = ("neutral_vertex_mm", "vertex_mm")
    errors, mean_face = (
      dict(zip(names, map(_mean, pair), strict=True)) for pair in vertex
    )
    example = outcome.Example(
      name,
      errors=errors | reading.errors,
      mean_face=mean_face | reading.mean_face,
      groups=self._grouper.groups(true),
    )
    return _Measured(example, reading, vertex[0][0])

  def _distance(self, points, goal):
    """[V] mm after rigid alignment; NaN where there is no counterpart."""
    weights = self.compared.weights
    moved = correspondence.fit_similarity(points, goal, weights, scale=False)
    distance = np.linalg.norm(moved(points) - goal, axis=1)
    return np.where(weights > 0, distance, np.nan)


def _mean(distance):
  return float(np.nanmean(distance))


def _shapes(model, code):
  """(neutral, with expression), [V, 3] mm each."""
  return [
    np.asarray(
      morphable_model.vertices(model, code.identity, expression), float
    )
    for expression in (0.0 * code.expression, code.expression)
  ]


def _heat_maps(encoder, folder, measured):
  values = {
    "vertex error": np.mean([m.vertex for m in measured], axis=0),
    "distance from the scan": scan_meter.mean_of_vertices(
      [m.reading for m in measured]
    ),
  }
  for number, (label, value) in enumerate(values.items()):
    path = heat_maps.write_heat_map(
      folder / f"heat_{number}.png",
      encoder.model,
      np.asarray(encoder.model.mean),
      value,
      label="mean over the faces, mm",
    )
    yield report.Figure(path, f"{label} of the neutral face, mean")


def _extremes(encoder, folder, faces, read, measured):
  errors = np.array([m.example.errors["now_mm"] for m in measured])
  return drawing.extreme_sheets(
    folder,
    errors,
    lambda k: _row(encoder, faces.image[k], read[k], measured[k].reading),
    columns=("image", "read face", f"distance, 0-{_LIMIT:g} mm"),
    label=lambda k: f"{measured[k].example.name}: {errors[k]:.2f} mm",
    caption="by scan-to-mesh distance",
  )


def _row(encoder, image, flat, reading):
  code = encoder.layout.unflatten(jnp.asarray(flat))
  heat = heat_maps.heat_view(
    encoder.model,
    _shapes(encoder.model, code)[0],
    reading.vertex,
    limit=_LIMIT,
    size=drawing.SIZE,
  )
  picture = figures.to_bytes(drawing.enlarge(image))
  return [picture, drawing.draw(encoder.model, code).over(picture), heat]
