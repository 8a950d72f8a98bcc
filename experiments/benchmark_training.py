r"""How fast training is, and what rendering costs it.

  python experiments/benchmark_training.py --config=configs/resnet.py:quick
  python experiments/benchmark_training.py --config=configs/resnet.py \
      --config.encoder.dtype=bfloat16 --batch_sizes=128,256 --steps=40 \
      --output=training.json --profile=DIR

Three rows for each batch size: the training step as a run takes it, the same
step on images that were made once, and the making of images alone. The ratio of
the first two is the share of the speed that rendering leaves. Rounds of all
three take turns, so that a busy machine slows all alike; the median counts.
"""

from __future__ import annotations

import json
import os
import pathlib
import statistics
import time

from absl import flags
import jax
import jax.numpy as jnp

from facerec_jax import app
from facerec_jax import experiment as experiments
from facerec_jax import scenes
from facerec_jax.training import parallel
from facerec_jax.training import steps as steps_lib

_CONFIG = app.define_config("configs/resnet.py")
_STEPS = flags.DEFINE_integer("steps", 20, "Steps of one round.", 1)
_ROUNDS = flags.DEFINE_integer("rounds", 3, "Rounds; their median counts.", 1)
_BATCH_SIZES = flags.DEFINE_list(
  "batch_sizes", [], "Over all devices; by default the config's."
)
_OUTPUT = flags.DEFINE_string("output", None, "JSON file of the numbers.")
_PROFILE = flags.DEFINE_string(
  "profile",
  None,
  "Folder for a trace of a few steps with rendering; TensorBoard's profile "
  "plug-in, xprof and Perfetto show it.",
)
_PROFILED_CALLS = 4
_STEP, _CONSTANT, _RENDERING = "step", "step, constant images", "rendering"


def main() -> None:
  config = app.read_config(_CONFIG)
  try:
    sizes = sorted(map(int, _BATCH_SIZES.value)) or [config["batch_size"]]
    variants = [
      experiments.build({**config, "batch_size": size}) for size in sizes
    ]
    results = _measure_all(variants)
  except ValueError as error:
    raise app.UsageError(error) from error
  text = json.dumps(results)
  if _OUTPUT.value:
    pathlib.Path(_OUTPUT.value).write_text(text + "\n")
  print(text)


def _measure_all(variants):
  # Batches of all sizes show the same faces to the same encoder.
  scene = scenes.training_scene(variants[0])
  state = scenes.initial_state(variants[0], scene.space.mean, scene.space.std)
  results = {**_header(variants[0], state), "rows": []}
  scene = parallel.replicate(scene)
  for experiment in variants:
    try:
      results["rows"] += _measure(experiment, state, scene)
    except jax.errors.JaxRuntimeError as error:
      # Out of memory, mostly: smaller batches have their numbers already.
      reason = str(error).splitlines()[0]
      print(f"batch {experiment.batch_size:5}  failed: {reason}", flush=True)
  return results


def _header(experiment, state):
  """Prints and returns what is measured, and on what."""
  device = jax.local_devices()[0]
  encoder = experiment.config["encoder"]
  header = {
    "device": device.device_kind,
    "devices": jax.device_count(),
    "jax": jax.__version__,
    "load": os.getloadavg()[0],
    "encoder": encoder["name"],
    "dtype": encoder["dtype"],
    "parameters": sum(leaf.size for leaf in jax.tree.leaves(state.params)),
    "image_size": experiment.image_size,
    "triangles": experiment.model.num_triangles,
    "steps_per_call": experiment.schedule.steps_per_call,
  }
  print("  ".join(f"{name} {value}" for name, value in header.items()))
  titles = f"{'ms/step':>9} {'img/s':>8} {'first s':>8} {'GiB':>7}"
  print(f"\n{'':36} {titles}", flush=True)
  return header


