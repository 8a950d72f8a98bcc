"""What `parallel_test` starts: trainings as one of several processes.

python several_processes.py losses CONFIG.json [PORT NUM_PROCESSES PROCESS]
python several_processes.py toy WORKDIR PORT NUM_PROCESSES PROCESS
"""

import json
import pathlib
import sys

import conftest
import jax
import tiny_experiment
import toy_training

from facerec_jax import experiment as experiments
from facerec_jax import scenes
from facerec_jax.training import parallel

NUM_STEPS = 20


def main() -> None:
  what, path, *place = sys.argv[1:]
  conftest.pytest_configure(None)
  if place:
    port, count, index = map(int, place)
    jax.distributed.initialize(f"127.0.0.1:{port}", count, index)
  if what == "toy":
    state = toy_training.train(
      pathlib.Path(path), num_steps=10_000, checkpoint_every=0, pause=0.01
    )
    print(int(state.step))
  else:
    print(json.dumps(losses(json.loads(pathlib.Path(path).read_text()))))


def config(folder) -> dict:
  """Eight images a step, so that eight devices have one each."""
  return tiny_experiment.config(folder, batch_size=8, num_steps=NUM_STEPS)


def losses(config) -> list[float]:
  """Trains on all devices; the loss of every step."""
  experiment = experiments.build(config)
  scene = scenes.training_scene(experiment)
  state = scenes.initial_state(experiment, scene.space.mean, scene.space.std)
  scene, state = parallel.replicate((scene, state))
  found = []
  for _ in range(NUM_STEPS):
    state, metrics = experiment.train_step(state, scene)
    found.append(float(parallel.to_host(metrics)["loss"]))
  return found


if __name__ == "__main__":
  main()
