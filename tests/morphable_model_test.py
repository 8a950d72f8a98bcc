import fake_model
import jax
import jax.numpy as jnp
import jax.test_util
import numpy as np
import pytest

from facerec_jax.face import incidence as incidence_lib
from facerec_jax.face import morphable_model
from facerec_jax.render import geometry


def _arrays(**changes):
  model = fake_model.make(num_rings=4)
  names = ("mean", "identity", "expression", "albedo_mean", "albedo")
  arrays = {name: np.asarray(getattr(model, name)) for name in names}
  arrays["triangles"] = np.asarray(model.triangles)
  arrays["landmarks"] = np.asarray(model.landmarks)
  return {**arrays, **changes}


def test_coefficients_move_vertices_by_their_columns():
  model = fake_model.make(num_rings=5)
  rng = np.random.default_rng(0)
  identity = rng.normal(size=model.identity.shape[-1]).astype(np.float32)
  expression = rng.normal(size=model.expression.shape[-1]).astype(np.float32)
  got = morphable_model.vertices(model, identity, expression)
  wanted = np.asarray(model.mean, np.float64)
  for column, value in enumerate(identity):
    wanted = wanted + value * np.asarray(model.identity)[..., column]
  for column, value in enumerate(expression):
    wanted = wanted + value * np.asarray(model.expression)[..., column]
  np.testing.assert_allclose(got, wanted, atol=1e-3)


def test_fewer_coefficients_mean_the_first_ones():
  model = fake_model.make(num_rings=5)
  full = jnp.zeros(model.identity.shape[-1]).at[:2].set(1.0)
  none = jnp.zeros(0)
  np.testing.assert_allclose(
    morphable_model.vertices(model, jnp.ones(2), none),
    morphable_model.vertices(model, full, none),
    atol=1e-4,
  )
  short = morphable_model.truncate(model, identity=2)
  assert short.identity.shape[-1] == 2
  np.testing.assert_allclose(
    morphable_model.vertices(short, jnp.ones(2), none),
    morphable_model.vertices(model, full, none),
    atol=1e-4,
  )


def test_albedo_stays_a_colour():
  model = fake_model.make(num_rings=4)
  extreme = 1e3 * jnp.ones(model.albedo.shape[-1])
  color = morphable_model.albedo(model, extreme)
  assert float(color.min()) >= 0 and float(color.max()) <= 1


def _triangles_at(incidence, count):
  """What an incidence says of each vertex, hubs from their own list."""
  lists = [list(row) for row in np.asarray(incidence.triangles)]
  rows = zip(incidence.hubs, incidence.hub_triangles, strict=True)
  for hub, row in rows:
    lists[int(hub)] = list(np.asarray(row))
  return [sorted(int(t) for t in row if t < count) for row in lists]


def test_incidence_lists_each_triangle_at_each_corner():
  triangles = np.array([[0, 1, 2], [2, 1, 3], [0, 2, 4]])
  found = _triangles_at(incidence_lib.vertex_incidence(triangles, 6), 3)
  assert found == [[0, 2], [0, 1], [0, 1, 2], [1], [2], []]


def test_copies_on_a_seam_have_the_normal_of_the_whole():
  """Two sheets that meet at right angles, each with its own edge."""
  points = np.array(
    [[0, 0, 0], [0, 1, 0], [1, 0, 0], [0, 0, 0], [0, 1, 0], [0, 0, -1.0]]
  )
  triangles = np.array([[0, 2, 1], [3, 4, 5]])
  same_as = np.array([0, 1, 2, 0, 1, 5])
  incidence = incidence_lib.vertex_incidence(triangles, 6, same_as)

  def normals(points):
    return geometry.vertex_normals(points, jnp.asarray(triangles), incidence)

  found = np.asarray(normals(jnp.asarray(points, jnp.float32)))
  np.testing.assert_allclose(found[0], found[3], atol=1e-6)
  np.testing.assert_allclose(found[1], [-0.7071, 0, 0.7071], atol=1e-3)
  np.testing.assert_allclose(found[2], [0, 0, 1], atol=1e-6)
  jax.test_util.check_grads(
    normals,
    (jnp.asarray(points, jnp.float32),),
    order=1,
    eps=1e-3,
    atol=0.02,
    rtol=0.02,
  )


def test_centres_of_fans_do_not_widen_the_table():
  lattice = np.asarray(fake_model.make(num_rings=12).triangles)
  rim = np.arange(60)
  fan = np.stack([np.full(60, 61), rim, (rim + 1) % 61], axis=1)
  triangles = np.concatenate([lattice, fan])
  count = triangles.max() + 1
  incidence = incidence_lib.vertex_incidence(triangles, count)
  assert incidence.triangles.shape[1] < 20
  assert 61 in np.asarray(incidence.hubs)
  wanted = [[] for _ in range(count)]
  for index, corners in enumerate(triangles):
    for corner in corners:
      wanted[corner].append(index)
  assert _triangles_at(incidence, len(triangles)) == wanted


def test_restricted_model_agrees_at_its_vertices():
  model = fake_model.make(num_rings=5)
  few = jax.jit(lambda m: morphable_model.restrict(m, m.landmarks))(model)
  ones = jnp.ones(model.identity.shape[-1])
  whole = morphable_model.vertices(model, ones, jnp.zeros(0))
  np.testing.assert_allclose(
    morphable_model.vertices(few, ones, jnp.zeros(0)),
    whole[model.landmarks],
    atol=1e-4,
  )


def test_regions_by_name():
  model = fake_model.make(num_rings=6)
  lips = morphable_model.region_vertices(model, "lips")
  assert 0 < lips.sum() < model.num_vertices
  everything = morphable_model.region_vertices(model, *model.region_names)
  assert everything.all()
  with pytest.raises(ValueError, match="region 'tail' is none of skin, lips"):
    morphable_model.region_vertices(model, "tail")


@pytest.mark.parametrize(
  "changes, message",
  [
    (dict(mean=np.zeros((9, 2))), r"mean has shape \(9, 2\), wanted \(9, 3\)"),
    (dict(landmarks=np.zeros(67, int)), r"landmarks has shape \(67,\)"),
    (dict(landmarks=np.full(68, 10**6)), "indices 1000000..1000000, wanted"),
    (dict(triangles=np.array([[0, 1, -1]])), "triangles has indices -1..1"),
    (dict(expression_names=("a",)), "1 expression_names for 4 basis columns"),
    (dict(expression_kind="curvy"), "'curvy' is none of"),
  ],
)
def test_bad_models_are_refused(changes, message):
  with pytest.raises(ValueError, match=message):
    morphable_model.create(**_arrays(**changes))


def test_nan_is_refused():
  arrays = _arrays()
  arrays["identity"] = arrays["identity"].copy()
  arrays["identity"][3, 1, 0] = np.nan
  with pytest.raises(ValueError, match="identity holds NaN or infinity"):
    morphable_model.create(**arrays)


def test_face_weights_choose_the_front_without_the_mouth():
  model = fake_model.make(num_rings=8)
  weights = np.asarray(morphable_model.face_weights(model))
  landmarks = np.asarray(model.landmarks)
  assert (weights[landmarks[17:]] == 1).all()
  distance = np.linalg.norm(model.mean - model.mean[landmarks[30]], axis=1)
  assert (weights[distance > morphable_model.FACE_RADIUS] == 0).all()
  hidden = model.replace(region_names=("skin", "teeth"))
  teeth = morphable_model.region_vertices(hidden, "teeth")
  got = np.asarray(morphable_model.face_weights(hidden))
  assert (got[teeth] == 0).all() and (got[~teeth] == weights[~teeth]).all()
