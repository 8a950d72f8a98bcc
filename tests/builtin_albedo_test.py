"""Tests of the built-in face's colour: skin tones, features, occlusion."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial import cKDTree

from facerec_jax import model_files
from facerec_jax.face import morphable_model
from facerec_jax.model_files.builtin import albedo
from facerec_jax.model_files.builtin import eye_color
from facerec_jax.model_files.builtin import measurements
from facerec_jax.model_files.builtin import people
from facerec_jax.model_files.builtin import sculpture
from facerec_jax.model_files.builtin import skin_color
from facerec_jax.render import geometry
from facerec_jax.synthesis import priors

# ITA (degrees) between dark, brown, tan, intermediate, light, very light.
ITA_LIMITS = (-30, 10, 28, 41, 55)


@pytest.fixture(scope="module")
def model():
  return jax.tree.map(np.asarray, model_files.load("builtin"))


@pytest.fixture(scope="module")
def crowd(model):
  """Other people than those that the modes were made from."""
  whole = sculpture.sculpt()
  np.testing.assert_allclose(whole.points, model.mean, atol=1e-3)
  factors, colors = albedo.sampled_people(whole, 160, seed=1001)
  return factors, colors


def vertices_near(model, *places):
  """Vertices of the skin nearest to places of the tables."""
  skin = np.flatnonzero(morphable_model.region_vertices(model, "skin", "lips"))
  return skin[cKDTree(model.mean[skin]).query(np.array(places))[1]]


def bare_skin(model):
  """Every fourth vertex of the face's skin."""
  skin = (model.region == 0) & (model.mean[:, 2] > -62)
  skin &= (model.mean[:, 1] > -114) & (model.mean[:, 1] < 45)
  return np.flatnonzero(skin)[::4]


def random_codes(model, count):
  """[count, Ka] as the prior draws them."""
  camera = geometry.reference_camera(64)
  model = jax.tree.map(jnp.asarray, model)
  model = jax.tree.map(jnp.asarray, model)
  draw = jax.jit(
    jax.vmap(lambda key: priors.sample_code(key, model, camera=camera).albedo)
  )
  return np.asarray(draw(jax.random.split(jax.random.key(2), count)))


def random_tones(model, count=2000):
  """[count, 3] median skin of random codes."""
  codes = random_codes(model, count)
  skin = bare_skin(model)
  color = model.albedo_mean[skin] + np.einsum(
    "vck,nk->nvc", model.albedo[skin], codes
  )
  return np.median(np.clip(color, 0, 1), axis=1)


def ita(color):
  """Individual typology angle [...] of linear RGB albedo [..., 3], degrees.

  Chardon 1991: atan2(L* - 50, b*), D65; the white specular that a
  spectrophotometer sees, 3 %, is added.
  """
  to_xyz = np.array(
    [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.95]]
  )
  xyz = (color + 0.03) @ to_xyz.T / to_xyz.sum(axis=1)
  root = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
  light = 116 * root[..., 1] - 16
  yellow = 200 * (root[..., 1] - root[..., 2])
  return np.degrees(np.arctan2(light - 50, yellow))


def ita_shares(color):
  """[6] share of each class, dark first."""
  kind = np.digitize(ita(color), ITA_LIMITS)
  return np.bincount(kind, minlength=6) / len(kind)


def mode(model, name):
  """[V, 3] colour step of a factor."""
  return model.albedo[:, :, people.FACTORS.index(name)]


# --- skin


def test_ita_of_the_facts_table():
  """One albedo of each class, dark first."""
  table = [
    (0.140, 0.059, 0.028),
    (0.236, 0.110, 0.057),
    (0.350, 0.185, 0.114),
    (0.415, 0.236, 0.163),
    (0.470, 0.283, 0.215),
    (0.520, 0.329, 0.273),
  ]
  kinds = np.digitize(ita(np.array(table)), ITA_LIMITS)
  assert kinds.tolist() == [0, 1, 2, 3, 4, 5]


def test_skin_color_matches_the_facts_table():
  table = {
    (0.006, 0.02): (0.499, 0.309, 0.247),
    (0.03, 0.02): (0.395, 0.219, 0.146),
    (0.13, 0.04): (0.158, 0.064, 0.035),
  }
  for (melanin, blood), wanted in table.items():
    got = skin_color.skin_color(np.array(melanin), np.array(blood))
    np.testing.assert_allclose(got, wanted, atol=0.012)


