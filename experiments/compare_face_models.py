"""Which face model teaches an encoder more? Same budget, real photographs.

Trains the quick encoder on synthetic faces of each model and compares its
landmarks on the photographs of FACEREC_DATA with dlib's: mean distance in
percent of the outer-canthal distance. With several seeds it also prints how far
they scatter: a smaller difference between models means nothing.

  python experiments/compare_face_models.py --models=builtin,other.npz
    --seeds=3 --workdir=runs/compare
"""

from __future__ import annotations

import json
import pathlib

from absl import flags
from judges import targets
import numpy as np
import portraits

from configs import resnet
from facerec_jax import app
from facerec_jax import experiment as experiments
from facerec_jax import reconstruction
from facerec_jax import trained_encoder
from facerec_jax import training_run
from facerec_jax.face import landmarks

_MODELS = flags.DEFINE_list("models", ["builtin"], "Names or archives.")
_SEEDS = flags.DEFINE_integer(
  "seeds", 1, "Trainings of each model, with seeds 0, 1, ...", lower_bound=1
)
_STEPS = flags.DEFINE_integer(
  "steps", None, "Training steps; default as configured.", lower_bound=1
)
_VARIANT = flags.DEFINE_string("variant", "quick", "Of configs/resnet.py.")
_WORKDIR = app.define_workdir()


def train(model: str, seed: int, workdir: pathlib.Path):
  """Trains an encoder, or takes the finished one of the folder."""
  config = resnet.get_config(_VARIANT.value)
  config.morphable_model = model
  config.seed = seed
  if _STEPS.value:
    config.num_steps = _STEPS.value
    # The warm-up must fit into a shorter training.
    warmup = min(config.optimizer.warmup_steps, _STEPS.value // 10)
    config.optimizer.warmup_steps = warmup
  training_run.train(experiments.build(config.to_dict()), workdir)
  return trained_encoder.load(workdir)


def errors(encoder, people) -> dict[str, float]:
  """Mean landmark errors, percent: points 17-67, and by group."""
  pairs = [
    (reconstruction.reconstruct(encoder, photo, face).landmarks, face.landmarks)
    for photo, face in people
  ]
  read, seen = map(np.stack, zip(*pairs, strict=True))
  groups = {"17-67": landmarks.INNER, **landmarks.GROUPS}
  return {
    name: 100 * float(landmarks.normalized_mean_error(read, seen, index).mean())
    for name, index in groups.items()
  }


def main() -> None:
  """The script."""
  folder = targets.data_folder()
  if folder is None:
    raise app.UsageError("set FACEREC_DATA to the folder with photos/")
  workdir = pathlib.Path(app.required("workdir", _WORKDIR.value))
  people, result = portraits.largest_faces(folder / "photos"), {}
  for number, model in enumerate(_MODELS.value):
    runs = [
      errors(train(model, s, workdir / f"{number}_seed{s}"), people)
      for s in range(_SEEDS.value)
    ]
    mean = {name: np.mean([run[name] for run in runs]) for name in runs[0]}
    spread = np.std([run["17-67"] for run in runs])
    cells = "  ".join(f"{name} {value:.2f}" for name, value in mean.items())
    print(f"{model}: {cells}  (17-67 +- {spread:.2f} over {len(runs)} seeds)")
    result[model] = mean | {"spread": spread}
  print(json.dumps(result, default=float))


if __name__ == "__main__":
  app.run(main)
