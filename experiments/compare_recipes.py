"""What matters in training? One change at a time, under one small budget.

  python experiments/compare_recipes.py --crops=crops.npz --workdir=runs/recipes
  python experiments/compare_recipes.py ... --only="base,face mask" --steps=500
  python experiments/compare_recipes.py ... --image_size=64 --batch_size=32
    --steps=800 --other_model=ict_facekit.npz     # a few minutes each on a CPU

Trains the released recipe with each change of `RECIPES` and measures it on
photographs (crops of `photo_crops.py`: distance from dlib's landmarks), on
held-out synthetic faces of the unchanged recipe's kind, and on faces of another
model. Another seed shows what is chance. Finished ones are not trained again;
the last line is JSON.
"""

from __future__ import annotations

import json
import pathlib

from absl import flags
import photo_crops

from configs import released
from facerec_jax import app
from facerec_jax import config_sections
from facerec_jax import experiment as experiments
from facerec_jax import model_files
from facerec_jax import scenes
from facerec_jax import trained_encoder
from facerec_jax import training_run
from facerec_jax.evaluation import cross_model
from facerec_jax.face import morphable_model
from facerec_jax.training import parallel

# Dotted keys of the config and their values.
RECIPES = {
  "base": {},
  "another seed": {"seed": 1},
  "landmark and vertex losses": {
    "loss.terms.landmarks": 1.0,
    "loss.terms.vertices": 1.0,
  },
  "face mask": {"synthesis.face_mask": True},
  "no background": {"synthesis.background": False},
  "no hair or shoulders": {
    "synthesis.hair_share": 0.0,
    "synthesis.body_share": 0.0,
  },
  "strong camera noise": {
    "synthesis.blur": 2.5,
    "synthesis.noise": 0.05,
    "synthesis.gain_spread": 0.12,
    "synthesis.cast_spread": 0.06,
    "synthesis.grey_share": 0.1,
  },
  "no camera noise": {
    "synthesis.blur": 0.0,
    "synthesis.noise": 0.0,
    "synthesis.gain_spread": 0.0,
    "synthesis.cast_spread": 0.0,
    "synthesis.grey_share": 0.0,
  },
  "one perspective": {"synthesis.field_of_view_spread": 0.0},
  "smooth outlines": {"synthesis.supersampling": 2},
  "frontal poses": {"prior.wide_share": 0.0},
  "more neutral faces": {"prior.neutral_share": 0.6},
  "looser framing": {"prior.center_spread": 0.05, "prior.size_spread": 0.12},
  "narrower people": {"prior.identity_scale": 0.8},
  "identity and expression count more": {
    "loss.groups.identity": 3.0,
    "loss.groups.expression": 2.0,
  },
}

_CROPS = flags.DEFINE_string("crops", None, "File of photo_crops.py.")
_ONLY = flags.DEFINE_list("only", [], "Names of recipes; all if empty.")
_STEPS = flags.DEFINE_integer("steps", 1000, "Of each training.", 10)
_BATCH = flags.DEFINE_integer("batch_size", None, "Default: the recipe's.", 1)
_BANK = flags.DEFINE_integer("bank_size", 65_536, "Different faces.", 1)
_SIZE = flags.DEFINE_integer(
  "image_size", None, "Side of the images, px; default: the recipe's.", 16
)
_OTHER_MODEL = flags.DEFINE_string(
  "other_model", None, "Another face model, whose faces are read, too."
)
_CROSS_COUNT = flags.DEFINE_integer("cross_count", 48, "Of its faces.", 2)
_VARIANT = flags.DEFINE_string("variant", "small", "Of configs/released.py.")
_WORKDIR = app.define_workdir()


def main() -> None:
  crops = photo_crops.load(
    app.required("crops", _CROPS.value), _config({})["image_size"]
  )
  workdir = pathlib.Path(app.required("workdir", _WORKDIR.value))
  names = _ONLY.value or list(RECIPES)
  unknown = [name for name in names if name not in RECIPES]
  if unknown:
    raise app.UsageError(
      f"--only: {unknown[0]!r} is none of {', '.join(RECIPES)}"
    )
  result, other = {}, _other_model()
  for name in names:
    try:
      result[name] = measure(
        name, workdir / name.replace(" ", "_"), crops, other
      )
    except config_sections.ConfigError as error:
      raise app.UsageError(error) from error
    cells = "  ".join(f"{k} {v:.2f}" for k, v in result[name].items())
    print(f"{name:36} {cells}", flush=True)
  print(json.dumps(result))


def _other_model():
  """The face model of --other_model, or None."""
  if not _OTHER_MODEL.value:
    return None
  try:
    return model_files.load(_OTHER_MODEL.value)
  except ValueError as error:
    raise app.UsageError(error) from error


def measure(
  name: str,
  workdir: pathlib.Path,
  crops: photo_crops.Crops,
  other: morphable_model.MorphableModel | None = None,
) -> dict[str, float]:
  """Errors of a recipe: photographs in percent, synthetic faces in mm."""
  state = training_run.train(experiments.build(_config(RECIPES[name])), workdir)
  if int(state.step) < _STEPS.value:
    raise app.WorkError(
      f"{name} was stopped at step {int(state.step)}; the same command goes on"
    )
  encoder = trained_encoder.load(workdir)
  # All are judged on the same faces, masked for those who know masked ones.
  mask = {"synthesis.face_mask": encoder.face_mask}
  judge = experiments.build(_config(mask))
  state = encoder.state
  scene = scenes.held_out_scene(judge, state.code_mean, state.code_std)
  held_out = training_run.evaluate(judge, *parallel.replicate((state, scene)))
  return {
    **photo_crops.landmark_errors(encoder, crops),
    **({} if other is None else _foreign_errors(encoder, workdir, other)),
    "vertex_mm": held_out["vertex_mm"],
    "pose_deg": held_out["pose_deg"],
    "landmark_nme": 100 * held_out["landmark_nme"],
  }


def _foreign_errors(encoder, workdir, other):
  """Errors on faces of another model, mm, and of always the mean face."""
  found = cross_model.run(
    encoder, workdir / "faces", other=other, count=_CROSS_COUNT.value
  )
  result = {}
  for name in ("neutral_vertex_mm", "now_mm"):
    errors, mean_face = found.errors(name)
    result[f"other/{name}"] = float(errors.mean())
    result[f"other/mean_face/{name}"] = float(mean_face.mean())
  return result


def _config(changes):
  config = released.get_config(_VARIANT.value)
  config.num_steps = _STEPS.value
  config.optimizer.warmup_steps = _STEPS.value // 20
  config.checkpoint_every = 0
  config.bank_size = _BANK.value
  if _SIZE.value:
    config.image_size = _SIZE.value
  if _BATCH.value:
    config.batch_size = _BATCH.value
  config.update_from_flattened_dict(changes)
  return config.to_dict()


if __name__ == "__main__":
  app.run(main)