def test_skin_tones_of_random_codes(model):
  color = random_tones(model)
  red, green, blue = color.T
  assert 0.31 < np.median(red) < 0.45
  assert 0.17 < np.median(green) < 0.26
  assert 0.11 < np.median(blue) < 0.18
  assert np.percentile(red, 1) > 0.03 and np.percentile(red, 97) < 0.62
  plausible = (red > green) & (green > blue)
  plausible &= (red > 1.25 * green) & (red < 2.6 * green)
  assert plausible.mean() > 0.97


def test_all_classes_of_tone_are_common(model, crowd):
  assert ita_shares(random_tones(model)).min() >= 0.08
  factors = people.draw(np.random.default_rng(7), 20_000)
  skin = np.stack([people.person(row).skin() for row in factors[:4000]])
  # The whole face's median is darker than the cheek by what the crowd shows.
  cheek = np.stack([people.person(row).skin() for row in crowd[0]])
  median = np.median(crowd[1][:, bare_skin(model)], axis=1)
  ratio = median.sum(axis=0) / cheek.sum(axis=0)
  assert (ratio < 1).all() and (ratio > 0.8).all()
  assert ita_shares(np.clip(skin * ratio, 0, 1)).min() >= 0.08


# --- the modes


def test_modes_keep_the_variance_of_people(model, crowd):
  """Of people whom the modes were not made from."""
  factors, colors = crowd
  mean = model.albedo_mean.reshape(-1)
  modes = model.albedo.reshape(len(mean), -1)
  rest = colors.reshape(len(colors), -1) - mean
  assert modes.shape[1] >= 30

  def kept(values, columns):
    basis, _ = np.linalg.qr(columns)
    return 1 - ((values - values @ basis @ basis.T) ** 2).sum() / (
      (values**2).sum()
    )

  assert kept(rest, modes) >= 0.95
  # Nor is that the tone's doing alone, by far the largest part.
  rest = rest - factors[:, :1] * modes[:, 0]
  assert kept(rest, modes[:, 1:]) >= 0.95


def test_codes_vary_as_people_do(model, crowd):
  _, colors = crowd
  skin = bare_skin(model)
  people_spread = colors[:, skin].std(axis=0)
  code_spread = random_codes(model, 400).std()
  code_spread = code_spread * np.sqrt((model.albedo[skin] ** 2).sum(axis=-1))
  assert np.median(code_spread / people_spread) == pytest.approx(1, abs=0.15)


def test_the_factors_paint_the_same_people(model, crowd):
  factors, colors = crowd
  count = len(people.FACTORS)
  painted = model.albedo_mean + np.einsum(
    "vck,nk->nvc", model.albedo[:, :, :count], factors
  )
  skin = bare_skin(model)
  error = np.abs(np.clip(painted, 0, 1) - colors)[:, skin]
  # What sums of factors cannot paint is small beside what all factors but the
  # tone paint.
  tone = factors[:, 0, None, None] * mode(model, "tone")
  details = np.abs(model.albedo_mean + tone - colors)[:, skin]
  assert error.mean() < 0.33 * details.mean()
  assert error.mean() < 0.007


def test_tone_comes_first_and_is_the_largest(model):
  size = (model.albedo**2).sum(axis=(0, 1))
  assert people.FACTORS[0] == "tone"
  assert size.argmax() == 0 and size[0] > 0.6 * size.sum()
  # Skin gets lighter everywhere.
  assert (mode(model, "tone")[bare_skin(model)] > 0).all()


@pytest.mark.parametrize(
  "name, here, there",
  [
    ("beard", (15, -98, 0), (0, 30, 0)),
    ("moustache", (13, -61, 8), (20, -98, 0)),
    ("brow_cover", (32, 17.5, -4), (45, -45, -12)),
    ("creases", (25, -53, -2), (45, -30, -15)),
    ("under_eye", (32, -14, -8), (0, 30, 0)),
    ("flush", (41, -38, -11), (0, 30, 0)),
    ("hair_line", (0, 70, -20), (0, 10, 2)),
  ],
)
def test_a_mode_colours_its_place(model, name, here, there):
  step = np.abs(mode(model, name)).sum(axis=1)
  near, far = (
    step[np.linalg.norm(model.mean - np.array(at), axis=1) < 6].mean()
    for at in (here, there)
  )
  assert near > 3 * far


