"""Does bootstrapping gain where the truth is known? Another model's faces.

Faces of ICT-FaceKit (or --other) in the built-in skin, seen by another camera,
in other light, with other poses and expressions, play the photographs. Their
landmarks are disturbed as a detector's are. Their true vertices and landmarks
judge every round, on faces that no round has seen. Each variant leaves one
ingredient out; `prior` only trains on, as long as the others.

  python experiments/adapt_to_another_model.py --checkpoint=runs/quick
    --workdir=runs/another [--variants=rerender,self_supervised]
"""

from __future__ import annotations

from collections.abc import Iterator
import dataclasses
import functools
import json
import pathlib
from typing import NamedTuple

from absl import flags
from absl import logging
import adaptation
import jax
import jax.numpy as jnp
from judges import targets
import numpy as np

from configs import bootstrap as bootstrap_config
from facerec_jax import app
from facerec_jax import bootstrap
from facerec_jax import framed_faces
from facerec_jax import model_files
from facerec_jax import trained_encoder
from facerec_jax.bootstrapping import guards
from facerec_jax.bootstrapping import readings
from facerec_jax.bootstrapping import rounds
from facerec_jax.bootstrapping import summary
from facerec_jax.evaluation import dense
from facerec_jax.evaluation import statistics
from facerec_jax.face import alignment
from facerec_jax.face import landmarks as landmark_points
from facerec_jax.photos import datasets
from facerec_jax.render import renderer
from facerec_jax.synthesis import code_bank
from facerec_jax.synthesis import priors
from facerec_jax.synthesis import synthesis

_CHECKPOINT = app.define_checkpoint()
_WORKDIR = app.define_workdir()
_OTHER = flags.DEFINE_string(
  "other", None, "Face model of the 'photographs'; default ICT of FACEREC_DATA."
)
_COUNT = flags.DEFINE_integer("count", 192, "Faces, a third held out.")
_ADAPTED = flags.DEFINE_integer(
  "adapted", None, "Only so many are adapted to, and all others held out."
)
_STEPS = flags.DEFINE_integer("steps", 25, "Steps of a round.")
_ROUNDS = flags.DEFINE_integer("rounds", 3, "Rounds.")
_NOISE = flags.DEFINE_float(
  "landmark_noise",
  framed_faces.DETECTOR_ERROR,
  "Error of landmarks, share of the outer eye distance.",
)
_AUGMENTATION = flags.DEFINE_bool(
  "augmentation", True, "Whether photographs are augmented."
)
_VARIANTS = flags.DEFINE_list(
  "variants", ["prior", "rerender", "self_supervised"], "Or all."
)

# Changes of config.bootstrap.
VARIANTS = {
  "prior": dict(stage="rerender", prior_share=1.0),
  "rerender": dict(stage="rerender"),
  "rerender without clipping": dict(stage="rerender", clip=False),
  "rerender without prior": dict(stage="rerender", prior_share=0.0),
  "rerender without noise": dict(stage="rerender", scales={}),
  "rerender fitted codes": dict(stage="rerender", refine_steps=40),
  "self_supervised": {},
  "self_supervised without prior": dict(prior_share=0.0),
  "self_supervised without landmarks": dict(objective=dict(landmarks=0.0)),
  "self_supervised without colours": dict(objective=dict(pixels=0.0)),
  "self_supervised alone": dict(fine_tuning=dict(synthetic=0.0)),
  "self_supervised other exposures only": dict(
    fine_tuning=dict(augmentation=dict(gain=0.15, cast=0.04))
  ),
}
# Another population and another camera than those of training.
_PRIOR = priors.Prior(
  rotation_scale=0.8,
  wide_share=0.0,
  neutral_share=0.5,
  emotion_share=0.5,
  exposure_spread=0.2,
)
_OPTIONS = synthesis.Options(
  field_of_view=30.0,
  blur=2.5,
  cast_spread=0.06,
  noise=0.035,
  grey_share=0.0,
  supersampling=2,
)
_BATCH = 16


class World(NamedTuple):
  """The 'photographs' and their truth.

  Attributes:
    photos: as for bootstrapping.
    vertices: [N, V, 3] mm, posed, at the vertices of the encoder's model.
    weights: [V] of these, 0 where the models do not correspond.
    landmarks: [N, 68, 2] px, not disturbed.
  """

  photos: readings.Photos
  vertices: np.ndarray
  weights: np.ndarray
  landmarks: np.ndarray


def make_world(encoder: trained_encoder.TrainedEncoder, other) -> World:
  """Draws faces of another model."""
  sizes = {
    group: getattr(other, group).shape[-1]
    for group in ("identity", "expression", "albedo")
  }
  layout = dataclasses.replace(encoder.layout, **sizes)
  examples = _examples(encoder, other, layout)
  compared = dense.correspond(encoder.model, other)
  vertices, landmarks = [], []
  for flat in examples.code:
    posed, points = jax.device_get(_truth(layout, other, encoder.camera, flat))
    vertices.append(compared.carry(posed).astype(np.float32))
    landmarks.append(points)
  return World(
    photos=_photos(examples),
    vertices=np.stack(vertices),
    weights=compared.weights.astype(np.float32),
    landmarks=np.stack(landmarks),
  )


@functools.partial(jax.jit, static_argnums=0)
def _truth(layout, model, camera, flat):
  code = layout.unflatten(flat)
  return (
    renderer.posed_vertices(model, code),
    renderer.project_landmarks(model, camera, code),
  )


