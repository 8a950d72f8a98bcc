"""Writes synthetic faces with their labels to disk, for other tools.

python -m facerec_jax.sample --config=configs/resnet.py --count=100 --output=DIR

Training needs no such files: it makes the same images on the device.
"""

from __future__ import annotations

from collections.abc import Iterator
import dataclasses
import pathlib

from absl import flags
from absl import logging
import jax
import numpy as np

import facerec_jax
from facerec_jax import app
from facerec_jax import config_sections
from facerec_jax import experiment as experiments
from facerec_jax import scenes
from facerec_jax.face import code_vector
from facerec_jax.results import codes
from facerec_jax.results import figures
from facerec_jax.synthesis import synthesis

_CONFIG = app.define_config("configs/resnet.py")
_COUNT = flags.DEFINE_integer("count", 100, "Number of images.", lower_bound=1)
_OUTPUT = app.define_output()
_SEED = flags.DEFINE_integer(
  "seed", None, "Seed of the faces; by default the config's seed."
)
# Images made in one device call.
_BATCH = 32


def main() -> None:
  """The app."""
  folder = pathlib.Path(app.required("output", _OUTPUT.value))
  if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
    raise app.UsageError(
      f"--output={folder} exists and is not an empty folder; name another one"
    )
  try:
    experiment = experiments.build(app.read_config(_CONFIG))
  except config_sections.ConfigError as error:
    raise app.UsageError(error) from error
  if _SEED.value is not None:
    experiment = dataclasses.replace(experiment, seed=_SEED.value)
  write_data_set(experiment, folder, count=_COUNT.value)
  print(f"{_COUNT.value} images and their labels: {folder}")


def write_data_set(
  experiment: experiments.Experiment, folder: pathlib.Path, *, count: int
) -> None:
  """Writes image_000000.png ..., codes.npz, landmarks.json and meta.json.

  Image i is example i of the first training step of the experiment's seed. A
  folder without meta.json, which is written last, is incomplete.

  Args:
    experiment: model, prior, options and seed.
    folder: made where it is missing.
    count: number of images.
  """
  folder.mkdir(parents=True, exist_ok=True)
  flat, landmarks = [], {}
  for index, example in enumerate(_examples(experiment, count)):
    name = f"image_{index:06d}.png"
    figures.save_image(folder / name, example.image)
    flat.append(example.code)
    landmarks[name] = np.round(example.landmarks, 3).astype(float).tolist()
    if (index + 1) % 1000 == 0:
      logging.info("%d of %d images", index + 1, count)
  flat = np.stack(flat)
  groups = experiment.layout.unflatten(flat)
  np.savez(
    folder / "codes.npz",
    flat=flat,
    **{name: np.asarray(getattr(groups, name)) for name in code_vector.GROUPS},
  )
  codes.write_json(folder / "landmarks.json", landmarks)
  codes.write_json(folder / "meta.json", describe(experiment, count=count))


def _examples(
  experiment: experiments.Experiment, count: int
) -> Iterator[synthesis.Example]:
  """Examples 0 .. count - 1 of the first step, as NumPy arrays."""
  scene = scenes.training_scene(experiment)
  make_batch = jax.jit(experiment.make_batch)
  for start in range(0, count, _BATCH):
    batch = make_batch(
      scene.seed_key,
      np.int32(0),
      np.arange(start, start + _BATCH, dtype=np.int32),
      scene.model,
      scene.bank,
    )
    batch = jax.device_get(batch)
    for row in range(min(_BATCH, count - start)):
      yield jax.tree.map(lambda leaf, row=row: leaf[row], batch)


def describe(experiment: experiments.Experiment, *, count: int) -> dict:
  """What meta.json says: how to read the other files, and their origin."""
  model = experiment.model
  return {
    "count": count,
    "image_size": experiment.image_size,
    "seed": experiment.seed,
    "morphable_model": model.name,
    "identity_names": model.identity_names,
    "expression_names": model.expression_names,
    "layout": {
      name: [part.start, part.stop]
      for name, part in experiment.layout.slices.items()
    },
    "camera": {
      "focal": float(experiment.camera.focal),
      "center": np.asarray(experiment.camera.center).tolist(),
    },
    "units": {
      "images": "sRGB",
      "landmarks": "px: column, row; pixel centres at +0.5; as the image shows "
      "them, whose perspective varies around the camera's",
      "layout": "start and stop of each group in flat",
      "camera": "px; codes are expressed in the frame of this camera",
      **codes.units(model),
    },
    "config": experiment.config,
    "versions": {
      "facerec_jax": facerec_jax.__version__,
      "jax": jax.__version__,
      "numpy": np.__version__,
    },
  }


if __name__ == "__main__":
  app.run(main)
