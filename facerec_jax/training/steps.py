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

  Returns:
    (state after the step, metrics averaged over devices).
  """

  def loss_of(params):
    variables = {"params": params, "batch_stats": state.batch_stats}
    output, mutated = encoder.apply(
      variables, examples.image, train=True, mutable=["batch_stats"]
    )
    codes = state.code_mean + state.code_std * output
    total, terms = losses.total_loss(
      loss, scene.space, codes, examples.code, layout=layout
    )
    return total, (terms, mutated.get("batch_stats", {}))

  gradient, (terms, batch_stats) = jax.grad(loss_of, has_aux=True)(state.params)
  gradient, terms = parallel.mean((gradient, terms))
  updates, opt_state = optimizer.update(gradient, state.opt_state, state.params)
  metrics = {**terms, "gradient_norm": optax.tree.norm(gradient)}
  state = state.replace(
    step=state.step + 1,
    params=optax.apply_updates(state.params, updates),
    # Cross-replica BatchNorm: equal on every device already.
    batch_stats=batch_stats,
    opt_state=opt_state,
  )
  return state, metrics


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
    steps_per_call: steps in one call; metrics are of the last one.

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

    state, metrics = jax.lax.scan(body, state, None, length=steps_per_call)
    return state, jax.tree.map(lambda values: values[-1], metrics)

  return parallel.parallelize(several, donate=True)