def _examples(encoder, other, layout) -> synthesis.Example:
  bank_key, image_key = jax.random.split(jax.random.key(2024))
  bank = priors.make_bank(
    bank_key,
    other,
    layout,
    camera=encoder.camera,
    size=_COUNT.value,
    prior=_PRIOR,
  )

  draw = functools.partial(_draw, layout, encoder.image_size)
  rows = [
    jax.device_get(draw(image_key, index, other, bank.centers[index]))
    for index in range(_COUNT.value)
  ]
  return jax.tree.map(lambda *leaves: np.stack(leaves), *rows)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _draw(layout, image_size, key, index, model, row):
  return synthesis.synthesize(
    jax.random.fold_in(key, index),
    model,
    code_bank.create(row[None]),
    layout=layout,
    image_size=image_size,
    options=_OPTIONS,
  )


def _photos(examples) -> readings.Photos:
  points = framed_faces.disturb(
    examples.landmarks, np.random.default_rng(7), _NOISE.value
  )
  size = examples.image.shape[1]
  hull = jax.vmap(
    functools.partial(landmark_points.hull_mask, height=size, width=size)
  )
  count = len(points)
  return bootstrap.as_photos(
    [f"face {index}" for index in range(count)],
    _held_out(count),
    datasets.PhotoBatch(
      images=np.round(255 * examples.image).astype(np.uint8),
      masks=np.asarray(hull(points)),
      landmarks=points,
    ),
    fingerprint=f"{_OTHER.value} {_NOISE.value}",
  )


def _held_out(count):
  if _ADAPTED.value is None:
    return np.arange(count) % 3 == 0
  return np.arange(count) >= _ADAPTED.value


def true_errors(
  encoder: trained_encoder.TrainedEncoder, world: World, codes: np.ndarray
) -> dict[str, np.ndarray]:
  """Errors of codes [n, D] of the held-out faces, [n] each."""
  part = world.photos.held_out
  found = [
    jax.device_get(
      _errors(
        encoder.layout, encoder.model, encoder.camera, world.weights, *row
      )
    )
    for row in zip(
      codes[part], world.vertices[part], world.landmarks[part], strict=True
    )
  ]
  return {name: np.array([f[name] for f in found]) for name in found[0]}


@functools.partial(jax.jit, static_argnums=0)
def _errors(layout, model, camera, weights, flat, goal, points):
  posed, seen = _truth(layout, model, camera, flat)
  weights = weights / weights.sum()
  # The distance of the camera shows in the size alone, poorly.
  depth = weights @ (goal - posed)[:, 2]
  shifted = posed + jnp.array([0.0, 0.0, 1.0]) * depth
  aligned = alignment.align_rigidly(posed, goal, weights)
  return {
    "posed_vertex_mm": weights @ jnp.linalg.norm(shifted - goal, axis=-1),
    "vertex_mm": weights @ jnp.linalg.norm(aligned - goal, axis=-1),
    "landmark_nme": landmark_points.normalized_mean_error(seen, points),
  }


def adapt(
  encoder: trained_encoder.TrainedEncoder,
  world: World,
  name: str,
  workdir: pathlib.Path,
) -> list[summary.Errors]:
  """Runs a variant; its true errors on held-out faces, round by round."""
  config = bootstrap_config.get_config("quick").to_dict()
  config.update(
    num_steps=_STEPS.value,
    checkpoint_every=_STEPS.value,
    batch_size=_BATCH,
    # The true errors judge; few synthetic faces do for the others.
    eval=dict(num_examples=32),
  )
  section = config["bootstrap"]
  if not _AUGMENTATION.value:
    section["fine_tuning"]["augmentation"] = {}
  for key, value in VARIANTS[name].items():
    is_part = isinstance(value, dict) and value
    section[key] = {**section[key], **value} if is_part else value
  section.update(
    checkpoint=_CHECKPOINT.value, photos="another model", rounds=_ROUNDS.value
  )
  found = adaptation.adapt(encoder, config, workdir, lambda _: world.photos)
  each = [true_errors(encoder, world, reading.codes) for reading in found]
  return [
    summary.Errors(name, error, np.stack([e[error] for e in each]))
    for error in each[0]
  ]


def lines(table: list[summary.Errors]) -> Iterator[str]:
  """Readable rows of one variant."""
  for row in table:
    factor = 100.0 if row.name == "landmark_nme" else 1.0
    means = (factor * row.values).mean(axis=1)
    cells = "  ".join(f"{value:6.2f}" for value in means)
    yield f"{row.examples:36}{row.name:18}{cells}  {_gain(row.gain)}"


def _gain(gain: statistics.Interval) -> str:
  return summary.format_gain(gain)


def main() -> None:
  """The script."""
  workdir = pathlib.Path(app.required("workdir", _WORKDIR.value))
  source = _OTHER.value or targets.data_folder()
  if source is None:
    raise app.UsageError("give --other, or set FACEREC_DATA")
  if not _OTHER.value:
    source = source / "ict_face_small.npz"
  encoder = trained_encoder.load(app.required("checkpoint", _CHECKPOINT.value))
  names = _VARIANTS.value
  if names == ["all"]:
    names = list(VARIANTS)
  unknown = set(names) - set(VARIANTS)
  if unknown:
    raise app.UsageError(
      f"--variants: {min(unknown)!r} is none of {', '.join(VARIANTS)}"
    )
  world = make_world(encoder, model_files.load(source))
  logging.info(
    "%d faces, %d held out", _COUNT.value, world.photos.held_out.sum()
  )
  results = {}
  for name in names:
    try:
      table = adapt(encoder, world, name, workdir / name.replace(" ", "_"))
    except (guards.CollapseError, rounds.NothingFitsError) as error:
      print(f"{name}: {error}")
      continue
    print(*lines(table), sep="\n", flush=True)
    results[name] = {
      row.name: [*row.values.mean(axis=1).tolist(), row.gain._asdict()]
      for row in table
    }
    (workdir / "results.json").write_text(json.dumps(results, default=float))


if __name__ == "__main__":
  app.run(main)