def _measure(experiment, state, scene):
  """Rows of one batch size."""
  start = time.perf_counter()
  programs = _Programs(experiment, scene)
  step = _Steps(programs.step, state, (scene,))
  _timed(step, 1)
  first = {_STEP: time.perf_counter() - start}
  # Before anything else takes memory.
  memory = _memory(programs, step.state, scene)
  constant = _Steps(programs.constant, state, programs.constants)
  calls = {
    _STEP: step,
    _CONSTANT: constant,
    _RENDERING: lambda: programs.examples_of(scene, programs.first_step),
  }
  first |= {name: _timed(calls[name], 1) for name in (_CONSTANT, _RENDERING)}
  num_calls = -(-_STEPS.value // experiment.schedule.steps_per_call)
  times = {name: [] for name in calls}
  for _ in range(_ROUNDS.value):
    for name, call in calls.items():
      times[name].append(_timed(call, num_calls) / num_calls)
  if _PROFILE.value:
    folder = pathlib.Path(_PROFILE.value) / f"batch_{experiment.batch_size}"
    with jax.profiler.trace(str(folder)):
      _timed(step, _PROFILED_CALLS)
  return _rows(experiment, times, first, memory)


def _rows(experiment, times, first, memory):
  rows, batch = [], experiment.batch_size
  for name, seconds in times.items():
    steps = 1 if name == _RENDERING else experiment.schedule.steps_per_call
    step_s = statistics.median(seconds) / steps
    row = {
      "batch_size": batch,
      "what": name,
      "ms": 1e3 * step_s,
      "images_per_second": batch / step_s,
      "spread": max(seconds) / min(seconds) - 1.0,
      "first_s": first[name],
    }
    if name == _STEP:
      row |= memory
    rows.append(row)
    peak = f"{row['bytes'] / 2**30:7.2f}" if "bytes" in row else ""
    print(
      f"batch {batch:5}  {name:23} {row['ms']:9.1f} "
      f"{row['images_per_second']:8.0f} {row['first_s']:8.1f} {peak}"
    )
  ratio = rows[1]["ms"] / rows[0]["ms"]
  rows[0]["share_of_constant"] = ratio
  print(
    f"batch {batch:5}  with rendering at {ratio:.1%} of the speed without "
    f"(rounds differ by up to {max(row['spread'] for row in rows):.0%}); "
    f"memory: {memory['memory']}",
    flush=True,
  )
  return rows


class _Programs:
  """The programs of an experiment, and images that were made once."""

  def __init__(self, experiment, scene):
    self.first_step = parallel.replicate(jnp.int32(0))
    self.examples_of = parallel.parallelize(experiment.make_examples)
    examples = self.examples_of(scene, self.first_step)
    self.step = experiment.train_step
    if experiment.schedule.steps_per_call == 1:
      # The second program of the step: nothing to compile again.
      self.constant = parallel.parallelize(experiment.update, donate=True)
      self.constants = (scene, examples)
    else:
      self.constant = steps_lib.train_step(
        make_examples=lambda constants, step: constants[1],
        update=lambda state, constants, made: experiment.update(
          state, constants[0], made
        ),
        steps_per_call=experiment.schedule.steps_per_call,
      )
      self.constants = ((scene, examples),)

  def with_arguments(self, state, scene):
    """(program, arguments) of a step, in turn."""
    if hasattr(self.step, "lower"):
      return [(self.step, (state, scene))]
    return [
      (self.examples_of, (scene, self.first_step)),
      (self.constant, (state, *self.constants)),
    ]


class _Steps:
  """Step after step of a training."""

  def __init__(self, step, state, constants):
    self._step, self._constants = step, constants
    self.state = parallel.replicate(state)

  def __call__(self):
    self.state, metrics = self._step(self.state, *self._constants)
    return metrics


def _memory(programs, state, scene):
  """Peak bytes of the busiest device, and where the number comes from."""
  stats = [device.memory_stats() for device in jax.local_devices()]
  if all(stats):
    peak = max(stat["peak_bytes_in_use"] for stat in stats)
    return {"bytes": peak, "memory": "peak of the device"}
  sizes = []
  for program, arguments in programs.with_arguments(state, scene):
    analysis = program.lower(*arguments).compile().memory_analysis()
    sizes.append(
      analysis.argument_size_in_bytes
      + analysis.output_size_in_bytes
      + analysis.temp_size_in_bytes
      - analysis.alias_size_in_bytes
    )
  return {"bytes": max(sizes), "memory": "of the largest compiled program"}


def _timed(call, count):
  """Seconds for so many calls, the last one's result included."""
  start = time.perf_counter()
  with jax.transfer_guard("disallow"):
    for _ in range(count):
      result = call()
    jax.block_until_ready(result)
  return time.perf_counter() - start


if __name__ == "__main__":
  app.run(main)
