"""A training that takes no time: linear regression in our loop.

Its data are a function of (seed, step, global index), as the faces' are; its
state, loop, checkpoints, metrics and signals are those of every training.
"""

from __future__ import annotations

import pathlib
import time

from flax import struct
import jax
import jax.numpy as jnp
import optax

from facerec_jax.training import checkpoint
from facerec_jax.training import loop
from facerec_jax.training import metric_writer
from facerec_jax.training import parallel
from facerec_jax.training import stopping

_SIZE = 5
_BATCH = 8
CONFIG = {"toy": 1}


@struct.dataclass
class State:
  step: jax.Array
  params: jax.Array
  opt_state: optax.OptState


def _optimizer():
  return optax.adam(0.05)


def first_state() -> State:
  params = jnp.zeros(_SIZE)
  return State(jnp.int32(0), params, _optimizer().init(params))


def _example(key):
  inputs = jax.random.normal(key, (_SIZE,))
  return inputs, inputs @ jnp.arange(_SIZE)


def step(state: State, seed_key):
  """One step on one device's share of the batch."""
  count = _BATCH // jax.device_count()
  step_key = jax.random.fold_in(seed_key, state.step)
  keys = jax.vmap(lambda index: jax.random.fold_in(step_key, index))(
    parallel.global_indices(count)
  )
  inputs, targets = jax.vmap(_example)(keys)

  def loss_of(params):
    return jnp.mean((inputs @ params - targets) ** 2)

  loss, gradient = jax.value_and_grad(loss_of)(state.params)
  loss, gradient = parallel.mean((loss, gradient))
  updates, opt_state = _optimizer().update(gradient, state.opt_state)
  params = optax.apply_updates(state.params, updates)
  return State(state.step + 1, params, opt_state), {"loss": loss}


def train_in_process(cache: pathlib.Path, workdir: pathlib.Path, **options):
  """`train` in a process of its own, with a cache of compiled programs."""
  jax.config.update("jax_compilation_cache_dir", str(cache))
  jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
  train(workdir, **options)


def train(
  workdir: pathlib.Path,
  *,
  num_steps: int = 20,
  parallel_step=None,
  checkpoint_every: int = 1,
  pause: float = 0.0,
  **options,
) -> State:
  """Trains, from the newest checkpoint of the folder if it has one.

  Args:
    workdir: of checkpoints and metrics.
    num_steps: of the whole training.
    parallel_step: instead of `step`.
    checkpoint_every: steps.
    pause: before each step but the first two, seconds.
    **options: further fields of the loop's schedule.
  """
  run = parallel_step or parallel.parallelize(step, donate=True)
  started = 0

  def counted(state, key):
    nonlocal started
    started += 1
    if started > 2:
      time.sleep(pause)
    return run(state, key)

  with stopping.StopRequest() as request:
    saver = checkpoint.Checkpointer(workdir)
    state = first_state()
    if parallel.is_first_process() and saver.latest_step is not None:
      state = saver.restore(state)
    state = parallel.from_first_process(state)
    writer = metric_writer.MetricWriter(workdir, resumed_at=int(state.step))
    try:
      return loop.train(
        state,
        counted,
        (parallel.replicate(jax.random.key(0)),),
        loop.Schedule(
          num_steps,
          log_every=1,
          checkpoint_every=checkpoint_every,
          **options,
        ),
        checkpointer=saver,
        config=CONFIG,
        writer=writer,
        evaluate=lambda state: {"vertex_mm": 1.0},
        write_samples=lambda state, step: None,
        batch_size=_BATCH,
        stop=stopping.agreement(request),
      )
    finally:
      writer.close()
      saver.close()
