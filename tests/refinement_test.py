"""Fitting a code: towards the truth, and never to a worse one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facerec_jax.training import code_prior
from facerec_jax.training import refinement
from tests import rendered_photos


@pytest.fixture(scope="module")
def world():
  return rendered_photos.make_world()


def _refine(world, photo, flat, **schedule):
  return refinement.refine(
    world.scene,
    photo,
    flat,
    layout=world.layout,
    schedule=refinement.Schedule(**schedule),
  )


# Shading alone says little of a face of one colour.
@pytest.mark.parametrize("trust, share", ((1.0, 0.6), (0.0, 0.95)))
def test_fitting_approaches_the_truth(world, trust, share):
  """With landmarks and without, from the mean of the codes."""
  errors, energies = [], []
  for truth in world.bank.centers[:4]:
    photo = world.photo(truth, trust=trust)
    # The encoder knows the place and errs in the rest.
    start = 0.3 * world.scene.prior.mean + 0.7 * truth
    part = world.layout.slices["identity"]
    start = start.at[part].set(0.0)
    refined = _refine(world, photo, start, steps=60)
    true = world.vertices(truth)
    errors.append(
      [
        np.linalg.norm(world.vertices(flat) - true, axis=1).mean()
        for flat in (start, refined.flat)
      ]
    )
    energies.append(
      [float(refined.before["energy"]), float(refined.after["energy"])]
    )
    assert (np.asarray(refined.flat) >= world.scene.prior.low).all()
    assert (np.asarray(refined.flat) <= world.scene.prior.high).all()
  before, after = np.mean(errors, axis=0)
  assert after < share * before
  assert (np.diff(energies, axis=1) < 0).all()
  assert np.mean(energies, axis=0)[1] < 0.5 * np.mean(energies, axis=0)[0]


def test_the_best_code_is_kept(world):
  """Steps that are far too long never make it worse."""
  truth = world.bank.centers[5]
  photo = world.photo(truth)
  best = _refine(world, photo, truth, steps=60)
  jumpy = _refine(world, photo, best.flat, steps=60, step_size=5.0)
  assert float(jumpy.after["energy"]) <= float(best.after["energy"])
  assert np.isfinite(jumpy.flat).all()


def test_pose_and_light_move_first(world):
  truth = world.bank.centers[6]
  start = world.scene.prior.mean.at[world.layout.slices["expression"]].set(0.0)
  refined = _refine(
    world, world.photo(truth), start, steps=60, first_stage=0.99
  )
  moved = np.abs(np.asarray(refined.flat - start))
  slices = world.layout.slices
  assert moved[slices["identity"]].max() < 0.02
  assert moved[slices["translation"]].max() > 0.1


@pytest.mark.parametrize(
  "options, message",
  (
    (dict(steps=0), "steps is 0, wanted a whole number >= 1"),
    (dict(steps=2.5), "steps is 2.5, wanted a whole number >= 1"),
    (dict(steps=1, step_size=0.0), "step_size is 0.0, wanted more than 0"),
    (dict(steps=1, first_stage=1.0), "first_stage is 1.0, wanted 0 to below 1"),
  ),
)
def test_bad_schedules_are_refused(options, message):
  with pytest.raises(ValueError, match=message):
    refinement.Schedule(**options)


def test_codes_that_are_not_plausible_become_so(world):
  truth = world.bank.centers[0]
  wild = truth + 5.0 * world.scene.prior.std
  wild = wild.at[0].set(50.0)
  refined = _refine(world, world.photo(truth), wild, steps=60)
  assert np.isfinite(refined.flat).all()
  assert float(jnp.abs(refined.flat[0])) <= 2.7


def _whitening(world):
  """Of an encoder that errs by one standard deviation in each number."""
  return jnp.diag(
    1.0 / world.scene.prior.std[code_prior.read_part(world.layout)]
  )


def test_a_reading_holds_what_the_picture_does_not_show(world):
  """Its own answer where it is sure, else what the photograph says."""
  truth = world.bank.centers[7]
  photo = world.photo(truth)
  part = world.layout.slices["identity"]
  start = truth.at[part].add(0.8 * world.scene.prior.std[part])

  def distance(error):
    refined = refinement.refine(
      world.scene,
      photo,
      start,
      layout=world.layout,
      schedule=refinement.Schedule(60),
      whitening=_whitening(world) / error,
    )
    moved = np.asarray(refined.flat - start)[part]
    return np.linalg.norm(moved), float(refined.after["prior/reading"])

  sure, unsure = distance(0.01), distance(1.0)
  assert sure[0] < 0.2 * unsure[0]
  # The start is the likeliest of all codes to an encoder, not the mean face.
  assert 0 < unsure[1] < 5


def test_trusted_readings_replace_the_prior_of_shape_alone(world):
  flat, prior = world.bank.centers[3], world.scene.prior
  reading = code_prior.Reading(flat, _whitening(world))
  alone = code_prior.energy(prior, flat, layout=world.layout)
  read = code_prior.energy(prior, flat, layout=world.layout, reading=reading)
  assert float(read.pop("reading")) == 0.0
  assert float(alone["identity"]) > 0
  assert read.keys() == alone.keys() - {"expression"}
  for name, value in read.items():
    assert value == (0.0 if name == "identity" else alone[name])
  # One standard deviation in each of n numbers is n / 2 nats.
  away = code_prior.energy(
    prior, flat + prior.std, layout=world.layout, reading=reading
  )
  count = world.layout.identity + world.layout.expression
  assert float(away["reading"]) == pytest.approx(count / 2)


def test_mistakes_that_come_together_cost_less(world):
  """Against numpy's density of a normal distribution, up to its constant."""
  prior, part = world.scene.prior, code_prior.read_part(world.layout)
  rng, count = np.random.default_rng(0), part.stop - part.start
  root = rng.normal(size=(count, count)) + 2 * np.eye(count)
  covariance = root @ root.T
  whitening = np.linalg.cholesky(np.linalg.inv(covariance)).T
  flat = world.bank.centers[3]
  reading = code_prior.Reading(flat, jnp.asarray(whitening, jnp.float32))
  for mistake in (root[:, 0], root[:, 1], rng.normal(size=count)):
    away = code_prior.energy(
      prior,
      flat.at[part].add(jnp.asarray(mistake, jnp.float32)),
      layout=world.layout,
      reading=reading,
    )
    wanted = 0.5 * mistake @ np.linalg.solve(covariance, mistake)
    assert float(away["reading"]) == pytest.approx(wanted, rel=1e-3)


