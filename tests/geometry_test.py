import math

import hypothesis
from hypothesis import strategies as st
import jax
import jax.numpy as jnp
import numpy as np

from facerec_jax.face import code_vector
from facerec_jax.face import incidence as incidence_lib
from facerec_jax.render import geometry

_ANGLE = st.floats(-1.4, 1.4)


def _axis_rotation(axis, angle):
  """A textbook right-handed rotation: independent of the written-out one."""
  c, s = math.cos(angle), math.sin(angle)
  i, j = [(1, 2), (2, 0), (0, 1)][axis]
  matrix = np.eye(3)
  matrix[i, i] = matrix[j, j] = c
  matrix[i, j], matrix[j, i] = -s, s
  return matrix


@hypothesis.given(_ANGLE, _ANGLE, _ANGLE)
@hypothesis.settings(max_examples=30, deadline=None)
def test_rotation_is_the_product_of_axis_rotations(pitch, yaw, roll):
  got = geometry.rotation_matrix(jnp.array([pitch, yaw, roll]))
  wanted = (
    _axis_rotation(2, roll) @ _axis_rotation(0, -pitch) @ _axis_rotation(1, yaw)
  )
  np.testing.assert_allclose(got, wanted, atol=1e-6)


@hypothesis.given(_ANGLE, st.floats(-3.1, 3.1), st.floats(-3.1, 3.1))
@hypothesis.settings(max_examples=30, deadline=None)
def test_angles_invert_the_matrix(pitch, yaw, roll):
  angles = jnp.array([pitch, yaw, roll])
  got = geometry.rotation_angles(geometry.rotation_matrix(angles))
  np.testing.assert_allclose(got, angles, atol=2e-5)


def test_signs_of_the_angles():
  nose = jnp.array([[0.0, 0.0, 100.0]])
  still = jnp.zeros(3)

  def turned(*angles):
    return np.asarray(geometry.to_camera(nose, jnp.array(angles), still))[0]

  assert turned(0.0, 0.3, 0.0)[0] > 0  # yaw: nose to the image right
  assert turned(0.3, 0.0, 0.0)[1] > 0  # pitch: nose and chin up
  ear = jnp.array([[70.0, 0.0, 0.0]])  # at the image right
  rolled = geometry.to_camera(ear, jnp.array([0.0, 0.0, 0.3]), still)[0]
  assert rolled[1] > 0  # counter-clockwise: the right side rises


def test_projection_follows_the_convention():
  camera = geometry.Camera(focal=jnp.float32(500), center=jnp.array([112, 100]))
  got = geometry.project(camera, jnp.array([[10.0, 20.0, -1000.0]]))
  np.testing.assert_allclose(got, [[117.0, 90.0]])


def test_reference_camera_sees_its_field_of_view():
  camera = geometry.reference_camera(200)
  half = math.tan(geometry.REFERENCE_FIELD_OF_VIEW / 2) * 1000
  edge = geometry.project(camera, jnp.array([[half, 0.0, -1000.0]]))
  np.testing.assert_allclose(edge, [[200.0, 100.0]], rtol=1e-6)


def test_normals_of_a_sphere_point_outwards():
  from skimage import measure

  grid = np.mgrid[-1.5:1.5:24j, -1.5:1.5:24j, -1.5:1.5:24j]
  field = 1.0 - np.sqrt((grid**2).sum(0))
  points, triangles, _, _ = measure.marching_cubes(field, 0.0)
  points = points / 23 * 3 - 1.5
  a, b, c = (points[triangles[:, k]] for k in range(3))
  outward = (np.cross(b - a, c - a) * a).sum(1).mean() > 0
  triangles = triangles if outward else triangles[:, ::-1]
  incidence = incidence_lib.vertex_incidence(triangles, len(points))
  normals = geometry.vertex_normals(
    jnp.asarray(points), jnp.asarray(triangles.copy()), incidence
  )
  cosine = (np.asarray(normals) * points).sum(1) / np.linalg.norm(
    points, axis=1
  )
  assert cosine.min() > 0.97


def test_zero_vector_has_a_finite_unit_vector_and_slope():
  value, slope = jax.value_and_grad(lambda v: geometry.normalize(v).sum())(
    jnp.zeros(3)
  )
  assert value == 0
  assert jnp.isfinite(slope).all()


@hypothesis.settings(max_examples=25, deadline=None)
@hypothesis.given(
  degrees=st.floats(8, 60),
  x=st.floats(-60, 60),
  y=st.floats(-60, 60),
  z=st.floats(-900, -350),
)
def test_dolly_zoom_moves_no_point_of_the_models_own_plane(degrees, x, y, z):
  camera = geometry.reference_camera(224)
  code = code_vector.CodeLayout(0, 0, 0).neutral()
  code = code.replace(translation=jnp.array([x, y, z]))
  zoomed, moved = geometry.dolly_zoom(camera, code, jnp.deg2rad(degrees))
  plane = jnp.array([[0.0, 0.0, 0.0], [50.0, -70.0, 0.0]])
  before = geometry.project(camera, plane + code.translation)
  after = geometry.project(zoomed, plane + moved.translation)
  np.testing.assert_allclose(after, before, atol=2e-3)
  view = 2 * jnp.arctan(112 / zoomed.focal)
  np.testing.assert_allclose(jnp.rad2deg(view), degrees, rtol=1e-5)


def test_a_wide_view_makes_noses_large():
  camera = geometry.reference_camera(224)
  code = code_vector.CodeLayout(0, 0, 0).neutral()
  nose = jnp.array([[0.0, 0.0, 20.0], [10.0, 0.0, 20.0]])

  def width(degrees):
    zoomed, moved = geometry.dolly_zoom(camera, code, jnp.deg2rad(degrees))
    pixels = geometry.project(zoomed, nose + moved.translation)
    return float(pixels[1, 0] - pixels[0, 0])

  assert width(60.0) > width(22.0) > width(8.0)


def test_views_of_more_of_the_image_keep_the_perspective():
  """A camera that shows more shows the reference camera's image within."""
  reference = geometry.reference_camera(200)
  wider = reference.replace(focal=reference.focal / 1.25)
  code = code_vector.CodeLayout(0, 0, 0).neutral()
  points = jnp.array([[30.0, -40.0, 25.0], [-70.0, 60.0, -90.0]])

  def seen(camera):
    camera, moved = geometry.dolly_zoom(camera, code, math.radians(40.0))
    pixels = geometry.project(camera, points + moved.translation)
    return np.asarray(pixels - camera.center)

  np.testing.assert_allclose(1.25 * seen(wider), seen(reference), rtol=1e-5)


def test_the_reference_perspective_changes_nothing():
  camera = geometry.reference_camera(96)
  code = code_vector.CodeLayout(0, 0, 0).neutral()
  same, still = geometry.dolly_zoom(
    camera, code, geometry.REFERENCE_FIELD_OF_VIEW
  )
  np.testing.assert_allclose(same.focal, camera.focal, rtol=1e-6)
  np.testing.assert_allclose(still.translation, code.translation, rtol=1e-6)