def test_only_named_modes_are_lopsided(model):
  distance, mirror = cKDTree(model.mean).query(model.mean * [-1, 1, 1], k=2)
  alone = distance[:, 1] > 0.05
  for name in ("tone", "hair_shade", "lip_shade", "socket", "temples"):
    step = mode(model, name)
    gap = np.abs(step[mirror[alone, 0]] - step[alone])
    assert gap.mean() < 0.06 * np.abs(step).max(), name


# --- features


def test_lips_are_redder_than_cheeks(model):
  lips = model.albedo_mean[morphable_model.region_vertices(model, "lips")]
  cheek = model.albedo_mean[vertices_near(model, (45.0, -45.0, -16.0))[0]]
  lip = np.median(lips, axis=0)
  assert lip[0] / lip[1] > 1.1 * cheek[0] / cheek[1]


def test_brows_stay_darker_than_skin(model):
  """On dark skin, too: no combination of three steps makes them pale."""
  brow, skin = vertices_near(model, (32, 17.5, -4), (32, 32, -3))
  for tone in (-1.5, 0.0, 1.5):
    color = model.albedo_mean + tone * mode(model, "tone")
    for name in ("brow_cover", "brow_thickness", "brow_height"):
      change = 1.5 * mode(model, name)[brow, 0]
      assert color[brow, 0] + abs(change) < color[skin, 0], (tone, name)


def test_nobody_has_red_or_blue_hair(model):
  """Channels of hair vanish together."""
  codes = random_codes(model, 400)
  crown = vertices_near(model, (0, 95, -90), (40, 85, -90), (-40, 85, -90))
  color = model.albedo_mean[crown] + np.einsum(
    "vck,nk->nvc", model.albedo[crown], codes
  )
  color = np.clip(color, 0, 1).mean(axis=1)
  assert (color[:, 2] - color[:, 0]).max() < 0.03
  assert (color[:, 0] - color[:, 1]).max() < 0.12


def test_pupil_iris_and_white_differ(model):
  eye = morphable_model.region_vertices(model, "left_eye")
  offset = (model.mean[eye] - measurements.EYE_CENTER)[:, :2]
  radius = np.linalg.norm(offset, axis=1)
  brightness = model.albedo_mean[eye].mean(axis=1)
  pupil = brightness[radius < 1.4].mean()
  iris = brightness[(radius > 2.2) & (radius < 5.0)].mean()
  white = brightness[(radius > 6.3) & (radius < 8.5)].mean()
  assert pupil < 0.03 < iris < 0.25 < 0.4 < white


def test_iris_has_a_limbal_ring():
  radius = np.array([3.8, measurements.IRIS_RADIUS - 0.5])
  angle = np.zeros(2)
  inside, ring = eye_color.eye_color(radius, angle, np.full(3, 0.1)).mean(1)
  assert ring < 0.75 * inside


# --- occlusion


def test_occlusion(model):
  seen = model.occlusion
  assert seen.min() >= 0.1 and seen.max() <= 1

  def around(place, reach=5.0):
    skin = morphable_model.region_vertices(model, "skin", "lips")
    distance = np.linalg.norm(model.mean - np.array(place), axis=1)
    return seen[skin & (distance < reach)].mean()

  assert around((0, 35, 0)) > 0.95 and around((42, -40, -12)) > 0.94
  assert around((0, -38, 26)) > 0.92
  assert 0.6 < around((15, 2, -5)) < 0.77  # the socket's inner corner
  assert 0.42 < around((0, -50.5, 8), 2.5) < 0.7
  assert 0.28 < around((0, -121, -40), 10.0) < 0.5
  assert 0.75 < around((25, -54, -2), 3.0) < 0.97


def test_lip_seam_is_dark_but_not_black(model):
  lips = model.occlusion[morphable_model.region_vertices(model, "lips")]
  assert 0.3 <= np.percentile(lips, 5) < 0.5
  assert np.median(lips) > 0.6


def test_eyes_are_shaded_from_above(model):
  eye = morphable_model.region_vertices(model, "left_eye")
  height = (model.mean[eye] - measurements.EYE_CENTER)[:, 1]
  shade = model.occlusion[eye]
  assert shade[height > 4].mean() < 0.9 * shade[abs(height) < 2].mean()
