"""How well codes are read: errors in units that people know."""

from __future__ import annotations

from collections.abc import Callable
import functools
from typing import NamedTuple

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from facerec_jax.face import alignment
from facerec_jax.face import code_vector
from facerec_jax.face import landmarks
from facerec_jax.face import morphable_model
from facerec_jax.render import color
from facerec_jax.render import geometry
from facerec_jax.render import renderer
from facerec_jax.training import losses
from facerec_jax.training import parallel
from facerec_jax.training import steps


def code_errors(
  model: morphable_model.MorphableModel,
  space: losses.CodeSpace,
  predicted,
  true,
  *,
  layout: code_vector.CodeLayout,
  image_size: int,
) -> dict[str, jax.Array]:
  """Errors of one code against the true one.

  Args:
    model: the morphable model.
    space: statistics of the codes; its camera is the reference camera.
    predicted: [D].
    true: [D].
    layout: of the codes.
    image_size: px, of the photometric comparison.

  Returns:
    Scalars: `<group>_sd` root-mean-square error of each code group in standard
    deviations of the training codes; `pitch_deg`, `yaw_deg`, `roll_deg`
    absolute, `pose_deg` of the rotation between the two poses;
    `vertex_mm` mean distance over the face (`face_weights`) after rigid
    alignment; `posed_vertex_mm` without alignment, mean depth removed;
    `landmark_nme` of points 17-67;
    `photometric` mean absolute difference of sRGB inside the true mask.
  """
  errors = _group_errors(space, predicted, true, layout)
  got, want = layout.unflatten(predicted), layout.unflatten(true)
  errors.update(_pose_errors(got.rotation, want.rotation))
  shapes = [
    morphable_model.vertices(model, code.identity, code.expression)
    for code in (got, want)
  ]
  weights = morphable_model.face_weights(model)
  aligned = alignment.align_rigidly(*shapes, weights)
  errors["vertex_mm"] = _mean_distance(aligned, shapes[1], weights)
  posed = [renderer.posed_vertices(model, code) for code in (got, want)]
  # The distance of the camera shows in the size alone, poorly.
  depth = jnp.mean(posed[1][:, 2] - posed[0][:, 2])
  shift = jnp.zeros(3).at[2].set(depth)
  errors["posed_vertex_mm"] = _mean_distance(
    posed[0] + shift, posed[1], weights
  )
  points = [
    renderer.project_landmarks(model, space.camera, code)
    for code in (got, want)
  ]
  errors["landmark_nme"] = landmarks.normalized_mean_error(*points)
  renderings = [
    renderer.render(
      model, space.camera, code, height=image_size, width=image_size
    )
    for code in (got, want)
  ]
  errors["photometric"] = _photometric_error(*renderings)
  return errors


def _photometric_error(got, want):
  colors = [color.linear_to_srgb(rendering.image) for rendering in (got, want)]
  difference = jnp.abs(colors[0] - colors[1]).mean(axis=-1)
  return jnp.sum(difference * want.mask) / jnp.maximum(want.mask.sum(), 1)


def _group_errors(space, predicted, true, layout):
  standard = (predicted - true) / space.std
  return {
    f"{name}_sd": jnp.sqrt(jnp.mean(standard[part] ** 2))
    for name, part in layout.slices.items()
    if part.stop > part.start
  }


def _pose_errors(got, want):
  names = ("pitch_deg", "yaw_deg", "roll_deg")
  errors = dict(zip(names, jnp.rad2deg(jnp.abs(got - want)), strict=True))
  between = geometry.rotation_matrix(got) @ geometry.rotation_matrix(want).T
  cosine = jnp.clip((jnp.trace(between) - 1.0) / 2.0, -1.0, 1.0)
  errors["pose_deg"] = jnp.rad2deg(jnp.arccos(cosine))
  return errors


def _mean_distance(first, second, weights):
  distance = jnp.linalg.norm(first - second, axis=-1)
  return weights @ distance / jnp.sum(weights)


def evaluate(
  state: steps.TrainState,
  scene: steps.Scene,
  *,
  encoder: nn.Module,
  layout: code_vector.CodeLayout,
  make_examples: Callable,
  image_size: int,
  num_batches: int,
) -> dict[str, float]:
  """Errors of an encoder on held-out synthetic faces, on all devices.

  Args:
    state: replicated.
    scene: replicated, with the held-out bank and seed.
    encoder: images -> outputs.
    layout: of the codes.
    make_examples: (scene, step) -> examples, of one device.
    image_size: px.
    num_batches: global batches to average over.

  Returns:
    Means of `code_errors`, and under `mean_face/<name>` those of always
    answering the mean code.
  """
  examples_of = parallel.parallelize(make_examples)
  errors_of = parallel.parallelize(_mean_errors(encoder, layout, image_size))
  totals = [
    jax.device_get(
      parallel.unreplicate(
        errors_of(
          state, scene, examples_of(scene, parallel.replicate(jnp.int32(step)))
        )
      )
    )
    for step in range(num_batches)
  ]
  return {
    name: float(np.mean([values[name] for values in totals]))
    for name in totals[0]
  }


class Readings(NamedTuple):
  """What an encoder read from n images.

  Attributes:
    true: [n, D] codes.
    read: [n, D] codes.
    errors: name of `code_errors` -> [n, 2]: of the encoder, and of always
      answering the mean code.
  """

  true: np.ndarray
  read: np.ndarray
  errors: dict[str, np.ndarray]


def evaluate_each(
  state: steps.TrainState,
  scene: steps.Scene,
  *,
  encoder: nn.Module,
  layout: code_vector.CodeLayout,
  make_examples: Callable,
  image_size: int,
  num_batches: int,
) -> Readings:
  """As `evaluate`, but example by example, of this host's devices.

  Args:
    state: replicated.
    scene: replicated.
    encoder: images -> outputs.
    layout: of the codes.
    make_examples: (scene, step) -> examples, of one device.
    image_size: px.
    num_batches: global batches.

  Returns:
    num_batches times the host's batch, in the order of the examples' indices.
  """
  examples_of = parallel.parallelize(make_examples)
  errors_of = parallel.parallelize(_errors(encoder, layout, image_size))
  found = []
  for step in range(num_batches):
    examples = examples_of(scene, parallel.replicate(jnp.int32(step)))
    batch = Readings(examples.code, *errors_of(state, scene, examples))
    # [devices, B, ...] -> [devices * B, ...]
    found.append(jax.tree.map(np.concatenate, jax.device_get(batch)))
  return jax.tree.map(lambda *parts: np.concatenate(parts), *found)


@functools.lru_cache
def _errors(encoder, layout, image_size):
  """(state, scene, examples) -> (codes read, errors), see `Readings`."""

  def run(state, scene, examples):
    read = steps.predict(encoder, state, examples.image)
    errors_of = functools.partial(
      code_errors,
      scene.model,
      scene.space,
      layout=layout,
      image_size=image_size,
    )
    # Both answers pass through one vmap: half of the program to compile.
    mean = jnp.broadcast_to(state.code_mean, read.shape)
    answers = jnp.stack([read, mean], axis=1)
    errors = jax.vmap(jax.vmap(errors_of, in_axes=(0, None)))(
      answers, examples.code
    )
    return read, errors

  return run


@functools.lru_cache
def _mean_errors(encoder, layout, image_size):
  errors_of = _errors(encoder, layout, image_size)

  def run(state, scene, examples):
    _, errors = errors_of(state, scene, examples)
    return parallel.mean(
      {
        prefix + name: values[:, index].mean()
        for index, prefix in enumerate(("", "mean_face/"))
        for name, values in errors.items()
      }
    )

  return run
