import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facerec_jax.face import incidence as incidence_lib
from facerec_jax.render import interpolation
from facerec_jax.render import linear_maps

_PIXELS = 30
_VERTICES = 12


def _plain(x, weights, index):
  """Interpolation as one writes it down."""
  padded = jnp.concatenate([x, jnp.zeros((x.shape[0], 1))], axis=1)
  return jnp.einsum("kp,rkp->rp", weights, padded[:, index])


@pytest.fixture
def case():
  rng = np.random.default_rng(0)
  x = jnp.asarray(rng.normal(size=(4, _VERTICES)), jnp.float32)
  weights = jnp.asarray(rng.normal(size=(3, _PIXELS)), jnp.float32)
  index = rng.integers(0, _VERTICES, (3, _PIXELS))
  index[:, :7] = _VERTICES  # Background.
  return x, weights, jnp.asarray(index)


def _slopes(function, index, order):
  def loss(x, weights):
    return jnp.sum(jnp.sin(function(x, weights, index)))

  slopes = [loss, jax.grad(loss, (0, 1)), jax.hessian(loss, (0, 1))]
  return jax.jit(slopes[order])


@pytest.mark.parametrize("order", range(3))
def test_interpolation_and_its_derivatives_equal_the_plain_ones(case, order):
  x, weights, index = case
  got = _slopes(interpolation.interpolate, index, order)(x, weights)
  wanted = _slopes(_plain, index, order)(x, weights)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), got, wanted
  )


def test_forward_mode_equals_reverse_mode(case):
  x, weights, index = case
  one = jax.random.normal(jax.random.key(0), x.shape)
  shift = jax.random.normal(jax.random.key(1), weights.shape)

  def f(x, weights):
    return interpolation.interpolate(x, weights, index)

  out, slope = jax.jvp(f, (x, weights), (one, shift))
  back = jax.vjp(f, x, weights)[1](jnp.ones_like(out))
  total = jnp.vdot(back[0], one) + jnp.vdot(back[1], shift)
  np.testing.assert_allclose(slope.sum(), total, rtol=1e-4)


@pytest.mark.parametrize("axes", [(0, 0, 0), (0, None, None), (None, 0, 0)])
def test_batches_equal_singles_with_gradients(case, axes):
  batched = [
    arg if axis is None else jnp.stack([arg, arg[::-1]])
    for arg, axis in zip(case, axes, strict=True)
  ]

  @jax.jit
  def slopes(x, weights, index):
    return jax.grad(
      lambda x, w: jnp.sum(interpolation.interpolate(x, w, index) ** 2), (0, 1)
    )(x, weights)

  together = jax.vmap(slopes, axes)(*batched)
  for member in range(2):
    alone = slopes(
      *(
        arg if axis is None else arg[member]
        for arg, axis in zip(batched, axes, strict=True)
      )
    )
    for got, wanted in zip(together, alone, strict=True):
      np.testing.assert_allclose(got[member], wanted, atol=1e-5)


@pytest.fixture
def mesh():
  """A fan with a hub, and a vertex that no triangle has."""
  ring = np.arange(1, 41)
  triangles = np.stack([np.zeros(40, int), ring, np.roll(ring, -1)], axis=1)
  triangles = triangles.astype(np.int32)
  incidence = incidence_lib.vertex_incidence(triangles, 42)
  assert incidence.hubs.shape[0] == 1
  return jnp.asarray(triangles), incidence


def test_corners_and_sums_are_what_they_say(mesh):
  triangles, incidence = mesh
  x = jax.random.normal(jax.random.key(0), (2, 42))
  corners = linear_maps.to_corners(x, triangles, incidence).reshape(2, 3, -1)
  np.testing.assert_array_equal(corners, x[:, triangles.T])
  y = jax.random.normal(jax.random.key(1), (2, 40))
  wanted = np.zeros((2, 42))
  for t, corners in enumerate(np.asarray(triangles)):
    wanted[:, corners] += np.asarray(y)[:, t, None]
  got = linear_maps.sum_around(y, triangles, incidence)
  np.testing.assert_allclose(got, wanted, atol=1e-5)


@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize(
  "name, columns", [("to_corners", 42), ("sum_around", 40)]
)
def test_maps_are_transposes_of_their_transposes(mesh, name, columns, batch):
  """<A x, y> = <x, A' y>, and A'' = A."""
  triangles, incidence = mesh

  @jax.jit
  def apply(x):
    return getattr(linear_maps, name)(x, triangles, incidence)

  if batch:
    apply = jax.vmap(apply)
  x = jax.random.normal(jax.random.key(0), (3, 2, columns))
  x = x if batch else x[0]
  out = apply(x)
  y = jax.random.normal(jax.random.key(1), out.shape)

  @jax.jit
  def transpose(y):
    return jax.vjp(apply, x)[1](y)[0]

  np.testing.assert_allclose(
    jnp.vdot(out, y), jnp.vdot(x, transpose(y)), rtol=1e-4
  )
  again = jax.vjp(transpose, y)[1](x)[0]
  np.testing.assert_allclose(again, out, atol=1e-5)


def test_take_reads_zero_outside():
  x = jnp.arange(6.0).reshape(2, 3)
  got = linear_maps.take(x, jnp.array([2, 3, 0]))
  np.testing.assert_array_equal(got, [[2, 0, 0], [5, 0, 3]])
