"""Adapts a trained encoder to photographs that nobody has labelled.

python -m facerec_jax.bootstrap --config=configs/bootstrap.py --workdir=DIR \
    --config.bootstrap.checkpoint=RUN --config.bootstrap.photos=PHOTOS

RUN is a work folder of facerec_jax.main, PHOTOS one of
facerec_jax.prepare_photos. DIR becomes a work folder as RUN is, so that
reconstruct and --mode=eval read it; the same command resumes where it was cut
off. DIR/index.html shows what every round gained.
"""

from __future__ import annotations

from collections.abc import Mapping
import pathlib
from typing import Any

import jax
import numpy as np

from facerec_jax import app
from facerec_jax import config_sections
from facerec_jax import experiment as experiments
from facerec_jax import trained_encoder
from facerec_jax.bootstrapping import guards
from facerec_jax.bootstrapping import page
from facerec_jax.bootstrapping import readings
from facerec_jax.bootstrapping import rounds
from facerec_jax.bootstrapping import summary
from facerec_jax.evaluation import drawing
from facerec_jax.photos import datasets
from facerec_jax.photos import folders
from facerec_jax.photos import prepared
from facerec_jax.photos import reading as photo_reading
from facerec_jax.training import checkpoint
from facerec_jax.training import config_changes
from facerec_jax.training import loop
from facerec_jax.training import self_supervision
from facerec_jax.training import steps

_CONFIG = app.define_config("configs/resnet.py")
_WORKDIR = app.define_workdir()


def main() -> None:
  """The app."""
  workdir = pathlib.Path(app.required("workdir", _WORKDIR.value))
  try:
    experiment, start, photos = set_up(app.read_config(_CONFIG))
  except (
    config_sections.ConfigError,
    checkpoint.CheckpointError,
    photo_reading.PhotoError,
  ) as error:
    raise app.UsageError(error) from error
  try:
    found = rounds.run(experiment, start, photos, workdir)
  except config_changes.ConfigChangedError as error:
    raise app.UsageError(
      f"{workdir} holds another run: {error}; choose another --workdir"
    ) from error
  except (
    OSError,
    loop.NotFiniteError,
    checkpoint.CheckpointError,
    guards.CollapseError,
    readings.ReadingError,
    rounds.NothingFitsError,
  ) as error:
    raise app.WorkError(error) from error
  if len(found) <= experiment.bootstrap.rounds:
    print(f"stopped in round {len(found)}; the same command goes on from there")
    return
  path = page.write(
    workdir,
    experiment,
    start,
    photos,
    found,
    picture=_pictures(experiment.bootstrap.photos),
  )
  print(summary.format_table(list(summary.errors(found, photos))))
  print(f"{len(found) - 1} rounds: {path}")


def _pictures(folder):
  photos = datasets.PhotoSet(folder, image_size=drawing.SIZE)
  return lambda index: photos.batch([index]).images[0]


def set_up(
  changes: Mapping[str, Any],
) -> tuple[experiments.Experiment, steps.TrainState, readings.Photos]:
  """From a config to what `rounds.run` wants.

  Args:
    changes: as configs/bootstrap.py.

  Raises:
    UsageError: something is missing.
    ConfigError, CheckpointError, PhotoError: something does not fit.
  """
  section = changes.get("bootstrap")
  if section is None:
    raise app.UsageError(
      "the config has no section bootstrap; use --config=configs/bootstrap.py"
    )
  for name in ("checkpoint", "photos"):
    if not section.get(name):
      raise app.UsageError(f"--config.bootstrap.{name} is missing")
  if jax.process_count() > 1:
    raise app.UsageError(
      "bootstrapping runs in one process (on all of its devices); got "
      f"{jax.process_count()}"
    )
  start = trained_encoder.load(section["checkpoint"])
  config = merge(start.experiment.config, changes)
  experiment = experiments.build(config)
  return experiment, start.state, load_photos(experiment)


def merge(
  start: Mapping[str, Any], changes: Mapping[str, Any]
) -> dict[str, Any]:
  """The config of the start with changes.

  Args:
    start: nested.
    changes: nested; None changes nothing.

  Returns:
    A new nested dict. The section `bootstrap` of a start that was itself
    adapted is replaced as a whole.
  """
  merged = dict(start)
  for key, value in changes.items():
    if value is None:
      continue
    if isinstance(value, Mapping) and key != "bootstrap":
      value = merge(start.get(key, {}), value)
    merged[key] = value
  return merged


def load_photos(experiment: experiments.Experiment) -> readings.Photos:
  """Reads the prepared photographs of a config, at the encoder's size.

  Raises:
    PhotoError: there are none.
  """
  settings = experiment.bootstrap
  photos = datasets.PhotoSet(settings.photos, image_size=experiment.image_size)
  return as_photos(
    photos.files,
    folders.held_out(photos.people, settings.held_out_share),
    photos.batch(range(len(photos))),
    fingerprint=photos.fingerprint,
  )


def as_photos(
  files, held_out, batch: datasets.PhotoBatch, *, fingerprint: str
) -> readings.Photos:
  """Photographs as bootstrapping wants them.

  Args:
    files: N names.
    held_out: N booleans.
    batch: of all photographs.
    fingerprint: of their data set.
  """
  known = np.isfinite(batch.landmarks).all(axis=(1, 2))
  held_out = np.asarray(held_out, bool)
  return readings.Photos(
    files=tuple(files),
    held_out=held_out,
    photo=self_supervision.Photo(
      image=batch.images,
      mask=batch.masks,
      landmarks=np.nan_to_num(batch.landmarks),
      trust=known.astype(np.float32),
    ),
    fingerprint=prepared.combined_digest(
      [fingerprint, str(batch.images.shape)]
    ),
  )


if __name__ == "__main__":
  app.run(main)
