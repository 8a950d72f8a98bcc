"""What an encoder reads from photographs, and how well it fits them."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
import dataclasses
import functools
import io
import os
import pathlib
from typing import NamedTuple
import zipfile

import jax
import jax.numpy as jnp
import numpy as np

from facerec_jax import experiment as experiments
from facerec_jax import training_run
from facerec_jax.training import photo_steps
from facerec_jax.training import refinement
from facerec_jax.training import self_supervision
from facerec_jax.training import steps

# Photographs read in one device call.
_BATCH = 32
# Errors of synthetic faces that are kept, of `evaluation.code_errors`.
SYNTHETIC = ("vertex_mm", "posed_vertex_mm", "landmark_nme", "photometric")


class Photos(NamedTuple):
  """Photographs to adapt to, and others to judge by.

  Attributes:
    files: N names.
    held_out: [N] bool, never adapted to.
    photo: with a leading axis N, images as bytes; NumPy arrays.
    fingerprint: of all of it.
  """

  files: tuple[str, ...]
  held_out: np.ndarray
  photo: self_supervision.Photo
  fingerprint: str


@dataclasses.dataclass(frozen=True, eq=False)
class Reading:
  """Everything that is known after some rounds; a file of the work folder.

  Attributes:
    codes: [N, D] what the encoder answers.
    color: [N] mean absolute difference of sRGB inside the mask between the
      photograph and the rendered answer.
    landmark: [N] mean distance of the points 17-67, share of the outer-canthal
      distance; NaN without landmarks.
    bank: [N, D] the codes that the next round's bank is made of: clipped and
      refined as configured.
    kept: [N] whether a row of `bank` is used.
    synthetic: {name: [n]} errors of held-out synthetic faces.
  """

  codes: np.ndarray
  color: np.ndarray
  landmark: np.ndarray
  bank: np.ndarray
  kept: np.ndarray
  synthetic: dict[str, np.ndarray]


class ReadingError(Exception):
  """A saved reading is missing, damaged or of other photographs."""


def read(
  experiment: experiments.Experiment,
  state: steps.TrainState,
  photos: Photos,
  scene: self_supervision.FittingScene,
) -> Reading:
  """Reads all photographs and judges the answers.

  Args:
    experiment: with `bootstrap` settings.
    state: of the encoder, of one device.
    photos: N photographs.
    scene: of the objective.

  Returns:
    The reading, without synthetic errors.

  Raises:
    ReadingError: an answer is not finite.
  """
  settings, layout = experiment.bootstrap, experiment.layout
  predict = functools.partial(
    _predict, experiment.encoder, experiment.options.face_mask, state
  )
  (codes,) = _in_batches(lambda photo: (predict(photo),), photos.photo)
  if not np.isfinite(codes).all():
    raise ReadingError("the encoder's codes are not finite; train it anew")
  judge = functools.partial(_judge, layout, settings.objective, scene)
  color, landmark = _in_batches(judge, photos.photo, codes)
  bank = codes
  if settings.clip:
    bank = np.clip(codes, scene.prior.low, scene.prior.high)
  if settings.refine_steps:
    schedule = refinement.Schedule(settings.refine_steps)
    refine = functools.partial(
      _refine, layout, settings.objective, schedule, scene
    )
    (bank,) = _in_batches(refine, photos.photo, bank)
  fit = (color, landmark)
  if bank is not codes:
    fit = _in_batches(judge, photos.photo, bank)
  return Reading(
    codes=codes,
    color=color,
    landmark=landmark,
    bank=bank,
    kept=~photos.held_out & _fits(*fit, settings.guards),
    synthetic={},
  )


def _fits(color, landmark, guards):
  # Without landmarks the colours decide alone.
  far = np.nan_to_num(landmark) > guards.max_landmark
  return (color <= guards.max_color) & ~far


def _in_batches(
  function: Callable, photo: self_supervision.Photo, *rows
) -> tuple[np.ndarray, ...]:
  """Applies a function of batches to all photographs, [N, ...] each.

  The last batch is filled up with copies: one program for all.
  """
  count = len(photo.image)
  size = min(_BATCH, count)
  found = []
  for index in _batches(count, size):
    batch = jax.tree.map(lambda leaf, index=index: leaf[index], (photo, *rows))
    found.append(jax.device_get(function(*batch)))
  return tuple(
    np.concatenate(part)[:count] for part in zip(*found, strict=True)
  )


def _batches(count, size) -> Iterator[np.ndarray]:
  for start in range(0, count, size):
    yield np.minimum(np.arange(start, start + size), count - 1)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _predict(encoder, face_mask, state, photo):
  images = photo_steps.encoder_images(photo, face_mask=face_mask)
  return steps.predict(encoder, state, images)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _judge(layout, objective, scene, photo, codes):
  def one(photo, flat):
    _, facts = self_supervision.energy(
      scene, photo, flat, layout=layout, objective=objective
    )
    known = jnp.where(photo.trust > 0, facts["landmark"], jnp.nan)
    return facts["color"], known

  return jax.vmap(one)(photo, codes)


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _refine(layout, objective, schedule, scene, photo, codes):
  def one(photo, flat):
    return refinement.refine(
      scene,
      photo,
      flat,
      layout=layout,
      schedule=schedule,
      objective=objective,
    ).flat

  return (jax.vmap(one)(photo, codes),)


def synthetic_errors(
  experiment: experiments.Experiment,
  state: steps.TrainState,
  scene: steps.Scene,
) -> dict[str, np.ndarray]:
  """Errors of held-out synthetic faces one by one, the same in every round.

  Args:
    experiment: with `eval` settings.
    state: of the encoder, of one device.
    scene: held-out.

  Returns:
    {name of `SYNTHETIC`: [n]}.
  """
  count = experiment.eval.num_examples
  each = training_run.evaluate_each(experiment, state, scene, count)
  # Beside each error stands that of the mean face.
  return {name: each.errors[name][:, 0] for name in SYNTHETIC}


def save(path: pathlib.Path, reading: Reading, photos: Photos) -> None:
  """Writes a reading in one piece."""
  arrays = {
    field.name: getattr(reading, field.name)
    for field in dataclasses.fields(Reading)
    if field.name != "synthetic"
  }
  arrays |= {f"synthetic/{k}": v for k, v in reading.synthetic.items()}
  arrays |= {"files": np.array(photos.files), "held_out": photos.held_out}
  stream = io.BytesIO()
  np.savez(stream, fingerprint=np.array(photos.fingerprint), **arrays)
  path.parent.mkdir(parents=True, exist_ok=True)
  partial = path.with_name(path.name + ".partial")
  partial.write_bytes(stream.getvalue())
  os.replace(partial, path)


def load(path: pathlib.Path, photos: Photos) -> Reading:
  """Reads what `save` wrote.

  Raises:
    ReadingError: it is damaged, or was made of other photographs.
  """
  try:
    with np.load(path, allow_pickle=False) as file:
      arrays = dict(file)
    same = str(arrays.pop("fingerprint")) == photos.fingerprint
    same &= np.array_equal(arrays.pop("held_out"), photos.held_out)
    same &= tuple(arrays.pop("files")) == photos.files
    names = [name for name in arrays if name.startswith("synthetic/")]
    synthetic = {name.partition("/")[2]: arrays.pop(name) for name in names}
    reading = Reading(synthetic=synthetic, **arrays)
  except (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    zipfile.BadZipFile,
  ) as error:
    raise ReadingError(
      f"{path}: damaged; start anew with another --workdir"
    ) from error
  if not same:
    raise ReadingError(
      f"{path}: made of other photographs; name those, or start anew with "
      "another --workdir"
    )
  return reading
