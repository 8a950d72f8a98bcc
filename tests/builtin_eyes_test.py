"""Tests of the built-in face's lids and gaze."""

import builtin_pictures as pictures
import jax
import numpy as np
import pytest

from facerec_jax import model_files
from facerec_jax.face import morphable_model
from facerec_jax.model_files.builtin import expression
from facerec_jax.model_files.builtin import eyes
from facerec_jax.model_files.builtin import lids
from facerec_jax.model_files.builtin import measurements
from facerec_jax.model_files.builtin import sculpture as sculpture_lib
from facerec_jax.synthesis import emotions

WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)


@pytest.fixture(scope="module")
def model():
  return jax.tree.map(np.asarray, model_files.load("builtin"))


@pytest.fixture(scope="module")
def sculpture():
  return sculpture_lib.sculpt()


def lid_clearance(model, sculpture, field, side=1):
  """Least distance of the lids' skin from the eyeball and its cornea, mm."""
  near = eyes.near_lids(sculpture.mesh) < 9.0
  near &= sculpture.mesh.opened[:, 0] * side > 0
  points = (model.mean + field)[: len(sculpture.head)][near]
  offset = points - measurements.EYE_CENTER * [side, 1, 1]
  across = np.hypot(offset[:, 0], offset[:, 1]) / measurements.IRIS_RADIUS
  cornea = 0.5 * np.clip(1 - across**2, 0, 1) ** 0.8
  surface = measurements.EYE_RADIUS + cornea
  return (np.linalg.norm(offset, axis=1) - surface).min()


@pytest.mark.parametrize("weight", WEIGHTS)
@pytest.mark.parametrize(
  "names", [("AU43",), ("AU05",), ("AU07",), ("AU06",), ("AU09",), ("AU64",)]
)
def test_lids_clear_the_eyeball_all_the_way(model, sculpture, names, weight):
  field = weight * pictures.unit_field(model, *names)
  assert lid_clearance(model, sculpture, field) > 0.05
  assert lid_clearance(model, sculpture, field, side=-1) > 0.05


@pytest.mark.parametrize(
  "names",
  [
    ("AU43", "AU01", "AU02"), ("AU06", "AU12"), ("AU06", "AU07"),
    ("AU05", "AU01", "AU02"), ("AU04", "AU07"), ("AU07", "AU09"),
    ("AU43", "AU12"), ("AU63", "AU05"), ("AU64", "AU04"),
  ],
)  # fmt: skip
def test_lids_clear_the_eyeball_in_combinations(model, sculpture, names):
  for weight in (0.5, 1.0):
    field = weight * pictures.unit_field(model, *names)
    assert lid_clearance(model, sculpture, field) > 0.0, weight


def test_closed_lids_meet_all_along(model, sculpture):
  closed = model.mean + pictures.unit_field(model, "AU43")
  upper, lower = lids.margin_halves(sculpture.mesh)
  for side in (lambda v: v, lambda v: sculpture.mesh.mirror[v]):
    gap = np.linalg.norm(closed[side(upper)] - closed[side(lower)], axis=1)
    assert gap.max() < 0.05


def test_closed_eyes_hide_the_eyeballs(model):
  for rotation in ((0, 0, 0), (0, 0.5, 0), (0.25, 0, 0)):
    ids, _ = pictures.render(
      model, expression=pictures.column(model, "AU43")[None], rotation=rotation
    )
    assert pictures.seen(model, ids, "left_eye", "right_eye").sum() == 0


def test_only_gaze_moves_the_eyeballs(model):
  eye = morphable_model.region_vertices(model, "left_eye", "right_eye")
  moved = np.abs(model.expression[eye]).max(axis=(0, 1)) > 0
  gaze = np.char.startswith(model.expression_names, "AU6")
  np.testing.assert_array_equal(moved, gaze)


@pytest.mark.parametrize("unit", expression.GAZES)
def test_gaze_turns_pupils_about_the_eyeballs(model, unit):
  yaw, pitch = np.deg2rad(expression.GAZES[unit])
  wanted = [np.sin(yaw), np.sin(pitch), np.cos(yaw) * np.cos(pitch)]
  turned = model.mean + pictures.unit_field(model, f"AU{unit}")
  for side, name in ((1, "left_eye"), (-1, "right_eye")):
    eye = np.flatnonzero(morphable_model.region_vertices(model, name))
    pole = eye[model.mean[eye][:, 2].argmax()]
    center = measurements.EYE_CENTER * [side, 1, 1]
    direction = (turned[pole] - center) / (measurements.EYE_RADIUS + 0.5)
    np.testing.assert_allclose(direction, wanted, atol=2e-3)


def test_lids_follow_vertical_gaze(model, sculpture):
  upper, lower = lids.margin_halves(sculpture.mesh)
  middle = len(upper) // 2

  def elevation(point):
    _, y, z = point - measurements.EYE_CENTER
    return np.rad2deg(np.arctan2(y, z))

  for unit, degrees in ((63, 22.0), (64, -22.0)):
    moved = model.mean + pictures.unit_field(model, f"AU{unit}")
    for half, share in ((upper, 0.8), (lower, 0.5)):
      vertex = half[middle]
      turn = elevation(moved[vertex]) - elevation(model.mean[vertex])
      assert turn == pytest.approx(share * degrees, rel=0.1)


def test_sampler_knows_how_far_the_eyes_turn():
  for first, second, _, full in emotions.GAZES:
    for unit in (first, second):
      assert np.abs(expression.GAZES[unit]).max() == full
