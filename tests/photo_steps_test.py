"""Learning from photographs: rendered ones, whose codes nobody tells."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facerec_jax import experiment as experiments
from facerec_jax import scenes
from facerec_jax.face import landmarks
from facerec_jax.face import mirroring
from facerec_jax.training import code_prior
from facerec_jax.training import parallel
from facerec_jax.training import photo_steps
from facerec_jax.training import self_supervision
from tests import tiny_experiment


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
  folder = tmp_path_factory.mktemp("photo_steps")
  return experiments.build(tiny_experiment.config(folder))


@pytest.fixture(scope="module")
def scene(experiment):
  """Photographs are the first synthetic faces, as bytes."""
  synthetic = scenes.training_scene(experiment)
  indices = jnp.arange(6)
  made = jax.jit(experiment.make_batch)(
    jax.random.key(5), 0, indices, experiment.model, synthetic.bank
  )
  size = experiment.image_size
  hull = functools.partial(landmarks.hull_mask, height=size, width=size)
  photos = self_supervision.Photo(
    image=jnp.round(255 * made.image).astype(jnp.uint8),
    mask=jax.vmap(hull)(made.landmarks),
    landmarks=made.landmarks,
    trust=jnp.ones(6),
  )
  return photo_steps.PhotoScene(
    fitting=self_supervision.FittingScene(
      model=experiment.model,
      camera=experiment.camera,
      prior=code_prior.measure(
        experiment.model, experiment.layout, synthetic.bank
      ),
    ),
    mirror=mirroring.create(experiment.model),
    photos=photos,
    seed_key=jax.random.key(3),
    synthetic=synthetic,
  )


def _train(experiment, scene, steps, **options):
  update = functools.partial(
    photo_steps.update,
    encoder=experiment.encoder,
    optimizer=experiment.optimizer,
    layout=experiment.layout,
    face_mask=False,
    loss=experiment.loss,
    **options,
  )
  make_examples = functools.partial(
    photo_steps.make_examples,
    local_batch=4,
    make_synthetic=experiment.make_examples,
  )
  learn = parallel.parallelize(update)
  draw = parallel.parallelize(make_examples)
  space = scene.synthetic.space
  state = parallel.replicate(
    scenes.initial_state(experiment, space.mean, space.std)
  )
  constants = parallel.replicate(scene)
  history = []
  for _ in range(steps):
    state, metrics = learn(state, constants, draw(constants, state.step))
    history.append(jax.device_get(parallel.unreplicate(metrics)))
  return parallel.unreplicate(state), history


def test_learning_lowers_the_energy_of_photographs(experiment, scene):
  config = {**experiment.config, "num_steps": 100}
  config["optimizer"] = {**config["optimizer"], "learning_rate": 1e-2}
  state, history = _train(experiments.build(config), scene, 40)
  energies = [metrics["photo"] for metrics in history]
  assert np.isfinite([list(m.values()) for m in history]).all()
  assert np.mean(energies[-5:]) < 0.9 * np.mean(energies[:5])
  assert int(state.step) == 40
