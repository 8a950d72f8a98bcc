"""Which encoder, which loss? Each trained under one budget, read side by side.

  python experiments/compare_encoders.py --config=configs/resnet.py:resnet50
    --encoders=xception,inception,resnet101,resnet50 --workdir=runs/encoders
  python experiments/compare_encoders.py --config=configs/resnet.py:quick
    --encoders=small,resnet18 --seconds=60 --workdir=runs/encoders

Re-creates the thesis' comparison: held-out synthetic faces, the original beside
the reconstruction by each encoder, and the reconstruction loss (photometric +
landmarks); then the first encoder trained with each of --losses (the weighted
model-space loss against the mean squared error of standardised codes), and what
the first gains over the second. The budget is the config's number of steps, or
--seconds of training: the rate of each network is measured first, so that its
schedule of learning rates ends in time (compilation does not count). Finished
trainings in the folder are taken as they are. Writes encoders.png, losses.png,
comparison.json and index.html.
"""

from __future__ import annotations

import copy
import pathlib
import time
from typing import NamedTuple

from absl import flags
from absl import logging
import jax
import numpy as np

from facerec_jax import app
from facerec_jax import config_sections
from facerec_jax import encoders
from facerec_jax import experiment as experiments
from facerec_jax import scenes
from facerec_jax import trained_encoder
from facerec_jax import training_run
from facerec_jax.evaluation import drawing
from facerec_jax.evaluation import statistics
from facerec_jax.evaluation import synthetic
from facerec_jax.results import codes
from facerec_jax.results import figures
from facerec_jax.results import report
from facerec_jax.training import checkpoint
from facerec_jax.training import losses
from facerec_jax.training import parallel

_CONFIG = app.define_config("configs/resnet.py:quick")
_WORKDIR = app.define_workdir()
_ENCODERS = flags.DEFINE_list(
  "encoders", ["small", "resnet18"], "Names of facerec_jax.encoders.ENCODERS."
)
_LOSSES = flags.DEFINE_list(
  "losses", ["model_space", "code"], "Two terms of the loss; empty: none."
)
_SECONDS = flags.DEFINE_float(
  "seconds", None, "Training time of each; by default config.num_steps.",
  lower_bound=1.0,
)  # fmt: skip
_FACES = flags.DEFINE_integer(
  "faces", 100, "Held-out faces that are read.", lower_bound=2
)
_SHOWN = 6
# Steps after the first call by which the rate is measured, and seconds.
_TIMED_STEPS, _TIMED_SECONDS = 50, 10.0
HEADER = (
  *("", "parameters", "steps", "photometric, %", "landmarks, %"),
  *("sum", "95 %", "vertices, mm", "pose, degrees"),
)


class Contestant(NamedTuple):
  """A trained encoder and what it read.

  Attributes:
    name: of it.
    encoder: trained.
    errors: name -> [n], photometric and landmarks in percent.
    read: [n, D] codes.
  """

  name: str
  encoder: trained_encoder.TrainedEncoder
  errors: dict[str, np.ndarray]
  read: np.ndarray

  @property
  def loss(self) -> statistics.Interval:
    """Photometric (% of white) + landmarks (% of outer-canthal distance)."""
    return statistics.mean(self.errors["sum"])

  def row(self) -> tuple[str, ...]:
    """Cells of HEADER."""
    params = jax.tree.leaves(self.encoder.state.params)
    mean = {name: values.mean() for name, values in self.errors.items()}
    return (
      self.name,
      f"{sum(leaf.size for leaf in params) / 1e6:.1f} M",
      str(int(self.encoder.state.step)),
      f"{mean['photometric']:.2f}",
      f"{mean['landmarks']:.2f}",
      f"{self.loss.value:.2f}",
      f"{self.loss.low:.2f} to {self.loss.high:.2f}",
      f"{mean['vertex_mm']:.2f}",
      f"{mean['pose_deg']:.1f}",
    )


def main() -> None:
  """The script."""
  workdir = pathlib.Path(app.required("workdir", _WORKDIR.value))
  base = app.read_config(_CONFIG)
  _check_names()
  try:
    # What cannot be trained is said before an hour of training, not after.
    planned = {
      name: experiments.build(_configured(base, encoder=name))
      for name in _ENCODERS.value
    }
    runs = [
      _enter(name, experiment, workdir / name)
      for name, experiment in planned.items()
    ]
    sections = [_section(workdir, "encoders", runs)]
    versus = []
    if _LOSSES.value:
      versus = _compare_losses(base, workdir, runs[0])
      sections.append(_section(workdir, "losses", versus))
  except config_sections.ConfigError as error:
    raise app.UsageError(error) from error
  _write(workdir, sections, runs, versus)


def _check_names():
  for flag, allowed in (
    (_ENCODERS, encoders.ENCODERS),
    (_LOSSES, losses.LOSSES),
  ):
    for name in flag.value:
      if name not in allowed:
        raise app.UsageError(
          f"--{flag.name}: {name!r} is none of {', '.join(allowed)}"
        )
  if len(_LOSSES.value) not in (0, 2):
    raise app.UsageError(f"--losses: got {len(_LOSSES.value)}, wanted two")


