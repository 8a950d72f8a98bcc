import functools

import fake_model
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facerec_jax.face import code_vector
from facerec_jax.face import incidence as incidence_lib
from facerec_jax.render import geometry
from facerec_jax.render import renderer

_SIZE = 64
_CENTER = np.array([20.0, -30.0, -800.0])
_RADIUS = 80.0


@pytest.fixture(scope="module")
def sphere():
  """Unit vectors, triangles and incidence of a closed sphere."""
  rows, columns = 60, 80
  polar = np.linspace(0, np.pi, rows)[:, None]
  azimuth = np.linspace(0, 2 * np.pi, columns, endpoint=False)[None]
  x, y = np.sin(polar) * np.cos(azimuth), np.sin(polar) * np.sin(azimuth)
  unit = np.stack([x, y, np.cos(polar) * np.ones_like(azimuth)], -1)
  unit = unit.reshape(-1, 3)
  index = np.arange(rows * columns).reshape(rows, columns)
  a, b = index[:-1], np.roll(index, -1, axis=1)[:-1]
  c, d = index[1:], np.roll(index, -1, axis=1)[1:]
  triangles = np.concatenate([np.stack([a, c, b], -1), np.stack([b, c, d], -1)])
  triangles = triangles.reshape(-1, 3).astype(np.int32)
  incidence = incidence_lib.vertex_incidence(triangles, len(unit))
  return jnp.asarray(unit, jnp.float32), jnp.asarray(triangles), incidence


def _rendering(points, triangles, incidence, supersampling=1, shadow=False):
  return renderer.render_mesh(
    points,
    triangles,
    incidence,
    albedo=jnp.full(points.shape, 0.5),
    light=code_vector.white_light(),
    camera=geometry.reference_camera(_SIZE),
    height=_SIZE,
    width=_SIZE,
    supersampling=supersampling,
    silhouettes=not shadow,
  )


_coverage = jax.jit(_rendering, static_argnames=("supersampling", "shadow"))


def _moved_sphere(move, unit):
  """A sphere moved by [radius, x, y, z mm, pitch, yaw, roll]."""
  turned = unit @ geometry.rotation_matrix(move[4:]).T
  return turned * (_RADIUS + move[0]) + jnp.asarray(_CENTER) + move[1:4]


def _moments(image):
  """Area, and first moments about the middle of the image."""
  axis = jnp.arange(_SIZE) + 0.5 - _SIZE / 2
  return jnp.stack(
    [image.sum(), (image * axis).sum(), (image * axis[:, None]).sum()]
  )


def _outline_moments(move):
  """The moments of a sphere's outline, an ellipse, in closed form.

  Rays r with (r . c)^2 = |r|^2 (|c|^2 - R^2) bound the sphere: a conic.
  """
  center, radius = _CENTER + move[1:4], _RADIUS + move[0]
  focal = float(geometry.reference_camera(_SIZE).focal)
  matrix = np.outer(center, center) - (center @ center - radius**2) * np.eye(3)
  # Rays (column, -row, -focal) with column and row about the middle.
  to_ray = np.diag([1.0, -1.0, -focal])
  conic = to_ray.T @ matrix @ to_ray
  block, edge = conic[:2, :2], conic[:2, 2]
  middle = -np.linalg.solve(block, edge)
  level = -(conic[2, 2] + edge @ middle)
  area = np.pi * abs(level) / np.sqrt(np.linalg.det(block))
  return area * np.array([1.0, *middle])


@pytest.mark.parametrize("supersampling, tolerance", [(1, 0.06), (2, 0.04)])
def test_moments_of_a_sphere_move_as_in_closed_form(
  sphere, supersampling, tolerance
):
  unit, triangles, incidence = sphere

  @jax.jit
  @jax.jacrev
  def slopes(move):
    points = _moved_sphere(move, unit)
    image = _coverage(points, triangles, incidence, supersampling).coverage
    return _moments(image)

  got = np.asarray(slopes(jnp.zeros(7)))
  for index in range(4):
    step = np.zeros(7)
    step[index] = 1e-3
    difference = _outline_moments(step) - _outline_moments(-step)
    wanted = difference / 2e-3
    np.testing.assert_allclose(
      got[:, index], wanted, atol=tolerance * np.abs(wanted).max()
    )
  # A sphere that turns about its centre keeps its outline.
  radius_px = _RADIUS / 800.0 * 164.6
  assert np.abs(got[0, 4:]).max() < 0.02 * 2 * np.pi * radius_px**2


