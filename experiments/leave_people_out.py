"""What bootstrapping gains on photographs of people that it has not seen.

The people are dealt into --folds. Each fold is held out once, while the encoder
adapts to the photographs of all others; the errors of the held-out photographs
are put together. Intervals resample people, not photographs: pictures of one
person are alike.

  python experiments/leave_people_out.py --checkpoint=runs/quick --photos=PHOTOS
    --workdir=runs/people [--variant=quick] [--steps=60]

PHOTOS is a folder of facerec_jax.prepare_photos, which was told people by
--pattern. The same command resumes where it was cut off.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence
import pathlib

from absl import flags
import adaptation
import numpy as np

from configs import bootstrap as bootstrap_config
from facerec_jax import app
from facerec_jax import bootstrap
from facerec_jax import trained_encoder
from facerec_jax.bootstrapping import readings
from facerec_jax.bootstrapping import summary
from facerec_jax.photos import datasets
from facerec_jax.results import codes

_CHECKPOINT = app.define_checkpoint()
_WORKDIR = app.define_workdir()
_PHOTOS = flags.DEFINE_string("photos", None, "Folder of prepare_photos.")
_FOLDS = flags.DEFINE_integer("folds", 3, "Groups of people.", lower_bound=2)
_VARIANT = flags.DEFINE_string("variant", "quick", "Of configs/bootstrap.py.")
_STEPS = flags.DEFINE_integer("steps", None, "Steps of a round.")


def deal(people: Sequence[str], folds: int) -> np.ndarray:
  """The fold of each photograph, [N]; people are dealt out by name.

  Raises:
    ValueError: fewer people than folds.
  """
  names = sorted(set(people))
  if len(names) < folds:
    raise ValueError(f"--folds is {folds}, but there are {len(names)} people")
  fold_of = {name: index % folds for index, name in enumerate(names)}
  return np.array([fold_of[person] for person in people])


def adapt(
  encoder: trained_encoder.TrainedEncoder, held_out: np.ndarray, workdir
) -> list[readings.Reading]:
  """Adapts to all photographs but the held-out ones, [N] bool."""
  config = bootstrap_config.get_config(_VARIANT.value).to_dict()
  if _STEPS.value:
    config.update(num_steps=_STEPS.value, checkpoint_every=_STEPS.value)
  config["bootstrap"].update(checkpoint=_CHECKPOINT.value, photos=_PHOTOS.value)

  def load_photos(experiment):
    return bootstrap.load_photos(experiment)._replace(held_out=held_out)

  return adaptation.adapt(encoder, config, workdir, load_photos)


def of_people(values: np.ndarray, people: Sequence[str]) -> np.ndarray:
  """Means over the photographs of each person, [rounds + 1, people]."""
  people = np.asarray(people)
  return np.stack(
    [values[:, people == name].mean(axis=1) for name in np.unique(people)],
    axis=1,
  )


def pooled(
  folds: np.ndarray,
  people: Sequence[str],
  found: Sequence[Sequence[readings.Reading]],
) -> Iterator[summary.Errors]:
  """Errors of all people, each read by the encoder that has not seen them."""
  examples = f"{len(set(people))} people, each held out once"
  for name in ("landmark", "color"):
    rows = [np.stack([getattr(r, name) for r in each]) for each in found]
    values = np.stack(rows)[folds, :, np.arange(len(folds))].T
    yield summary.Errors(examples, name, of_people(values, people))
  for name in readings.SYNTHETIC:
    rows = [np.stack([r.synthetic[name] for r in each]) for each in found]
    yield summary.Errors("synthetic faces", name, np.mean(rows, axis=0))


def main() -> None:
  """The script."""
  workdir = pathlib.Path(app.required("workdir", _WORKDIR.value))
  photos = app.required("photos", _PHOTOS.value)
  encoder = trained_encoder.load(app.required("checkpoint", _CHECKPOINT.value))
  people = datasets.PhotoSet(photos, image_size=encoder.image_size).people
  try:
    folds = deal(people, _FOLDS.value)
  except ValueError as error:
    raise app.UsageError(error) from error
  found = [
    adapt(encoder, folds == fold, workdir / f"fold_{fold}")
    for fold in range(_FOLDS.value)
  ]
  table = list(pooled(folds, people, found))
  print(summary.format_table(table))
  codes.write_json(workdir / "results.json", summary.records(table))


if __name__ == "__main__":
  app.run(main)
