"""Small pictures of the built-in face, and what they show."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from facerec_jax.face import code_vector
from facerec_jax.face import morphable_model
from facerec_jax.render import geometry
from facerec_jax.render import renderer

SIZE = 144


def vertices_near(model, *places):
  """Vertices of the skin nearest to places of the tables."""
  skin = np.flatnonzero(morphable_model.region_vertices(model, "skin", "lips"))
  return skin[cKDTree(model.mean[skin]).query(np.array(places))[1]]


def column(model, *names):
  """[Ke] with 1 at the named units, of both sides where there are two."""
  weights = np.zeros(model.expression.shape[-1], np.float32)
  for name in names:
    found = [
      k for k, full in enumerate(model.expression_names)
      if full.split("_")[0] == name
    ]  # fmt: skip
    assert found, name
    weights[found] = 1.0
  return weights


def unit_field(model, *names):
  """[V, 3] units at full weight, both sides."""
  return model.expression @ column(model, *names)


@jax.jit
def _render(model, identity, expression, rotation):
  camera = geometry.reference_camera(SIZE)

  def one(values):
    code = code_vector.CodeVector(
      identity=values[0],
      expression=values[1],
      albedo=jnp.zeros(1),
      rotation=values[2],
      translation=jnp.array([0.0, 35.0, -640.0]),
      illumination=code_vector.white_light(),
    )
    picture = renderer.render(model, camera, code, height=SIZE, width=SIZE)
    shape = morphable_model.vertices(model, values[0], values[1])
    points = geometry.to_camera(shape, values[2], code.translation)
    pixels = geometry.project(camera, points)
    return picture.triangle_ids, pixels

  return jax.lax.map(one, (identity, expression, rotation), batch_size=8)


def render(model, *, identity=None, expression=None, rotation=(0, 0, 0)):
  """Triangle ids [N, S, S] and projected vertices [N, V, 2]."""
  given = [x for x in (identity, expression) if x is not None]
  count = len(given[0]) if given else 1
  if identity is None:
    identity = np.zeros((count, model.identity.shape[-1]), np.float32)
  if expression is None:
    expression = np.zeros((count, model.expression.shape[-1]), np.float32)
  turns = np.tile(np.array(rotation, np.float32), (count, 1))
  return map(np.asarray, _render(model, identity, expression, turns))


def triangle_regions(model, ids):
  """Region of each pixel, -1 for the background."""
  region = model.region[model.triangles[:, 0]]
  # Strips between two regions count as what hangs on the skin.
  region = np.maximum(region, model.region[model.triangles].max(axis=1))
  return np.where(ids < 0, -1, region[ids])


def seen(model, ids, *names):
  index = [model.region_names.index(name) for name in names]
  return np.isin(triangle_regions(model, ids), index)


def _beside_ears(model, image):
  """Pixels next to an ear: between lobe and cheek one sees what is behind."""
  ears = seen(model, image, "ears")
  return ndimage.binary_dilation(ears, iterations=2)


def check_closed_surface(model, ids, pixels, folds, names):
  for image, points, name in zip(ids, pixels, names, strict=True):
    mask = image >= 0
    assert mask.mean() > 0.3, name
    holes = ndimage.binary_fill_holes(mask) & ~mask
    holes &= ~_beside_ears(model, image)
    assert not holes.any(), (name, np.argwhere(holes))
    a, b, c = (points[model.triangles[image[mask]][:, k]] for k in range(3))
    d, e = b - a, c - a
    # Rows grow downward: a triangle seen from outside turns clockwise.
    area = d[:, 0] * e[:, 1] - d[:, 1] * e[:, 0]
    assert (area > 0).mean() < folds, name
