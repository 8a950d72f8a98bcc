import functools

import cuda_lowering
import fake_model
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facerec_jax.face import code_vector
from facerec_jax.face import incidence as incidence_lib
from facerec_jax.render import geometry
from facerec_jax.render import illumination
from facerec_jax.render import renderer

_SIZE = 48


@pytest.fixture(scope="module")
def model():
  return fake_model.make(num_rings=10)


@functools.partial(jax.jit, static_argnames=("height", "width"))
def _render_mesh(points, triangles, incidence, **arguments):
  return renderer.render_mesh(points, triangles, incidence, **arguments)


@functools.partial(jax.jit, static_argnums=3)
@functools.partial(jax.grad, argnums=1)
def _gradient(model, flat, weights, layout):
  return _pixel_sum(model, flat, weights, layout)


def _layout(model):
  return code_vector.CodeLayout(
    identity=model.identity.shape[-1],
    expression=model.expression.shape[-1],
    albedo=model.albedo.shape[-1],
    default_translation=(0.0, 30.0, -600.0),
  )


def _code(model, seed):
  rng = np.random.default_rng(seed)
  code = _layout(model).neutral()
  return code.replace(
    identity=jnp.asarray(rng.normal(size=code.identity.shape), jnp.float32),
    rotation=jnp.asarray(rng.uniform(-0.3, 0.3, 3), jnp.float32),
    illumination=code.illumination
    + jnp.asarray(rng.normal(0, 0.2, (9, 3)), jnp.float32),
  )


@functools.partial(jax.jit, static_argnames="size")
def _render(model, code, size=_SIZE):
  camera = geometry.reference_camera(size)
  return renderer.render(model, camera, code, height=size, width=size)


def test_white_light_gives_the_albedo(model):
  open_sky = model.replace(occlusion=jnp.ones_like(model.occlusion))
  rendering = _render(open_sky, _layout(model).neutral())
  assert 0.2 < rendering.mask.mean() < 0.9
  np.testing.assert_allclose(rendering.image, rendering.albedo, atol=1e-5)


def test_background_is_zero(model):
  rendering = _render(model, _code(model, 0))
  outside = ~np.asarray(rendering.mask)
  for image in (rendering.image, rendering.albedo, rendering.normals):
    assert (np.asarray(image)[outside] == 0).all()
  assert (np.asarray(rendering.depth)[outside] == 0).all()
  assert (np.asarray(rendering.triangle_ids)[outside] == -1).all()


def test_normals_are_unit_vectors_that_face_the_camera(model):
  rendering = _render(model, _code(model, 1))
  normals = np.asarray(rendering.normals)[np.asarray(rendering.mask)]
  np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-4)
  assert (normals[:, 2] > -0.3).all()


def test_batch_equals_singles(model):
  codes = [_code(model, seed) for seed in range(3)]
  batch = jax.tree.map(lambda *leaves: jnp.stack(leaves), *codes)
  together = jax.jit(jax.vmap(_render, (None, 0)))(model, batch)
  for index, code in enumerate(codes):
    alone = _render(model, code)
    np.testing.assert_array_equal(
      together.triangle_ids[index], alone.triangle_ids
    )
    np.testing.assert_allclose(together.image[index], alone.image, atol=1e-5)


def _sheet(count=5):
  """A tilted plane over the whole view, its corners at various depths."""
  x, y = np.meshgrid(
    np.linspace(-300, 300, count), np.linspace(300, -300, count)
  )
  z = -1000 + 0.4 * x - 0.3 * y
  points = np.stack([x, y, z], -1).reshape(-1, 3).astype(np.float32)
  index = np.arange(count * count).reshape(count, count)
  a, b = index[:-1, :-1].ravel(), index[:-1, 1:].ravel()
  c, d = index[1:, :-1].ravel(), index[1:, 1:].ravel()
  triangles = np.stack([np.stack([a, c, b]), np.stack([b, c, d])])
  return points, triangles.transpose(2, 0, 1).reshape(-1, 3)


def test_depth_and_attributes_of_a_plane_are_ray_plane_intersections():
  points, triangles = _sheet()
  camera = geometry.reference_camera(40)
  # An albedo that is linear in space must be exact under perspective.
  albedo = 0.5 + points / 1000
  rendering = _render_mesh(
    jnp.asarray(points),
    jnp.asarray(triangles),
    incidence_lib.vertex_incidence(triangles, len(points)),
    albedo=jnp.asarray(albedo),
    light=code_vector.white_light(),
    camera=camera,
    height=40,
    width=40,
  )
  assert np.asarray(rendering.mask).all()
  column, row = np.meshgrid(np.arange(40) + 0.5, np.arange(40) + 0.5)
  ray = np.stack([column - 20, 20 - row, -np.full_like(row, camera.focal)], -1)
  # n . p = d with n = (0.4, -0.3, -1), d = 1000.
  normal = np.array([0.4, -0.3, -1.0])
  hit = ray * (1000.0 / (ray @ normal))[..., None]
  np.testing.assert_allclose(rendering.depth, -hit[..., 2], rtol=2e-5)
  np.testing.assert_allclose(rendering.albedo, 0.5 + hit / 1000, atol=2e-4)
  unit = -normal / np.linalg.norm(normal)
  np.testing.assert_allclose(
    rendering.normals, np.broadcast_to(unit, hit.shape), atol=1e-5
  )


