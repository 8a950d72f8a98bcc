"""Prepares photographs once, for bootstrapping and evaluation.

python -m facerec_jax.prepare_photos --input=FOLDER --output=DIR

FOLDER may also be a public data set, such as tfds:lfw; see photos/README.md.
The largest face of each photograph is found, aligned, cropped and masked; the
results become a TFDS data set. DIR/photos.json says what became of each one. A
second run does only what is new; DIR/cache may be deleted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
import pathlib

from absl import flags

from facerec_jax import app
from facerec_jax import photo_flags
from facerec_jax.photos import datasets
from facerec_jax.photos import folders
from facerec_jax.photos import prepared
from facerec_jax.photos import preparing
from facerec_jax.photos import public_sets
from facerec_jax.results import codes

_OUTPUT = app.define_output()
_IMAGE_SIZE = flags.DEFINE_integer(
  "image_size", 224, "Side of the crops, px; as large as any encoder wants."
)
_PATTERN = flags.DEFINE_string(
  "pattern",
  None,
  "Regular expression, searched in file names (with folders), whose groups "
  "`label` and `person` say what a photograph shows, such as "
  "'^(?P<person>[a-z]+_[0-9]+)'. By default the first folder is both.",
)
_MEAN_COLOR = flags.DEFINE_list(
  "mean_color",
  None,
  "Red, green, blue in [0, 1] that the mean colour of each face is shifted to.",
)
_WORKERS = flags.DEFINE_integer(
  "workers",
  None,
  "Processes; by default one per core, 0: none but this one.",
  lower_bound=0,
)


def main() -> None:
  """The app."""
  source = app.required("input", photo_flags.INPUT.value)
  output = pathlib.Path(app.required("output", _OUTPUT.value))
  try:
    settings = _settings()
    output.mkdir(parents=True, exist_ok=True)
    if source.startswith(public_sets.PREFIX):
      name = source.removeprefix(public_sets.PREFIX)
      source = public_sets.export(name, output / "originals")
    sources = folders.find(source, _PATTERN.value)
    outcomes = preparing.prepare_all(
      sources, settings, output / "cache", num_workers=_WORKERS.value
    )
  except (ValueError, OSError) as error:
    raise app.UsageError(error) from error
  done = [o for o in outcomes if o.status == preparing.DONE]
  if not done:
    raise app.WorkError(
      f"none of {len(outcomes)} photographs can be used; "
      f"{outcomes[0].source.name}: {outcomes[0].message}"
    )
  data_set = datasets.write(output, outcomes, settings)
  write_summary(output, outcomes, data_set)
  print(_result(outcomes, output / datasets.SUMMARY))


def _settings() -> prepared.Settings:
  color = _MEAN_COLOR.value
  return prepared.Settings(
    image_size=_IMAGE_SIZE.value,
    detector=photo_flags.DETECTOR.value,
    landmark_model=photo_flags.LANDMARK_MODEL.value,
    mean_color=color and tuple(map(float, color)),
  )


def write_summary(
  output: pathlib.Path,
  outcomes: Sequence[preparing.Outcome],
  data_set: pathlib.Path,
) -> None:
  """Writes photos.json: the newest data set and the fate of every photograph.

  Args:
    output: folder of data sets.
    outcomes: all of them.
    data_set: in the folder.
  """
  codes.write_json(
    output / datasets.SUMMARY,
    {
      "data_set": data_set.relative_to(output).as_posix(),
      "counts": dict(Counter(outcome.status for outcome in outcomes)),
      "photos": [
        {
          "file": outcome.source.name,
          "label": outcome.source.label,
          "person": outcome.source.person,
          "status": outcome.status,
          "message": outcome.message,
        }
        for outcome in outcomes
      ],
    },
  )


def _result(outcomes, summary):
  done = [o for o in outcomes if o.status == preparing.DONE]
  new = sum(outcome.is_new for outcome in done)
  people = len({outcome.source.person for outcome in done})
  text = (
    f"{len(done)} of {len(outcomes)} photographs ({new} new) of {people} "
    f"people: {summary}"
  )
  for outcome in outcomes:
    if outcome.status != preparing.DONE:
      text += f"\n  {outcome.source.name}: {outcome.message}"
  return text


if __name__ == "__main__":
  app.run(main)
