"""A scanner's view of a face model: even points on what can be seen."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from facerec_jax.evaluation import dense
from facerec_jax.face import code_vector
from facerec_jax.face import morphable_model
from facerec_jax.render import geometry
from facerec_jax.render import renderer

_YAWS = (-60.0, -30.0, 0.0, 30.0, 60.0)  # degrees
_SIZE, _HEIGHT = 512, 260.0  # px, mm that are seen
_SEED = 0


class Samples(NamedTuple):
  """Points on a mesh.

  Attributes:
    corners: [n, 3] vertices.
    shares: [n, 3] of them, sum 1.
  """

  corners: np.ndarray
  shares: np.ndarray

  def at(self, points: np.ndarray) -> np.ndarray:
    """The points [n, 3] on a mesh with vertices [V, 3]."""
    return (points[self.corners] * self.shares[..., None]).sum(axis=1)


def scan_points(model: morphable_model.MorphableModel, count: int) -> Samples:
  """Points spread evenly over the outer skin that some view of the mean shows.

  Args:
    model: the face model.
    count: of points.
  """
  seen = _seen(model)
  outer = dense.outer_triangles(model)
  every = np.asarray(model.triangles)
  shown = {tuple(corners) for corners in every[seen]}
  triangles = np.array([t for t in outer if tuple(t) in shown])
  return sample_evenly(np.asarray(model.mean, float), triangles, count)


def sample_evenly(
  points: np.ndarray, triangles: np.ndarray, count: int
) -> Samples:
  """Random points with equal density, seeded.

  Args:
    points: [V, 3].
    triangles: [T, 3].
    count: of points.
  """
  random = np.random.default_rng(_SEED)
  a, b, c = (points[triangles[:, k]] for k in range(3))
  area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
  owner = random.choice(len(triangles), count, p=area / area.sum())
  # Osada et al. 2002: the root makes the density even.
  root, along = np.sqrt(random.uniform(size=count)), random.uniform(size=count)
  shares = np.column_stack([1 - root, root * (1 - along), root * along])
  return Samples(triangles[owner], shares)


def _seen(model):
  """[T] bool, triangles of the mean face that some view shows."""
  seen = np.zeros(model.num_triangles, bool)
  for yaw in _YAWS:
    ids = np.asarray(_look(model, np.float32(np.radians(yaw))))
    seen[ids[ids >= 0]] = True
  return seen


@jax.jit
def _look(model, yaw):
  points = model.mean - model.mean[model.landmarks[30]]
  away = geometry.reference_camera(1).focal * _HEIGHT
  posed = geometry.to_camera(
    points, jnp.array([0.0, 1.0, 0.0]) * yaw, jnp.array([0.0, 0, -1.0]) * away
  )
  return renderer.render_mesh(
    posed,
    model.triangles,
    model.incidence,
    albedo=model.albedo_mean,
    light=code_vector.white_light(),
    camera=geometry.reference_camera(_SIZE),
    height=_SIZE,
    width=_SIZE,
  ).triangle_ids
