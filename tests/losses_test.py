import functools

import fake_model
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facerec_jax.face import code_vector
from facerec_jax.face import morphable_model
from facerec_jax.render import geometry
from facerec_jax.render import illumination
from facerec_jax.render import renderer
from facerec_jax.training import losses

_LAYOUT = code_vector.CodeLayout(5, 4, 3, default_translation=(0, 0, -600.0))


@pytest.fixture(scope="module")
def space():
  rng = np.random.default_rng(0)
  mean = np.asarray(_LAYOUT.flatten(_LAYOUT.neutral()))
  std = rng.uniform(0.5, 2.0, _LAYOUT.size).astype(np.float32)
  return losses.code_space(
    fake_model.make(num_rings=6),
    _LAYOUT,
    geometry.reference_camera(64),
    jnp.asarray(mean),
    jnp.asarray(std),
  )


def _draw(space, count, seed):
  rng = np.random.default_rng(seed)
  noise = rng.normal(size=(count, _LAYOUT.size)).astype(np.float32)
  return space.mean + space.std * 0.1 * noise


@pytest.mark.parametrize("name", losses.LOSSES)
def test_loss_is_zero_for_the_truth_and_one_for_the_mean(space, name):
  loss = losses.create({name: 1.0})
  rng = np.random.default_rng(1)
  noise = rng.normal(size=(4000, _LAYOUT.size)).astype(np.float32)
  # Rotations this large would wrap; the landmark loss needs plausible poses.
  scale = 0.05 if name == "landmarks" else 1.0
  true = space.mean + scale * space.std * noise
  measure = jax.jit(functools.partial(losses.total_loss, loss, layout=_LAYOUT))
  total, _ = measure(space, true, true)
  # Square roots are kept off 0, where their slope is infinite.
  assert float(total) == pytest.approx(0.0, abs=2e-3)
  mean = jnp.broadcast_to(space.mean, true.shape)
  total, _ = measure(space, mean, true)
  assert float(total) == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("name", losses.LOSSES)
def test_gradient_is_finite_even_at_the_truth(space, name):
  loss = losses.create({name: 1.0})
  true = _draw(space, 3, 2)

  @jax.jit
  @jax.grad
  def gradient(predicted):
    return losses.total_loss(loss, space, predicted, true, layout=_LAYOUT)[0]

  assert jnp.isfinite(gradient(true)).all()
  slope = gradient(true + 0.1)
  assert float(jnp.abs(slope).max()) > 0


def test_vertex_loss_is_the_root_mean_square_vertex_distance(space):
  model = fake_model.make(num_rings=6)
  predicted, true = _draw(space, 3, 3), _draw(space, 3, 4)
  _, terms = losses.total_loss(
    losses.create({"vertices": 1.0}), space, predicted, true, layout=_LAYOUT
  )

  def shape(flat):
    code = _LAYOUT.unflatten(flat)
    return morphable_model.vertices(model, code.identity, code.expression)

  offsets = np.asarray(jax.vmap(shape)(predicted) - jax.vmap(shape)(true))
  face = np.asarray(morphable_model.face_weights(model)) > 0
  wanted = np.sqrt((offsets[:, face] ** 2).sum(-1).mean(-1)).mean()
  assert float(terms["vertices/mm"]) == pytest.approx(wanted, rel=1e-3)


def test_landmark_loss_is_the_mean_pixel_distance(space):
  model = fake_model.make(num_rings=6)
  predicted, true = _draw(space, 3, 5), _draw(space, 3, 6)
  _, terms = losses.total_loss(
    losses.create({"landmarks": 1.0}), space, predicted, true, layout=_LAYOUT
  )
  pixels = [
    np.stack(
      [
        renderer.project_landmarks(model, space.camera, _LAYOUT.unflatten(flat))
        for flat in codes
      ]
    )
    for codes in (predicted, true)
  ]
  wanted = np.linalg.norm(pixels[0] - pixels[1], axis=-1).mean()
  assert float(terms["landmarks/px"]) == pytest.approx(wanted, rel=1e-3)


def test_effects_equal_measured_changes(space):
  """Each weight against the change that a small step really makes."""
  model = fake_model.make(num_rings=6)
  base = space.mean
  face = np.asarray(morphable_model.face_weights(model)) > 0
  for group, index in (("identity", 2), ("expression", 1), ("rotation", 1)):
    at = _LAYOUT.slices[group].start + index
    step = 1e-2

    def posed(flat):
      return renderer.posed_vertices(model, _LAYOUT.unflatten(flat))

    moved = np.asarray(posed(base.at[at].add(step)) - posed(base))
    moved = moved[face]
    if group == "rotation":
      moved = moved - moved.mean(0)
    change = np.sqrt((moved**2).sum(-1).mean()) / step
    assert float(space.effect[at]) == pytest.approx(change, rel=0.02)
  at = _LAYOUT.slices["illumination"].start + 3 * 2 + 1  # z light, green
  normals = geometry.vertex_normals(
    model.mean, model.triangles, model.incidence
  )
  light = illumination.ambient_light([1.0, 1.0, 1.0])
  lit = light.at[2, 1].add(0.01)
  change = illumination.shading(normals, lit) - illumination.shading(
    normals, light
  )
  change = np.asarray(model.albedo_mean * change)[face] / 0.01
  wanted = np.sqrt((change**2).sum(-1).mean())
  assert float(space.effect[at]) == pytest.approx(wanted, rel=1e-2)


def test_group_weights_select_groups(space):
  loss = losses.create(
    {"model_space": 1.0},
    {**dict.fromkeys(code_vector.GROUPS, 0.0), "rotation": 1.0},
  )
  true = _draw(space, 4, 7)
  part = _LAYOUT.slices["identity"]
  other = true.at[:, part].add(1.0)
  total, terms = losses.total_loss(loss, space, other, true, layout=_LAYOUT)
  assert float(total) == 0.0
  assert float(terms["model_space/identity"]) > 0.0


def test_bad_losses_are_refused():
  with pytest.raises(ValueError, match="loss 'l2' is none of model_space"):
    losses.create({"l2": 1.0})
  with pytest.raises(ValueError, match="code group 'hair' is none of identity"):
    losses.create({"code": 1.0}, {"hair": 1.0})
  with pytest.raises(ValueError, match="loss code: weight -1.0 is negative"):
    losses.create({"code": -1.0})
  with pytest.raises(ValueError, match="all weights are 0"):
    losses.create({"code": 0.0})
