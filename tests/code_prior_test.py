"""Densities against formulas written a second time, and against the draws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facerec_jax.training import code_prior
from tests import rendered_photos


@pytest.fixture(scope="module")
def world():
  return rendered_photos.make_world()


def _energies(world, codes):
  energy = jax.vmap(
    lambda flat: code_prior.energy(world.scene.prior, flat, layout=world.layout)
  )
  return jax.tree.map(np.asarray, jax.jit(energy)(codes))


def test_normal_groups_average_to_half_a_nat_for_each_number(world):
  energies = _energies(world, world.bank.centers)
  for name in ("identity", "albedo", "rotation", "translation"):
    part = world.layout.slices[name]
    wanted = 0.5 * (part.stop - part.start)
    assert energies[name].mean() == pytest.approx(wanted, rel=1e-3)
  # Of the light the floor under its covariance takes a part.
  assert 8.0 < energies["illumination"].mean() <= 13.5


def test_light_is_measured_with_its_correlations(world):
  """Coloured light is improbable, a change of exposure is not."""
  prior, layout = world.scene.prior, world.layout
  part = layout.slices["illumination"]
  light = np.asarray(prior.mean)[part].reshape(9, 3)
  change = 0.3 * light
  red = change * [1.0, -0.5, -0.5] * np.linalg.norm(change)
  red /= np.linalg.norm(change * [1.0, -0.5, -0.5])
  codes = np.tile(prior.mean, (2, 1))
  codes[0, part] += change.ravel()
  codes[1, part] += red.ravel()
  brighter, redder = _energies(world, jnp.asarray(codes))["illumination"]
  assert redder > 5 * brighter


def test_units_rest_or_move(world):
  """The mixture of two exponentials, integrated and by hand."""
  units = world.scene.prior.units
  part = world.layout.slices["expression"]
  weights = np.linspace(0, 1, 201)
  codes = np.tile(world.scene.prior.mean, (len(weights), 1))
  codes[:, part] = 0.0
  base = codes.copy()
  # AU12 is a pair, moved alike.
  codes[:, part.start] = codes[:, part.start + 1] = weights
  got = _energies(world, jnp.asarray(codes))["expression"]
  share, strength = float(units.share[0]), float(units.strength[0])
  density = (1 - share) / 0.05 * np.exp(-weights / 0.05)
  density += share / strength * np.exp(-weights / strength)
  np.testing.assert_allclose(got, -np.log(density / density[0]), atol=1e-3)
  # Nine of ten nats are paid by moving at all.
  assert got[180] - got[90] < 0.5 * got[90]
  one_sided = base.copy()
  one_sided[:, part.start] = weights
  assert (_energies(world, jnp.asarray(one_sided))["expression"] > got)[
    20:
  ].all()


def test_units_are_measured_as_drawn(world):
  units, part = world.scene.prior.units, world.layout.slices["expression"]
  assert units.columns.tolist() == [[1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
  rows = np.asarray(world.bank.centers[:, part])
  mouth = rows[:, 2]
  assert float(units.share[1]) == pytest.approx((mouth > 0.05).mean(), abs=1e-6)
  assert float(units.strength[1]) == pytest.approx(
    mouth[mouth > 0.05].mean(), rel=1e-5
  )
  assert 0.02 <= float(units.asymmetry) < 0.2


def test_slopes_are_finite_everywhere(world):
  def total(flat):
    energies = code_prior.energy(world.scene.prior, flat, layout=world.layout)
    return sum(energies.values())

  for flat in (
    jnp.zeros(world.layout.size),
    1e4 * jnp.ones(world.layout.size),
    -1e4 * jnp.ones(world.layout.size),
    world.bank.centers[0],
  ):
    assert np.isfinite(jax.grad(total)(flat)).all()


def test_clipped_codes_are_plausible(world):
  prior, part = world.scene.prior, world.layout.slices["expression"]
  wild = 1e3 * jax.random.normal(jax.random.key(1), (4, world.layout.size))
  tame = np.asarray(code_prior.clip(prior, wild))
  assert (tame[:, part] >= 0).all() and (tame[:, part] <= 1).all()
  assert np.abs(tame[:, world.layout.slices["identity"]]).max() <= 2.7
  np.testing.assert_array_equal(
    code_prior.clip(prior, world.bank.centers), world.bank.centers
  )


def test_gaussian_expressions_have_no_units():
  world = rendered_photos.make_world(expression_names=())
  assert world.scene.prior.units.share.size == 0
  energies = _energies(world, world.bank.centers)
  assert energies["expression"].mean() == pytest.approx(2.0, rel=1e-3)
