"""How long it takes to read a face in a photograph, stage by stage.

  python experiments/benchmark_reading.py --input=FOLDER [--checkpoint=RUN]
  taskset --cpu-list 0 python experiments/benchmark_reading.py ...   # one core

Prints the medians over all photographs, after one that does not count
(compilation), of: decoding, finding faces, landmarks, the crop, its code, the
code's vertices; and of one program from crop to vertices. Then the start of a
new process up to the vertices of its first photograph, without and with
compiled programs in the cache; and what `facerec_jax.reconstruct` takes for
each further photograph with all of its files. The last line is JSON.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
import dataclasses
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

from absl import flags
import jax
import numpy as np

from facerec_jax import app
from facerec_jax import export
from facerec_jax import photo_flags
from facerec_jax import trained_encoder
from facerec_jax.face import morphable_model
from facerec_jax.photos import detection
from facerec_jax.photos import preparation
from facerec_jax.photos import reading

_CHECKPOINT = app.define_checkpoint()
_ROUNDS = flags.DEFINE_integer("rounds", 5, "Times each is read.", 1)
_FIRST_ONLY = flags.DEFINE_bool(
  "first_only", False, "Read the first photograph and end: what start-up times."
)
_PROCESSES = flags.DEFINE_bool(
  "processes", True, "Also time start-up and facerec_jax.reconstruct."
)


def make_stages(encoder: trained_encoder.TrainedEncoder) -> dict[str, Callable]:
  """Functions that each take what the one before returned; see `read`."""
  predictor = photo_flags.load_predictor()
  size, mask = encoder.image_size, encoder.face_mask

  def find(photo):
    # The largest; landmarks are a stage of their own.
    faces = detection.detect_faces(photo, detector=photo_flags.DETECTOR.value)
    if not faces:
      raise app.WorkError("a photograph shows no face; leave it out")
    return photo, faces[0]

  def mark(found):
    photo, face = found
    points = None if predictor is None else predictor(photo, face.square)
    return photo, dataclasses.replace(face, landmarks=points)

  def crop(found):
    return preparation.prepare(*found, image_size=size, mask=mask)[None]

  shapes = jax.jit(
    lambda code: morphable_model.vertices(
      encoder.model, code.identity, code.expression
    )
  )
  return {
    "decoding": reading.read_photo,
    "finding faces": find,
    "landmarks": mark,
    "crop": crop,
    "code": lambda images: np.asarray(encoder.predict(images)),
    "vertices": lambda flat: np.asarray(
      shapes(encoder.layout.unflatten(flat[0]))
    ),
  }


def read(stages: dict[str, Callable], path) -> Iterator[tuple[str, float]]:
  """(stage, seconds) of a photograph."""
  value = path
  for name, stage in stages.items():
    start = time.perf_counter()
    value = stage(value)
    yield name, time.perf_counter() - start


def measure(encoder, paths, rounds: int) -> dict[str, float]:
  """Median milliseconds of each stage, and of crop to vertices in one."""
  stages = make_stages(encoder)
  seconds = {name: [] for name in stages}
  list(read(stages, paths[0]))
  for path in paths * rounds:
    for name, spent in read(stages, path):
      seconds[name].append(spent)
  program = jax.jit(export.programs(encoder)["vertices"])
  size = encoder.image_size
  images = np.zeros((1, size, size, 3), np.float32)
  np.asarray(program(images))
  seconds["crop -> code -> vertices, one program"] = spent = []
  for _ in range(20 * rounds):
    start = time.perf_counter()
    np.asarray(program(images))
    spent.append(time.perf_counter() - start)
  return {
    name: 1e3 * statistics.median(values) for name, values in seconds.items()
  }


def time_processes(source: str, paths) -> dict[str, float]:
  """Seconds of start-up, and of each further photograph of a folder."""
  own = [f"--input={paths[0]}", "--first_only"]
  if _CHECKPOINT.value:
    own.append(f"--checkpoint={_CHECKPOINT.value}")
  found = {}
  with tempfile.TemporaryDirectory() as folder:
    cache = f"--compilation_cache={folder}/cache"
    for state in ("an empty cache", "a filled cache"):
      found[f"first vertices, {state}"] = _seconds(__file__, *own, cache)
    command = ("-m", "facerec_jax.reconstruct", cache)
    one, all_of_them = [
      _seconds(*command, f"--input={read}", f"--output={folder}/{k}")
      for k, read in enumerate((paths[0], source))
    ]
  found["reconstruct, one photograph"] = one
  if len(paths) > 1:
    more = (all_of_them - one) / (len(paths) - 1)
    found["reconstruct, each further one"] = more
  return found


def _seconds(*arguments):
  start = time.perf_counter()
  subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
  return time.perf_counter() - start


def main() -> None:
  """The script."""
  source = app.required("input", photo_flags.INPUT.value)
  try:
    paths = [pathlib.Path(path) for path in reading.list_photos(source)]
  except reading.PhotoError as error:
    raise app.UsageError(error) from error
  encoder = trained_encoder.load(_CHECKPOINT.value)
  if _FIRST_ONLY.value:
    list(read(make_stages(encoder), paths[0]))
    return
  header = {
    "device": jax.devices()[0].device_kind,
    "cores": len(os.sched_getaffinity(0)),
    "jax": jax.__version__,
    "load": os.getloadavg()[0],
    "photographs": len(paths),
  }
  print("  ".join(f"{name} {value}" for name, value in header.items()))
  stages = measure(encoder, paths, _ROUNDS.value)
  for name, value in stages.items():
    print(f"{name:40} {value:8.2f} ms", flush=True)
  processes = time_processes(source, paths) if _PROCESSES.value else {}
  for name, value in processes.items():
    print(f"{name:40} {value:8.2f} s")
  print(json.dumps({**header, "ms": stages, "s": processes}))


if __name__ == "__main__":
  app.run(main)
