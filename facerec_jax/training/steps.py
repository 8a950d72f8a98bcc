"""The training step of an encoder; images come from inside it."""

from __future__ import annotations

from collections.abc import Callable
import functools

from flax import linen as nn
from flax import struct
import jax
import jax.numpy as jnp
import optax

from facerec_jax.face import code_vector
from facerec_jax.face import morphable_model
from facerec_jax.synthesis import code_bank
from facerec_jax.training import gradients
from facerec_jax.training import losses
from facerec_jax.training import parallel


@struct.dataclass
class TrainState:
  """All that training changes; what a checkpoint holds.

  Attributes:
    step: [] int32, finished steps.
    params: of the encoder.
    batch_stats: moving statistics of its BatchNorm layers.
    opt_state: of the optimizer.
    code_mean: [D] of the codes of the first bank; constant.
    code_std: [D]; the encoder answers code_mean + code_std * output.
  """

  step: jax.Array
  params: dict
  batch_stats: dict
  opt_state: optax.OptState
  code_mean: jax.Array
  code_std: jax.Array


@struct.dataclass
class Scene:
  """Constants of a training step: replicated once, never changed.

  Attributes:
    model: the morphable model.
    bank: where codes are drawn from.
    space: of the losses.
    seed_key: root of all randomness of the data.
  """

  model: morphable_model.MorphableModel
  bank: code_bank.CodeBank
  space: losses.CodeSpace
  seed_key: jax.Array


def create_state(
  key,
  encoder: nn.Module,
  optimizer: optax.GradientTransformation,
  *,
  image_size: int,
  code_mean,
  code_std,
) -> TrainState:
  """Initialises an encoder and its optimizer.

  Args:
    key: randomness of the weights.
    encoder: [B, H, W, 3] images -> [B, D].
    optimizer: of the parameters.
    image_size: px.
    code_mean: [D].
    code_std: [D].

  Returns:
    The state before the first step.
  """
  images = jnp.zeros((1, image_size, image_size, 3))
  # Under jit the forward pass, whose result is not needed, is never run.
  variables = jax.jit(functools.partial(encoder.init, train=False))(key, images)
  return TrainState(
    step=jnp.zeros((), jnp.int32),
    params=variables["params"],
    batch_stats=variables.get("batch_stats", {}),
    opt_state=optimizer.init(variables["params"]),
    code_mean=code_mean,
    code_std=code_std,
  )


def predict(encoder: nn.Module, state: TrainState, images) -> jax.Array:
  """Reads codes from images [B, H, W, 3], [B, D]; BatchNorm is frozen."""
  variables = {"params": state.params, "batch_stats": state.batch_stats}
  output = encoder.apply(variables, images, train=False)
  return state.code_mean + state.code_std * output


def make_examples(
  scene: Scene, step, *, make_batch: Callable, local_batch: int
):
  """This device's examples of a step; runs under `parallel.parallelize`.

  Args:
    scene: constants.
    step: [] integer.
    make_batch: (seed_key, step, indices, model, bank) -> examples with `image`
      and `code`; `synthesis.synthesize_batch` with its options.
    local_batch: examples per device.

  Returns:
    The examples.
  """
  indices = parallel.global_indices(local_batch)
  return make_batch(scene.seed_key, step, indices, scene.model, scene.bank)


def update(
  state: TrainState,
  scene: Scene,
  examples,
  *,
  encoder: nn.Module,
  optimizer: optax.GradientTransformation,
  loss: losses.Loss,
  layout: code_vector.CodeLayout,
  learning_rate: optax.Schedule | None = None,
  accumulate_steps: int = 1,
  skip_not_finite: bool = False,
) -> tuple[TrainState, dict[str, jax.Array]]:
  """Learns from one batch; runs under `parallel.parallelize`.

  Args:
    state: before the step.
    scene: constants.
    examples: of this device, with `image` and `code`.
    encoder: images -> outputs.
    optimizer: gradients -> updates.
    loss: terms and weights.
    layout: of the codes.
    learning_rate: of the optimizer, for the metrics.
    accumulate_steps: parts of the batch that pass through the encoder in turn,
      for batches that do not fit into memory at once. BatchNorm normalizes
      each part by itself; without it the gradient is that of the whole batch.
    skip_not_finite: leave everything but `step` as it is where the loss or the
      gradient is NaN or infinite; the metric `skipped` is then 1, else 0.

  Returns:
    (state after the step, metrics averaged over devices).
  """

  def loss_of(params, batch_stats, images, codes):
    output, mutated = encoder.apply(
      {"params": params, "batch_stats": batch_stats},
      images,
      train=True,
      mutable=["batch_stats"],
    )
    read = state.code_mean + state.code_std * output
    total, terms = losses.total_loss(
      loss, scene.space, read, codes, layout=layout
    )
    return total, (terms, mutated.get("batch_stats", {}))

  gradient, terms, batch_stats = gradients.accumulate(
    loss_of,
    state.params,
    state.batch_stats,
    (examples.image, examples.code),
    num_parts=accumulate_steps,
  )
  gradient, terms = parallel.mean((gradient, terms))
  updates, opt_state = optimizer.update(gradient, state.opt_state, state.params)
  norm = optax.tree.norm(gradient)
  new = state.replace(
    params=optax.apply_updates(state.params, updates),
    # Cross-replica BatchNorm: equal on every device already.
    batch_stats=batch_stats,
    opt_state=opt_state,
  )
  metrics = {**terms, "gradient_norm": norm}
  if skip_not_finite:
    finite = jnp.isfinite(terms["loss"]) & jnp.isfinite(norm)
    new = jax.tree.map(functools.partial(jnp.where, finite), new, state)
    metrics["skipped"] = 1.0 - finite
  if learning_rate is not None:
    metrics["learning_rate"] = jnp.asarray(learning_rate(state.step))
  metrics["parameter_norm"] = optax.tree.norm(new.params)
  return new.replace(step=state.step + 1), metrics


@functools.lru_cache
def train_step(
  *, make_examples: Callable, update: Callable, steps_per_call: int
) -> Callable:
  """The parallel training step, (replicated state, scene) -> (state, metrics).

  One step is two programs, synthesis and learning: each compiles faster alone,
  and evaluation shares the first. Several steps are one program, which gains
  where a host call costs more than a step: not on a CPU.

  Args:
    make_examples: (scene, step) -> examples, of one device.
    update: (state, scene, examples) -> (state, metrics), of one device.
    steps_per_call: steps in one call; metrics have an axis of so many.

  Returns:
    The step.
  """
  if steps_per_call == 1:
    examples_of = parallel.parallelize(make_examples)
    learn = parallel.parallelize(update, donate=True)

    def step(state, scene):
      return learn(state, scene, examples_of(scene, state.step))

    return step

  def several(state, scene):
    def body(state, _):
      return update(state, scene, make_examples(scene, state.step))

    return jax.lax.scan(body, state, None, length=steps_per_call)

  return parallel.parallelize(several, donate=True)
