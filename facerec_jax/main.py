"""Trains (or evaluates) an encoder on synthetic faces.

python -m facerec_jax.main --config=configs/resnet.py --workdir=DIR
"""

from __future__ import annotations

from collections.abc import Mapping
import json
import pathlib

from absl import flags

from facerec_jax import app
from facerec_jax import config_sections
from facerec_jax import experiment as experiments
from facerec_jax import scenes
from facerec_jax import trained_encoder
from facerec_jax import training_run
from facerec_jax.training import checkpoint
from facerec_jax.training import loop
from facerec_jax.training import metric_writer
from facerec_jax.training import parallel

_CONFIG = app.define_config("configs/resnet.py")
_WORKDIR = app.define_workdir()
_MODE = flags.DEFINE_enum(
  "mode",
  "train",
  ["train", "eval"],
  "train: train, or resume where the workdir has a checkpoint. eval: print and "
  "save the metrics of its newest checkpoint.",
)


def main() -> None:
  """The app."""
  workdir = pathlib.Path(app.required("workdir", _WORKDIR.value))
  if _MODE.value == "eval":
    try:
      evaluate(workdir)
    except checkpoint.CheckpointError as error:
      raise app.UsageError(error) from error
    return
  try:
    experiment = experiments.build(app.read_config(_CONFIG))
  except config_sections.ConfigError as error:
    raise app.UsageError(error) from error
  try:
    state = training_run.train(experiment, workdir)
  except (loop.NotFiniteError, checkpoint.CheckpointError) as error:
    raise app.WorkError(error) from error
  print(_summary(workdir, state))


def evaluate(workdir: pathlib.Path) -> dict[str, float]:
  """Evaluates the newest checkpoint of a folder; writes eval.json there."""
  encoder = trained_encoder.load(workdir)
  state = encoder.state
  scene = scenes.held_out_scene(
    encoder.experiment, state.code_mean, state.code_std
  )
  metrics = training_run.evaluate(
    encoder.experiment, *parallel.replicate((state, scene))
  )
  path = workdir / "eval.json"
  result = {"step": int(state.step), **metrics}
  path.write_text(json.dumps(result, indent=2) + "\n")
  print(format_table(metrics))
  print(f"step {int(state.step)}, written to {path}")
  return metrics


def format_table(metrics: Mapping[str, float]) -> str:
  """Errors of the encoder beside those of the mean face."""
  names = [name for name in metrics if not name.startswith("mean_face/")]
  lines = [f"{'error':18}{'encoder':>10}{'mean face':>11}"]
  lines += [
    f"{name:18}{metrics[name]:10.4g}{metrics['mean_face/' + name]:11.4g}"
    for name in names
  ]
  return "\n".join(lines)


def _summary(workdir, state):
  """The last line of a run: what it reached, and which parameters exactly."""
  metrics = metric_writer.last_scalars(workdir, "train")
  text = metric_writer.format_metrics(metrics)
  digest = checkpoint.fingerprint(state.params)
  return f"step {int(state.step)}  {text}  sha256 {digest}"


if __name__ == "__main__":
  app.run(main)