def _configured(base, *, encoder, loss=None):
  config = copy.deepcopy(base)
  config["encoder"]["name"] = encoder
  if loss is not None:
    terms = dict.fromkeys(config["loss"]["terms"], 0.0)
    config["loss"]["terms"] = {**terms, loss: 1.0}
  return config


def _compare_losses(base, workdir, first):
  """The first encoder with both losses; its own training counts if it fits."""
  name = _ENCODERS.value[0]
  runs = []
  for loss in _LOSSES.value:
    config = _configured(base, encoder=name, loss=loss)
    if config["loss"] == base["loss"]:
      runs.append(first._replace(name=loss))
    else:
      experiment = experiments.build(config)
      runs.append(_enter(loss, experiment, workdir / f"{name}_{loss}"))
  return runs


def _enter(name, experiment, folder) -> Contestant:
  """Trains, or takes what the folder holds, and reads the held-out faces."""
  if checkpoint.exists(folder):
    experiment = trained_encoder.load(folder).experiment
  elif _SECONDS.value:
    experiment = experiments.build(_within(experiment.config, experiment))
  logging.info("%s: %d steps", name, experiment.schedule.num_steps)
  state = training_run.train(experiment, folder)
  if int(state.step) < experiment.schedule.num_steps:
    raise app.WorkError(
      f"{name} was stopped at step {int(state.step)}; the same command goes on"
    )
  encoder = trained_encoder.load(folder)
  _, found = synthetic.read_held_out(encoder, _FACES.value)
  own = {key: values[:, 0] for key, values in found.errors.items()}
  errors = {
    "photometric": 100 * own["photometric"],
    "landmarks": 100 * own["landmark_nme"],
    "vertex_mm": own["vertex_mm"],
    "pose_deg": own["pose_deg"],
  }
  errors["sum"] = errors["photometric"] + errors["landmarks"]
  return Contestant(name, encoder, errors, found.read)


def _within(config, experiment):
  """The config with as many steps as fit into the seconds."""
  scene = scenes.training_scene(experiment)
  state = scenes.initial_state(experiment, scene.space.mean, scene.space.std)
  state, scene = parallel.replicate((state, scene))
  each = experiment.schedule.steps_per_call
  # The first call compiles.
  state, metrics = experiment.train_step(state, scene)
  jax.block_until_ready(metrics)
  start, count = time.monotonic(), 0
  while count < _TIMED_STEPS and time.monotonic() - start < _TIMED_SECONDS:
    state, metrics = experiment.train_step(state, scene)
    jax.block_until_ready(metrics)
    count += each
  rate = count / (time.monotonic() - start)
  num_steps = max(each, int(_SECONDS.value * rate) // each * each)
  logging.info("%.2f steps/s", rate)
  config = {**config, "num_steps": num_steps}
  warmup = min(config["optimizer"]["warmup_steps"], num_steps // 10)
  config["optimizer"] = {**config["optimizer"], "warmup_steps": warmup}
  return config


def _section(workdir, name, runs):
  scene, _ = synthetic.read_held_out(runs[0].encoder, 1)
  rows = []
  for index in range(min(_SHOWN, _FACES.value)):
    image = drawing.enlarge(synthetic.image(runs[0].encoder, scene, index))
    faces = [
      drawing.draw(
        run.encoder.model, run.encoder.layout.unflatten(run.read[index])
      )
      for run in runs
    ]
    rows.append([image, *(face.over() for face in faces)])
  sheet = figures.contact_sheet(
    rows, column_labels=["original", *(run.name for run in runs)]
  )
  figures.save_image(workdir / f"{name}.png", sheet)
  table = report.Table(HEADER, tuple(run.row() for run in runs))
  print(
    "\n".join("  ".join(f"{c:>15}" for c in r) for r in (HEADER, *table.rows))
  )
  return report.Section(
    title=name,
    text=(
      f"Means over {_FACES.value} held-out synthetic faces. Photometric: mean "
      "absolute sRGB difference in the face, % of white; landmarks: points "
      "17-67, % of the outer-canthal distance; sum: of both."
    ),
    figures=(report.Figure(f"{name}.png", "originals and reconstructions"),),
    tables=(table,),
  )


def _write(workdir, sections, runs, versus):
  facts = []
  if versus:
    gain = statistics.compare(*(run.errors["sum"] for run in versus)).gain
    names = [run.name for run in versus]
    text = f"{100 * gain.value:.1f} % ({100 * gain.low:.1f} to "
    text += f"{100 * gain.high:.1f})"
    facts.append((f"{names[0]} gains over {names[1]}", text))
    print(f"{names[0]} gains {text} of the sum over {names[1]}")
  report.write_report(
    workdir / "index.html",
    report.Report(
      "Encoders compared",
      facts=tuple(facts),
      sections=tuple(sections),
      figure_width=480,
    ),
    embed=True,
  )
  codes.write_json(
    workdir / "comparison.json",
    {
      "header": HEADER,
      "encoders": [run.row() for run in runs],
      "losses": [run.row() for run in versus],
      **dict(facts),
    },
  )
  print(f"report: {workdir / 'index.html'}")


if __name__ == "__main__":
  app.run(main)
