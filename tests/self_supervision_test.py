"""The objective of a photograph: gradients, invariants, what it ignores."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facerec_jax.face import landmarks
from facerec_jax.training import self_supervision
from tests import rendered_photos

TERMS = {
  *("energy", "photometric", "landmarks", "outside", "color", "landmark"),
  *("prior/identity", "prior/expression", "prior/albedo", "prior/rotation"),
  *("prior/translation", "prior/illumination"),
}


@pytest.fixture(scope="module")
def world():
  return rendered_photos.make_world()


@pytest.fixture(scope="module")
def energy(world):
  @jax.jit
  def energy(photo, flat):
    return self_supervision.energy(
      world.scene, photo, flat, layout=world.layout
    )

  return energy


@pytest.fixture(scope="module")
def slope(energy):
  """Of the energy, by the code."""
  return jax.jit(jax.grad(lambda photo, flat: energy(photo, flat)[0], 1))


def test_the_true_code_explains_its_photograph(world, energy):
  truth, other = world.bank.centers[0], world.bank.centers[1]
  photo = world.photo(truth)
  total, terms = energy(photo, truth)
  assert set(terms) == TERMS - {"energy"}
  assert terms["photometric"] < 0.5 and terms["color"] < 1e-3
  assert terms["landmarks"] < 1e-5 and terms["landmark"] < 1e-5
  assert terms["outside"] == 0
  assert energy(photo, other)[0] > 10 * total
  parts = sum(v for k, v in terms.items() if k not in ("color", "landmark"))
  assert float(total) == pytest.approx(float(parts), rel=1e-6)


def _as_float64(tree):
  return jax.tree.map(
    lambda leaf: (
      jnp.asarray(leaf, jnp.float64)
      if jnp.issubdtype(jnp.asarray(leaf).dtype, jnp.floating)
      else leaf
    ),
    tree,
  )


def test_gradients_equal_finite_differences(world):
  truth, start = np.asarray(world.bank.centers[:2], np.float64)
  start = 0.9 * truth + 0.1 * start
  # Where units rest, slopes have a kink.
  start[world.layout.slices["expression"]] = 0.3, 0.4, 0.5, 0.6
  with jax.enable_x64(True):
    scene, photo = _as_float64((world.scene, world.photo(jnp.asarray(truth))))

    @jax.jit
    def total(flat):
      return self_supervision.energy(scene, photo, flat, layout=world.layout)[0]

    gradient = jax.jit(jax.grad(total))(start)
    rng = np.random.default_rng(0)
    for name, part in world.layout.slices.items():
      direction = np.zeros(world.layout.size)
      direction[part] = rng.normal(size=part.stop - part.start)
      step = 1e-6
      difference = (
        total(start + step * direction) - total(start - step * direction)
      ) / (2 * step)
      assert float(gradient @ direction) == pytest.approx(
        float(difference), rel=2e-3, abs=1e-3
      ), name


def test_without_landmarks_they_may_be_anything(world, energy, slope):
  flat = world.bank.centers[2]
  photo = world.photo(flat)
  absent = photo._replace(
    landmarks=jnp.full((68, 2), jnp.nan), trust=jnp.float32(0.0)
  )
  total, terms = energy(absent, flat)
  assert np.isfinite(float(total)) and terms["landmarks"] == 0
  gradient = slope(absent, flat)
  assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0


def test_outside_of_the_mask_nothing_counts(world, energy):
  flat = world.bank.centers[3]
  photo = world.photo(flat)
  noise = jax.random.uniform(jax.random.key(0), photo.image.shape)
  other = photo._replace(
    image=jnp.where(photo.mask[..., None], photo.image, noise)
  )
  assert energy(other, flat)[0] == energy(photo, flat)[0]
  as_bytes = photo._replace(
    image=jnp.round(255 * photo.image).astype(jnp.uint8)
  )
  assert energy(as_bytes, flat)[1]["color"] < 2 / 255


def test_a_face_cannot_hide_from_the_mask(world, energy):
  """A small face leaves most of the mask bare, which is wrong throughout."""
  flat = world.bank.centers[3]
  photo = world.photo(flat)
  far = flat.at[world.layout.slices["translation"].stop - 1].multiply(1.5)
  low, high = world.scene.prior.low, world.scene.prior.high
  far = jnp.clip(far, low, high)
  assert energy(photo, far)[1]["photometric"] > 20.0


def test_jaw_points_slide_along_the_jaw(world, energy):
  flat = world.bank.centers[0]
  photo = world.photo(flat)
  along = np.gradient(np.asarray(photo.landmarks[:17]), axis=0)
  along /= np.linalg.norm(along, axis=1, keepdims=True)
  across = along[:, ::-1] * [1, -1]

  def moved(points, shift):
    points = photo.landmarks.at[jnp.array(points)].add(shift)
    return energy(photo._replace(landmarks=points), flat)[1]["landmarks"]

  jaw = landmarks.GROUPS["jaw"]
  slide, leave = moved(jaw, 1.0 * along), moved(jaw, 1.0 * across)
  assert 20 * slide < leave
  # A brow that is as far off counts more, point by point.
  brows = landmarks.GROUPS["brows"]
  assert moved(brows, jnp.array([0.0, 1.0])) / 10 > leave / 17


def test_codes_out_of_range_are_drawn_back(world, energy, slope):
  flat = world.bank.centers[0]
  part = world.layout.slices["expression"]
  outside = flat.at[part].set(-0.3)
  photo = world.photo(flat)
  total, terms = energy(photo, outside)
  assert terms["outside"] > 0
  # What is drawn is the nearest plausible face.
  zero = energy(photo, flat.at[part].set(0.0))[1]
  assert float(terms["photometric"]) == pytest.approx(
    float(zero["photometric"]), rel=1e-4
  )
  assert (slope(photo, outside)[part] < 0).all() and np.isfinite(float(total))


@pytest.mark.parametrize(
  "changes, message",
  (
    (dict(color_noise=0.0), "color_noise is 0.0, wanted more than 0"),
    (dict(landmark_noise=-1.0), "landmark_noise is -1.0, wanted more than 0"),
    (dict(prior=-0.1), "prior is -0.1, wanted 0 or more"),
  ),
)
def test_bad_knobs_are_refused(changes, message):
  with pytest.raises(ValueError, match=message):
    dataclasses.replace(self_supervision.DEFAULT, **changes)
