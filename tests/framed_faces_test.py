"""Refined readings of rendered faces, and the landmarks that they get."""

import types

import numpy as np

from facerec_jax import framed_faces
from facerec_jax.face import landmarks


def _points(count):
  """Faces of several sizes: outer canthi 20, 40, 60 ... px apart."""
  points = np.random.default_rng(0).uniform(0, 100, (count, 68, 2))
  left, right = landmarks.OUTER_CANTHI
  points[:, left] = 10.0
  points[:, right] = 10.0
  points[:, right, 0] += 20.0 * (1 + np.arange(count))
  return points


def test_landmarks_are_as_far_off_as_asked():
  points = _points(20)
  moved = framed_faces.disturb(points, np.random.default_rng(1), 0.05)
  assert moved.dtype == np.float32 and moved.shape == points.shape
  distance = np.linalg.norm(moved - points, axis=-1).mean(axis=1)
  share = distance / (20.0 * (1 + np.arange(20)))
  assert abs(share.mean() - 0.05) < 0.002
  # The share of every face, small or large.
  assert share.std() < 0.2 * share.mean()
  again = framed_faces.disturb(points, np.random.default_rng(1), 0.05)
  np.testing.assert_array_equal(again, moved)
  np.testing.assert_array_equal(
    framed_faces.disturb(points, np.random.default_rng(1), 0.0),
    points.astype(np.float32),
  )


def test_each_face_is_fitted_in_its_own_frame():
  seen = []

  def fit(photo, square, points, flat):
    seen.append((photo, square, points))
    return types.SimpleNamespace(flat=flat + len(seen))

  points, read = _points(3), np.arange(12.0).reshape(3, 4)
  images = [np.full((30, 30, 3), shade) for shade in (0.0, 0.5, 1.0)]
  refiner = types.SimpleNamespace(fit=fit)
  refined = framed_faces.refine(refiner, images, points, read)
  np.testing.assert_array_equal(refined, read + [[1], [2], [3]])
  for (photo, square, detected), shade, true in zip(
    seen, (0, 128, 255), points, strict=True
  ):
    assert photo.dtype == np.uint8 and (photo == shade).all()
    assert square.side == 30.0 and square.center.tolist() == [15.0, 15.0]
    assert 0 < np.abs(detected - true).max() < 20