def test_less_trust_is_a_noisier_photograph(world):
  """Against the product of two normal densities, one a power."""
  prior, part = world.scene.prior, world.layout.slices["identity"]
  mean, std = (np.asarray(x[part], float) for x in (prior.mean, prior.std))
  noise = std * np.linspace(0.3, 2.0, len(std))
  seen = mean + std * np.linspace(-2.0, 1.5, len(std))

  def posterior(share):
    variance = 1 / (1 / std**2 + share / noise**2)
    return variance * (mean / std**2 + share * seen / noise**2), variance

  answer, variance = posterior(1.0)
  whitening = np.asarray(_whitening(world)).copy()
  whitening[: len(std), : len(std)] = np.diag(variance**-0.5)
  flat = prior.mean.at[part].set(answer)
  reading = code_prior.Reading(flat, jnp.asarray(whitening), trust=0.2)

  def energy(identity):
    sums = code_prior.energy(
      prior, flat.at[part].set(identity), layout=world.layout, reading=reading
    )
    return sum(sums.values())

  best, variance = posterior(0.2)
  slope = jax.grad(energy)(jnp.asarray(best, jnp.float32))
  np.testing.assert_allclose(slope * std, 0, atol=1e-4)
  away = energy(jnp.asarray(best + variance**0.5, jnp.float32))
  gained = float(away - energy(jnp.asarray(best, jnp.float32)))
  assert gained == pytest.approx(len(std) / 2, rel=1e-3)