def test_shaded_sphere_equals_the_closed_form():
  rows, columns = 90, 120
  polar = np.linspace(0, np.pi, rows)[:, None]
  azimuth = np.linspace(0, 2 * np.pi, columns, endpoint=False)[None]
  unit = np.stack(
    [
      np.sin(polar) * np.cos(azimuth),
      np.sin(polar) * np.sin(azimuth),
      np.cos(polar) * np.ones_like(azimuth),
    ],
    -1,
  ).reshape(-1, 3)
  index = np.arange(rows * columns).reshape(rows, columns)
  a, b = index[:-1].ravel(), np.roll(index, -1, axis=1)[:-1].ravel()
  c, d = index[1:].ravel(), np.roll(index, -1, axis=1)[1:].ravel()
  triangles = np.concatenate([np.stack([a, c, b], 1), np.stack([b, c, d], 1)])
  center = np.array([0.0, 0.0, -1000.0])
  points = (center + 80 * unit).astype(np.float32)
  light = illumination.directional_light([0.6, 0.0, 0.8], [3.0, 2.0, 1.0])
  light = light + illumination.ambient_light([0.2, 0.2, 0.2])
  camera = geometry.reference_camera(64)
  rendering = _render_mesh(
    jnp.asarray(points),
    jnp.asarray(triangles),
    incidence_lib.vertex_incidence(triangles, len(points)),
    albedo=jnp.full(points.shape, 0.5),
    light=light,
    camera=camera,
    height=64,
    width=64,
  )
  column, row = np.meshgrid(np.arange(64) + 0.5, np.arange(64) + 0.5)
  ray = np.stack([column - 32, 32 - row, -np.full_like(row, camera.focal)], -1)
  ray /= np.linalg.norm(ray, axis=-1, keepdims=True)
  along = ray @ center
  root = along**2 - (center @ center - 80.0**2)
  hit = root > 400.0  # well inside: normals at the rim change too fast
  assert (np.asarray(rendering.mask)[hit]).all()
  where = ray * (along - np.sqrt(np.maximum(root, 0)))[..., None]
  normals = (where - center) / 80
  wanted = 0.5 * illumination.shading(jnp.asarray(normals), light)
  error = np.abs(np.asarray(rendering.image) - wanted)[hit]
  assert error.max() < 0.01


def _pixel_sum(model, flat, weights, layout):
  image = renderer.render(
    model,
    geometry.reference_camera(_SIZE),
    layout.unflatten(flat),
    height=_SIZE,
    width=_SIZE,
  ).image
  return jnp.sum(image * weights)


def test_gradients_equal_finite_differences(model):
  layout = _layout(model)
  with jax.enable_x64(True):
    model64 = jax.tree.map(
      lambda leaf: (
        leaf.astype(jnp.float64)
        if jnp.issubdtype(leaf.dtype, jnp.floating)
        else leaf
      ),
      model,
    )
    flat = layout.flatten(_code(model, 2)).astype(jnp.float64)
    rng = np.random.default_rng(0)
    weights = _interior(model, flat, layout) * rng.normal(
      size=(_SIZE, _SIZE, 3)
    )
    loss = jax.jit(lambda flat: _pixel_sum(model64, flat, weights, layout))
    gradient = jax.grad(loss)(flat)
    for name, part in layout.slices.items():
      direction = np.zeros(layout.size)
      direction[part] = rng.normal(size=part.stop - part.start)
      # Small enough that no triangle changes places, see _interior.
      step = 1e-6
      difference = (
        loss(flat + step * direction) - loss(flat - step * direction)
      ) / (2 * step)
      assert float(gradient @ direction) == pytest.approx(
        float(difference), rel=1e-4, abs=1e-6
      ), name
      _, tangent = jax.jvp(loss, (flat,), (jnp.asarray(direction),))
      assert float(tangent) == pytest.approx(
        float(gradient @ direction), rel=1e-9
      )


def _interior(model, flat, layout):
  """Pixels where visibility does not change nearby: not at silhouettes."""
  rendering = _render(model, layout.unflatten(flat.astype(jnp.float32)))
  mask = np.asarray(rendering.mask)
  for axis in (0, 1):
    for shift in (-1, 1):
      mask = mask & np.roll(np.asarray(rendering.mask), shift, axis)
  depth = np.asarray(rendering.depth)
  jump = np.maximum(*(np.abs(np.gradient(depth, axis=a)) for a in (0, 1)))
  return (mask & (jump < 8.0))[..., None]


