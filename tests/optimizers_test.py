import jax.numpy as jnp
import optax
import pytest

from facerec_jax.training import optimizers

_COMMON = dict(
  learning_rate=0.1,
  schedule="constant",
  warmup_steps=0,
  weight_decay=0.0,
  max_gradient_norm=0.0,
  num_steps=200,
)


@pytest.mark.parametrize("name", optimizers.OPTIMIZERS)
def test_each_optimizer_descends(name):
  rate = 20.0 if name == "adadelta" else 0.1
  optimizer = optimizers.create(name=name, **{**_COMMON, "learning_rate": rate})
  params = jnp.array([1.0, -2.0])
  state = optimizer.init(params)
  for _ in range(200):
    updates, state = optimizer.update(2 * params, state, params)
    params = optax.apply_updates(params, updates)
  assert float(jnp.abs(params).max()) < 0.5


def test_schedule_warms_up_and_decays():
  rate = optimizers.learning_rate_schedule(
    learning_rate=1.0, schedule="cosine", warmup_steps=10, num_steps=100
  )
  assert float(rate(0)) == 0.0
  assert float(rate(5)) == pytest.approx(0.5)
  assert float(rate(10)) == pytest.approx(1.0)
  assert float(rate(55)) == pytest.approx(0.5)
  assert float(rate(100)) == pytest.approx(0.0, abs=1e-6)


def test_constant_schedule_stays_after_warm_up():
  rate = optimizers.learning_rate_schedule(
    learning_rate=2.0, schedule="constant", warmup_steps=4, num_steps=100
  )
  assert [float(rate(step)) for step in (0, 2, 4, 99)] == [0, 1, 2, 2]


def test_large_gradients_are_clipped():
  optimizer = optimizers.create(
    name="adam", **{**_COMMON, "max_gradient_norm": 1.0}
  )
  params = jnp.zeros(2)
  _, state = optimizer.update(
    jnp.array([3e5, 4e5]), optimizer.init(params), params
  )
  first_moment = optax.tree_utils.tree_get(state, "mu")
  assert float(jnp.linalg.norm(first_moment)) == pytest.approx(0.1, rel=1e-4)


@pytest.mark.parametrize(
  "changes, message",
  [
    (dict(name="sgdx"), "optimizer 'sgdx' is none of adam, adamw, adadelta"),
    (dict(weight_decay=0.1), "weight_decay 0.1 has no effect; use adamw"),
    (dict(schedule="steps"), "schedule 'steps' is none of constant, cosine"),
    (dict(warmup_steps=200), "warmup_steps 200 must be fewer than num_steps"),
  ],
)
def test_bad_settings_are_refused(changes, message):
  with pytest.raises(ValueError, match=message):
    optimizers.create(**{"name": "adam", **_COMMON, **changes})
