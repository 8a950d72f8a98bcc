"""The expression network: an MLP from codes to classes and intensities."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence

from flax import linen as nn
from flax import struct
import jax
import jax.numpy as jnp
import numpy as np
import optax

from facerec_jax.recognition import labelled_codes
from facerec_jax.training import parallel

NUM_CLASSES = labelled_codes.NUM_CLASSES
# FACS' grades none, A, B, C, D, E as numbers, and the shares of full movement
# that they stand for.
GRADES = (0.0, 1.0, 2.0, 3.0, 4.0, 5.0)
GRADE_SHARES = (0.0, 0.1, 0.25, 0.5, 0.8, 1.0)


class Network(nn.Module):
  """Dense layers with ReLU, then one layer for both answers.

  Attributes:
    hidden: width of each hidden layer.
  """

  hidden: Sequence[int]

  @nn.compact
  def __call__(self, codes) -> tuple[jax.Array, jax.Array]:
    """Answers standardised codes.

    Args:
      codes: [..., Ke].

    Returns:
      (logits [..., 7], intensities [..., 7] above zero).
    """
    values = codes
    for width in self.hidden:
      values = nn.relu(nn.Dense(width)(values))
    logits = nn.Dense(NUM_CLASSES, name="classes")(values)
    intensity = nn.Dense(NUM_CLASSES, name="intensity")(values)
    return logits, nn.softplus(intensity)


@struct.dataclass
class State:
  """All that training changes, and the statistics of the codes.

  Attributes:
    step: [] int32, finished steps.
    params: of the network.
    opt_state: of the optimizer.
    mean: [Ke] of the codes; constant.
    std: [Ke], above zero; constant.
  """

  step: jax.Array
  params: dict
  opt_state: optax.OptState
  mean: jax.Array
  std: jax.Array


def create_state(
  key,
  network: Network,
  optimizer: optax.GradientTransformation,
  *,
  mean,
  std,
) -> State:
  """The state before the first step; statistics [Ke] are of the bank."""
  params = network.init(key, jnp.zeros((1, len(mean))))["params"]
  return State(
    step=jnp.zeros((), jnp.int32),
    params=params,
    opt_state=optimizer.init(params),
    mean=mean,
    std=std,
  )


def statistics(bank: labelled_codes.Bank) -> tuple[jax.Array, jax.Array]:
  """Mean and spread of what is drawn from a bank, noise included.

  A column that the emotions do not move is no evidence: its spread is at least
  a twentieth of the largest, so that a reading there stays small.

  Returns:
    (mean [Ke], standard deviation [Ke] above zero).
  """
  rows = bank.rows
  noise = jnp.square(rows.noise).mean() * jnp.square(bank.noise_root).sum(0)
  std = jnp.sqrt(rows.codes.var(axis=0) + noise)
  return rows.codes.mean(axis=0), jnp.maximum(std, 0.05 * std.max() + 1e-6)


def apply(network: Network, state: State, codes):
  """Logits and intensities of codes [B, Ke], each [B, 7]."""
  standard = (codes - state.mean) / state.std
  return network.apply({"params": state.params}, standard)


def update(
  state: State,
  bank: labelled_codes.Bank,
  seed_key,
  *,
  network: Network,
  optimizer: optax.GradientTransformation,
  local_batch: int,
  intensity_weight: float,
) -> tuple[State, dict[str, jax.Array]]:
  """Learns from one batch; runs under `parallel.parallelize`.

  Args:
    state: before the step.
    bank: to draw from.
    seed_key: of the draws.
    network: codes -> answers.
    optimizer: gradients -> updates.
    local_batch: examples per device.
    intensity_weight: of the squared error of intensities, summed over classes,
      beside the cross entropy.

  Returns:
    (state after the step, metrics averaged over devices).
  """
  batch = labelled_codes.draw_batch(
    bank, seed_key, state.step, parallel.global_indices(local_batch)
  )

  def loss_of(params):
    logits, intensity = apply(network, state.replace(params=params), batch.code)
    entropy = optax.softmax_cross_entropy_with_integer_labels(
      logits, batch.label
    ).mean()
    shown = jax.nn.one_hot(batch.emotion, NUM_CLASSES)
    wanted = shown * batch.intensity[:, None]
    error = jnp.square(intensity - wanted).sum(axis=-1).mean()
    is_right = logits.argmax(axis=-1) == batch.label
    loss = entropy + intensity_weight * error
    return loss, {
      "loss": loss,
      "cross_entropy": entropy,
      "intensity_error": error,
      "accuracy": is_right.mean(),
    }

  gradient, metrics = jax.grad(loss_of, has_aux=True)(state.params)
  gradient, metrics = parallel.mean((gradient, metrics))
  updates, opt_state = optimizer.update(gradient, state.opt_state, state.params)
  state = state.replace(
    step=state.step + 1,
    params=optax.apply_updates(state.params, updates),
    opt_state=opt_state,
  )
  return state, metrics


def train_step(update: Callable, steps_per_call: int) -> Callable:
  """The parallel training step.

  Args:
    update: as `update`, of one device.
    steps_per_call: steps in one call; metrics are of each.

  Returns:
    (replicated state, bank, seed key) -> (state, metrics).
  """

  def several(state, bank, seed_key):
    def body(state, _):
      return update(state, bank, seed_key)

    return jax.lax.scan(body, state, None, length=steps_per_call)

  return parallel.parallelize(several, donate=True)


def grade(intensity) -> np.ndarray:
  """Intensities (1: as the variants' mean weights) on FACS' scale, 0 to 5."""
  return np.interp(np.asarray(intensity), GRADE_SHARES, GRADES)