def test_background_pixels_have_no_gradient(model):
  layout = _layout(model)
  code = _code(model, 4)
  outside = ~np.asarray(_render(model, code).mask)[..., None]
  gradient = _gradient(
    model, layout.flatten(code), outside.astype(np.float32), layout
  )
  assert (np.asarray(gradient) == 0).all()


def test_faces_outside_the_image_render_nothing_finitely(model):
  layout = _layout(model)
  code = _code(model, 5)
  for translation in ([1e6, 0, -900], [0, 0, 500], [0, 0, -1e7]):
    away = code.replace(translation=jnp.array(translation, jnp.float32))
    rendering = _render(model, away)
    assert float(jnp.sum(rendering.mask)) <= 1
    assert all(jnp.isfinite(leaf).all() for leaf in rendering)
    gradient = _gradient(model, layout.flatten(away), 1.0, layout)
    assert jnp.isfinite(gradient).all()


def test_occlusion_darkens_the_image_but_not_the_albedo(model):
  code = _code(model, 6)
  darker = model.replace(occlusion=0.5 * model.occlusion)
  plain, dark = _render(model, code), _render(darker, code)
  np.testing.assert_allclose(dark.image, 0.5 * plain.image, atol=1e-5)
  np.testing.assert_array_equal(dark.albedo, plain.albedo)


def test_landmarks_project_where_their_vertices_are(model):
  code = _code(model, 7)
  camera = geometry.reference_camera(_SIZE)
  posed = jax.jit(renderer.posed_vertices)(model, code)
  points = geometry.project(camera, posed)
  got = jax.jit(renderer.project_landmarks)(model, camera, code)
  np.testing.assert_allclose(got, points[model.landmarks], atol=1e-3)


def test_memory_of_a_render_is_bounded():
  model = fake_model.make(num_rings=60)
  code = _code(model, 0)
  batch = jax.tree.map(lambda leaf: jnp.stack([leaf] * 4), code)
  compiled = (
    jax.jit(lambda m, c: jax.vmap(_render, (None, 0, None))(m, c, 224).image)
    .lower(model, batch)
    .compile()
  )
  per_image = compiled.memory_analysis().temp_size_in_bytes / 4 / 2**20
  assert per_image < 8.0


def test_supersampling_averages_the_larger_image(model):
  code = _code(model, 3)
  camera = geometry.reference_camera(_SIZE)
  half = jax.jit(
    functools.partial(
      renderer.render, height=_SIZE, width=_SIZE, supersampling=2
    )
  )(model, camera, code)
  full = _render(model, code, 2 * _SIZE)

  def mean(samples):
    return np.asarray(samples).reshape(_SIZE, 2, _SIZE, 2, -1).mean((1, 3))

  np.testing.assert_allclose(half.image, mean(full.image), atol=1e-4)
  share = mean(full.mask)[..., 0]
  np.testing.assert_array_equal(half.coverage, share)
  np.testing.assert_array_equal(half.mask, share >= 0.5)
  # Depth is that of the covered samples.
  depth = mean(full.depth)[..., 0] / np.maximum(share, 0.25)
  np.testing.assert_allclose(half.depth, depth, rtol=1e-5)
  normals = np.asarray(half.normals)[np.asarray(half.coverage) > 0]
  np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-4)


def test_half_samples_are_refused(model):
  with pytest.raises(ValueError, match="supersampling is 0, wanted a whole"):
    renderer.render(
      model,
      geometry.reference_camera(8),
      _code(model, 0),
      height=8,
      width=8,
      supersampling=0,
    )


def test_forms_for_accelerators_equal_those_for_cpus(model, monkeypatch):
  """What runs on GPUs and TPUs, apart from the rasteriser's kernel."""
  layout = _layout(model)
  batch = jnp.stack([layout.flatten(_code(model, seed)) for seed in range(2)])
  weights = np.random.default_rng(0).normal(size=(_SIZE, _SIZE, 3))
  weights = weights.astype(np.float32)

  def run(flat):
    value = _pixel_sum(model, flat, weights, layout)
    return value, jax.grad(_pixel_sum, argnums=1)(model, flat, weights, layout)

  want = jax.jit(jax.vmap(run))(batch)
  jax.clear_caches()
  with monkeypatch.context() as context:
    context.setattr(
      jax.lax, "platform_dependent", lambda *args, default, **_: default(*args)
    )
    got = jax.jit(jax.vmap(lambda flat: run(flat)))(batch)
  jax.clear_caches()
  for ours, theirs in zip(got, want, strict=True):
    scale = np.abs(theirs).max()
    np.testing.assert_allclose(ours, theirs, atol=2e-5 * scale)


def test_gradients_lower_for_cuda_without_a_gpu(model):
  layout = _layout(model)
  batch = jnp.stack([layout.flatten(_code(model, seed)) for seed in range(2)])
  weights = np.ones((_SIZE, _SIZE, 3), np.float32)
  slopes = jax.vmap(lambda flat: _gradient(model, flat, weights, layout))
  exported = cuda_lowering.export_for_cuda(jax.jit(slopes), batch)
  assert exported.platforms == ("cuda",)
