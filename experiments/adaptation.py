"""Bootstrapping as the experiments run it, several times over."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
import pathlib
from typing import Any

from facerec_jax import app
from facerec_jax import bootstrap
from facerec_jax import experiment as experiments
from facerec_jax import trained_encoder
from facerec_jax.bootstrapping import page
from facerec_jax.bootstrapping import readings
from facerec_jax.bootstrapping import rounds


def adapt(
  encoder: trained_encoder.TrainedEncoder,
  changes: Mapping[str, Any],
  workdir: pathlib.Path,
  load_photos: Callable[[experiments.Experiment], readings.Photos],
) -> list[readings.Reading]:
  """Runs all rounds and writes their page.

  Args:
    encoder: to start from.
    changes: of its config, as configs/bootstrap.py.
    workdir: of the run; goes on where it was cut off.
    load_photos: what the experiment adapts to and is judged by.

  Returns:
    What was read before the first round and after each.

  Raises:
    WorkError: a signal stopped it.
  """
  config = bootstrap.merge(encoder.experiment.config, changes)
  experiment = experiments.build(config)
  photos = load_photos(experiment)
  found = rounds.run(experiment, encoder.state, photos, workdir)
  if len(found) <= experiment.bootstrap.rounds:
    raise app.WorkError(
      f"{workdir} was stopped in round {len(found)}; the same command goes on"
    )
  page.write(workdir, experiment, encoder.state, photos, found)
  return found