def test_values_are_those_of_the_hard_image(sphere):
  unit, triangles, incidence = sphere
  points = _moved_sphere(jnp.zeros(7), unit)
  # Operation by operation: two whole programs round each in its own way.
  soft = _rendering(points, triangles, incidence)
  hard = _rendering(points, triangles, incidence, shadow=True)
  for got, wanted in zip(soft, hard, strict=True):
    np.testing.assert_array_equal(got, wanted)


def test_without_silhouettes_coverage_has_no_gradient(sphere):
  unit, triangles, incidence = sphere

  def area(move):
    points = _moved_sphere(move, unit)
    return _coverage(points, triangles, incidence, shadow=True).coverage.sum()

  np.testing.assert_array_equal(jax.jit(jax.grad(area))(jnp.zeros(7)), 0.0)


def test_border_of_a_sheet_moves_with_its_points():
  """An open, flat mesh: its outline is material."""
  xy = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * 60.0
  points = np.c_[xy + [3.3, -2.1], np.full(4, -800.0)].astype(np.float32)
  triangles = np.array([[0, 1, 2], [0, 2, 3]], np.int32)
  incidence = incidence_lib.vertex_incidence(triangles, 4)

  @jax.jit
  def moments(move):
    moved = jnp.asarray(points) * jnp.array([1.0, 1.0, 0.0]) * move[0]
    moved = moved + jnp.array([0.0, 0.0, -800.0]) + move[1:]
    return _moments(
      _coverage(moved, jnp.asarray(triangles), incidence).coverage
    )

  move = jnp.array([1.0, 0.0, 0.0, 0.0])
  got = np.asarray(jax.jit(jax.jacrev(moments))(move))
  area = float(moments(move)[0])
  px_per_mm = float(geometry.reference_camera(_SIZE).focal) / 800.0
  assert got[0, 0] == pytest.approx(2 * area, rel=0.06)
  assert got[0, 3] == pytest.approx(2 * area / 800.0, rel=0.06)
  np.testing.assert_allclose(got[0, 1:3], 0.0, atol=1e-3)
  assert got[1, 1] == pytest.approx(area * px_per_mm, rel=0.06)
  assert got[2, 2] == pytest.approx(-area * px_per_mm, rel=0.06)


def _blurred(image):
  """Masks differ only where they do not overlap; blurred, nearby too."""
  kernel = jnp.exp(-0.5 * (jnp.arange(-9, 10) / 3.0) ** 2)
  kernel = kernel / kernel.sum()
  for axis in (0, 1):
    image = jnp.apply_along_axis(
      functools.partial(jnp.convolve, v=kernel, mode="same"), axis, image
    )
  return image


def test_pose_is_fitted_from_a_mask_alone():
  model = fake_model.make(num_rings=20)
  neutral = code_vector.CodeLayout(
    identity=5,
    expression=4,
    albedo=3,
    default_translation=(0.0, 30.0, -600.0),
  ).neutral()

  def coverage(pose, supersampling=2):
    code = neutral.replace(
      translation=neutral.translation + 100.0 * pose[:3],
      rotation=jnp.array([0.0, 0.0, 1.0]) * pose[3],
    )
    return renderer.render(
      model,
      geometry.reference_camera(_SIZE),
      code,
      height=_SIZE,
      width=_SIZE,
      supersampling=supersampling,
      silhouettes=True,
    ).coverage

  truth = jnp.array([0.12, -0.08, 0.3, 0.3])
  target = _blurred(
    jax.jit(functools.partial(coverage, supersampling=4))(truth)
  )

  @jax.jit
  def step(pose, momentum, square):
    slope = jax.grad(
      lambda pose: jnp.sum((_blurred(coverage(pose)) - target) ** 2)
    )(pose)
    momentum = 0.8 * momentum + 0.2 * slope
    square = 0.9 * square + 0.1 * slope**2
    return pose - 0.02 * momentum / jnp.sqrt(square + 1e-9), momentum, square

  state = jnp.zeros(4), jnp.zeros(4), jnp.ones(4)
  for _ in range(150):
    state = step(*state)
  error = np.abs(np.asarray(state[0] - truth))
  # 100 mm, radians.
  assert error[:2].max() < 0.02 and error[2] < 0.08 and error[3] < 0.05
