"""Changed photographs: face, mask and landmarks move together."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facerec_jax import config_sections
from facerec_jax.render import color
from facerec_jax.training import photo_augmentation
from facerec_jax.training import self_supervision

_SIZE = 64
_MOVED = photo_augmentation.Augmentation(shift=0.03, scale=0.1, angle=0.2)
_EXPOSED = photo_augmentation.Augmentation(gain=0.2, cast=0.05)
# Three of the landmarks, where the image has bright spots; (column, row) px.
_SPOTS = np.array([[20.0, 30.5], [44.5, 28.0], [33.0, 46.0]])
_WIDTH = 2.0


@functools.partial(jax.jit, static_argnums=2)
def _augment(key, photo, settings):
  return photo_augmentation.augment(key, photo, settings)


def _spots_photo():
  """One spot in each channel, a disc as mask."""
  centers = np.arange(_SIZE) + 0.5
  offsets = np.stack(np.meshgrid(centers, centers), axis=-1)
  distance = np.linalg.norm(offsets[:, :, None] - _SPOTS, axis=-1)
  landmarks = np.zeros((68, 2), np.float32)
  landmarks[:3] = _SPOTS
  radius = np.linalg.norm(offsets - _SIZE / 2, axis=-1)
  return self_supervision.Photo(
    image=jnp.asarray(np.exp(-0.5 * (distance / _WIDTH) ** 2), jnp.float32),
    mask=jnp.asarray(radius < 20),
    landmarks=jnp.asarray(landmarks),
    trust=jnp.ones(()),
  )


def test_nothing_changes_by_default():
  photo = _spots_photo()
  key = jax.random.key(0)
  same = photo_augmentation.augment(key, photo, photo_augmentation.NONE)
  assert same is photo


@pytest.mark.parametrize("seed", range(8))
def test_landmarks_stay_on_what_they_mark(seed):
  photo = _spots_photo()
  moved = _augment(jax.random.key(seed), photo, _MOVED)
  assert np.abs(moved.landmarks[:3] - _SPOTS).max() > 0.5
  weight = np.asarray(moved.image, np.float64)
  centers = np.arange(_SIZE) + 0.5
  found = (
    np.stack(
      [
        (weight.sum(axis=0) * centers[:, None]).sum(axis=0),
        (weight.sum(axis=1) * centers[:, None]).sum(axis=0),
      ],
      axis=-1,
    )
    / weight.sum(axis=(0, 1))[:, None]
  )
  np.testing.assert_allclose(found, moved.landmarks[:3], atol=0.05)


@pytest.mark.parametrize("seed", range(4))
def test_mask_moves_and_grows_with_the_face(seed):
  photo = _spots_photo()
  moved = _augment(jax.random.key(seed), photo, _MOVED)
  before, after = (
    np.linalg.norm(p.landmarks[0] - p.landmarks[1]) for p in (photo, moved)
  )
  areas = np.asarray(moved.mask).sum() / np.asarray(photo.mask).sum()
  np.testing.assert_allclose(areas, (after / before) ** 2, rtol=0.03)
  assert moved.mask.dtype == bool
  # The middle of the disc is where the middle of the image went.
  rows, columns = np.nonzero(np.asarray(moved.mask))
  middle = np.array([columns.mean(), rows.mean()]) + 0.5
  triangle = np.linalg.lstsq(
    np.c_[_SPOTS, np.ones(3)], np.asarray(moved.landmarks[:3]), rcond=None
  )[0]
  wanted = np.array([_SIZE / 2, _SIZE / 2, 1.0]) @ triangle
  np.testing.assert_allclose(middle, wanted, atol=0.3)


def test_beyond_the_photograph_nothing_is_face():
  photo = _spots_photo()._replace(mask=jnp.ones((_SIZE, _SIZE), bool))
  settings = photo_augmentation.Augmentation(shift=0.2)
  for seed in range(4):
    moved = _augment(jax.random.key(seed), photo, settings)
    shift = np.asarray(moved.landmarks[0]) - _SPOTS[0]
    kept = np.prod(_SIZE - np.abs(shift)) / _SIZE**2
    share = np.asarray(moved.mask).mean()
    np.testing.assert_allclose(share, kept, atol=1.5 / _SIZE)


def test_exposure_multiplies_light_and_moves_nothing():
  photo = _spots_photo()
  image = jnp.full((_SIZE, _SIZE, 3), 0.4).at[:8].set(0.2)
  exposed = _augment(jax.random.key(1), photo._replace(image=image), _EXPOSED)
  ratio = np.asarray(
    color.srgb_to_linear(exposed.image) / color.srgb_to_linear(image)
  )
  np.testing.assert_allclose(
    ratio, np.broadcast_to(ratio[0, 0], ratio.shape), rtol=1e-4
  )
  assert len(np.unique(np.round(ratio[0, 0], 4))) == 3
  np.testing.assert_allclose(exposed.landmarks, photo.landmarks, atol=1e-4)
  np.testing.assert_array_equal(exposed.mask, photo.mask)


def test_bytes_become_floats():
  photo = _spots_photo()
  image = jnp.round(255 * photo.image).astype(jnp.uint8)
  moved = _augment(jax.random.key(2), photo._replace(image=image), _MOVED).image
  wanted = _augment(jax.random.key(2), photo, _MOVED).image
  assert moved.dtype == jnp.float32
  np.testing.assert_allclose(moved, wanted, atol=0.02)
  assert float(moved.min()) >= 0 and float(moved.max()) <= 1


def test_bad_settings_are_named():
  message = "config.x: augmentation: scale is -0.1, wanted 0 or more"
  with pytest.raises(config_sections.ConfigError, match=message):
    config_sections.call(
      photo_augmentation.Augmentation, "config.x", dict(scale=-0.1)
    )
