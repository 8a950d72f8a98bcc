"""Suite `synthetic`: held-out faces of the encoder's own model and prior."""

from __future__ import annotations

import functools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np

from facerec_jax import framed_faces
from facerec_jax import refining
from facerec_jax import scenes
from facerec_jax import trained_encoder
from facerec_jax import training_run
from facerec_jax.evaluation import drawing
from facerec_jax.evaluation import groups
from facerec_jax.evaluation import outcome
from facerec_jax.face import alignment
from facerec_jax.face import morphable_model
from facerec_jax.results import figures
from facerec_jax.results import heat_maps
from facerec_jax.results import report
from facerec_jax.training import evaluation
from facerec_jax.training import steps

NAME = "synthetic"
_TEXT = (
  "Faces of the encoder's own model, drawn from its prior with the seed of "
  "held-out data. Errors of the whole shape are after rigid alignment."
)
_CHUNK = 16
_LIMIT = 10.0


def run(
  encoder: trained_encoder.TrainedEncoder,
  folder: pathlib.Path,
  *,
  count: int,
  refiner: refining.Refiner | None = None,
) -> outcome.Outcome:
  """Measures an encoder on synthetic faces.

  Args:
    encoder: a trained one.
    folder: of the pictures.
    count: of faces.
    refiner: of the encoder's codes, or None.

  Returns:
    One example a face.
  """
  scene, found = read_held_out(encoder, count)
  if refiner is not None:
    found = _refined(encoder, refiner, scene, found)
  true, read = found.true, found.read
  grouper = groups.Grouper(encoder.model, encoder.layout)
  examples = tuple(
    outcome.Example(
      name=f"{index:05d}",
      errors={k: float(v[index, 0]) for k, v in found.errors.items()},
      mean_face={k: float(v[index, 1]) for k, v in found.errors.items()},
      groups=grouper.groups(true[index]),
    )
    for index in range(len(true))
  )
  return outcome.Outcome(
    name=NAME,
    text=_TEXT,
    examples=examples,
    headline=("vertex_mm", "pose_deg", "landmark_nme", "photometric"),
    figures=_draw(encoder, scene, folder, true, read, examples),
  )


def read_held_out(
  encoder: trained_encoder.TrainedEncoder, count: int
) -> tuple[steps.Scene, evaluation.Readings]:
  """Lets an encoder read the first held-out faces.

  Args:
    encoder: a trained one.
    count: of faces.

  Returns:
    (what the faces come from, what was read of them).
  """
  experiment, state = encoder.experiment, encoder.state
  scene = scenes.held_out_scene(experiment, state.code_mean, state.code_std)
  return scene, training_run.evaluate_each(experiment, state, scene, count)


def image(
  encoder: trained_encoder.TrainedEncoder, scene: steps.Scene, index: int
) -> np.ndarray:
  """The image [S, S, 3] of a held-out face."""
  return _held_out(encoder, scene, index).image


def _held_out(encoder, scene, index):
  """The example of a held-out face, on the host."""
  experiment = encoder.experiment
  step, place = divmod(index, experiment.batch_size)
  example = _example(experiment.make_batch, scene, step, place)
  return jax.tree.map(lambda leaf: np.asarray(leaf[0]), example)


def _refined(encoder, refiner, scene, found):
  """What was read, after refinement."""
  faces = [_held_out(encoder, scene, k) for k in range(len(found.true))]
  images = [face.image for face in faces]
  read = framed_faces.refine(
    refiner,
    images,
    np.stack([face.landmarks for face in faces]),
    [refining.read(encoder, image[None], refiner)[0] for image in images],
  )
  errors = [
    _errors(encoder.layout, encoder.image_size, scene, *codes)
    for codes in zip(read, found.true, strict=True)
  ]
  both = {
    name: np.stack([[float(face[name]) for face in errors], old[:, 1]], axis=1)
    for name, old in found.errors.items()
  }
  return found._replace(read=read, errors=both)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _errors(layout, image_size, scene, predicted, true):
  return evaluation.code_errors(
    scene.model,
    scene.space,
    predicted,
    true,
    layout=layout,
    image_size=image_size,
  )


def _draw(encoder, scene, folder, true, read, examples):
  mean = _mean_vertex_error(encoder, true, read)
  heat = heat_maps.write_heat_map(
    folder / "heat.png",
    encoder.model,
    np.asarray(encoder.model.mean),
    mean,
    label="mean vertex error, mm",
  )
  errors = np.array([example.errors["vertex_mm"] for example in examples])
  return (
    report.Figure(heat, "where the shape is wrong, on average"),
    *drawing.extreme_sheets(
      folder,
      errors,
      lambda k: _row(encoder, scene, k, true[k], read[k]),
      columns=("image", "true face", "read face", f"error, 0-{_LIMIT:g} mm"),
      label=lambda k: f"{examples[k].name}: {errors[k]:.1f} mm",
      caption="shapes (vertices after rigid alignment)",
    ),
  )


def _row(encoder, scene, index, true, read):
  model = encoder.model
  codes = [encoder.layout.unflatten(jnp.asarray(code)) for code in (true, read)]
  faces = [drawing.draw(model, code).over() for code in codes]
  distance = _vertex_errors(model, encoder.layout, true[None], read[None])[0]
  shape = morphable_model.vertices(
    model, codes[0].identity, codes[0].expression
  )
  heat = heat_maps.heat_view(
    model,
    np.asarray(shape),
    np.asarray(distance),
    limit=_LIMIT,
    size=drawing.SIZE,
  )
  picture = drawing.enlarge(image(encoder, scene, index))
  return [figures.to_bytes(picture), *faces, heat]


@functools.partial(jax.jit, static_argnums=0)
def _example(make_batch, scene, step, index):
  return make_batch(
    scene.seed_key, step, jnp.array([index]), scene.model, scene.bank
  )


def _mean_vertex_error(encoder, true, read):
  """[V] mm, mean over the examples."""
  total = np.zeros(encoder.model.num_vertices)
  for start in range(0, len(true), _CHUNK):
    part = slice(start, start + _CHUNK)
    errors = _vertex_errors(
      encoder.model, encoder.layout, true[part], read[part]
    )
    total += np.asarray(errors).sum(axis=0)
  return total / len(true)


@functools.partial(jax.jit, static_argnums=1)
def _vertex_errors(model, layout, true, read):
  """[B, V] mm after rigid alignment of the face."""
  weights = morphable_model.face_weights(model)

  def errors(true, read):
    goal, got = (
      morphable_model.vertices(model, code.identity, code.expression)
      for code in map(layout.unflatten, (true, read))
    )
    aligned = alignment.align_rigidly(got, goal, weights)
    return jnp.linalg.norm(aligned - goal, axis=-1)

  return jax.vmap(errors)(true, read)
