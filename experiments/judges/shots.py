"""Photographs of random people: renders with backgrounds and sensor noise."""

from __future__ import annotations

import dataclasses
import functools
from typing import NamedTuple

import cv2
import jax
import jax.numpy as jnp
import numpy as np

from facerec_jax.face import landmarks
from facerec_jax.face import morphable_model
from facerec_jax.render import color
from facerec_jax.render import geometry
from facerec_jax.render import renderer
from facerec_jax.synthesis import priors

IMAGE_SIZE = 224
BACKGROUNDS = ("plain", "gradient", "noise")
_SUPERSAMPLING = 2
_BATCH = 20
# Poses "up to profile" are uniform within 30, 90, 30 degrees.
_PROFILE_YAW = 90.0
LIMIT = 2.5  # standard deviations of a coefficient
ROTATION_LIMITS = (12.0, 30.0, 10.0)  # of pitch, yaw, roll, degrees
_POSES = 8  # draws, of which the first within the limits is taken


class Shots(NamedTuple):
  """Photographs and what they show.

  Attributes:
    photos: [n, 224, 224, 3] uint8 sRGB.
    points: [n, 68, 2] px, the model's landmarks.
    outlined: [n, 68, 2] px, those with the jaw on the visible outline.
    rotation: [n, 3] pitch, yaw, roll, radians.
    backgrounds: [n] index into `BACKGROUNDS`.
  """

  photos: np.ndarray
  points: np.ndarray
  outlined: np.ndarray
  rotation: np.ndarray
  backgrounds: np.ndarray


def uniform_pose(yaw: float, **ranges) -> priors.Prior:
  """A prior with yaw uniform to +-`yaw` degrees, pitch and roll a third."""
  return priors.Prior(
    rotation_scale=yaw / _PROFILE_YAW,
    wide_share=0.0,
    profile_share=1.0,
    **ranges,
  )


def take(model, count: int, seed: int, prior: priors.Prior) -> Shots:
  """Photographs random people, each in a pose and light of their own.

  Args:
    model: the morphable model.
    count: n.
    seed: photograph i depends on it and on i alone.
    prior: of people, expressions, poses and light.

  Returns:
    The photographs.
  """
  keys = jax.random.split(jax.random.key(seed), count)
  lines = contour_lines(model)
  model = jax.device_put(model)

  def shoot(part):
    return _random_people(part, model, lines, prior)

  return _take(keys, shoot, seed, np.arange(count))


def take_people(
  model,
  identity,
  albedo,
  seed: int,
  prior: priors.Prior,
  *,
  alike: bool = False,
) -> Shots:
  """Photographs given people in random poses, lights and expressions.

  Args:
    model: the morphable model.
    identity: [n, Ki].
    albedo: [n, Ka].
    seed: of all the rest.
    prior: of all the rest.
    alike: all the rest is the same in all photographs.

  Returns:
    n photographs.
  """
  numbers = np.arange(len(identity)) * (0 if alike else 1)
  keys = jax.random.split(jax.random.key(seed), len(identity))[numbers]
  lines = contour_lines(model)
  model = jax.device_put(model)

  def shoot(part):
    return _given_people(*part, model, lines, prior)

  people = (keys, jnp.asarray(identity), jnp.asarray(albedo))
  return _take(people, shoot, seed, numbers)


@functools.partial(jax.jit, static_argnames="prior")
def _random_people(keys, model, lines, prior):
  return jax.vmap(lambda key: _shoot(key, model, lines, prior))(keys)


@functools.partial(jax.jit, static_argnames="prior")
def _given_people(keys, identity, albedo, model, lines, prior):
  def one(key, identity, albedo):
    return _shoot(key, bake(model, identity, albedo), lines, prior)

  return jax.vmap(one)(keys, identity, albedo)


def contour_lines(model) -> np.ndarray:
  """`landmarks.contour_lines` of a model's skin, or of all its vertices."""
  skin = np.ones(model.num_vertices, bool)
  if "skin" in model.region_names:
    names = [n for n in ("skin", "lips") if n in model.region_names]
    skin = morphable_model.region_vertices(model, *names)
  return landmarks.contour_lines(model.mean, skin, model.landmarks)


def bake(model, identity, albedo):
  """The model of one person: coefficients of identity and albedo do nothing.

  Framing and exposure of random codes then suit this person.
  """
  shape = morphable_model.vertices(model, identity, jnp.zeros(1))
  shade = morphable_model.albedo(model, albedo)
  baked = morphable_model.truncate(model, identity=1, albedo=1)
  return baked.replace(
    mean=shape,
    identity=jnp.zeros_like(baked.identity),
    albedo_mean=shade,
    albedo=jnp.zeros_like(baked.albedo),
  )


def _shoot(key, model, lines, prior):
  """(premultiplied linear RGB, coverage), landmarks twice, rotation of a face.

  Whoever is turned farther than `ROTATION_LIMITS` is not photographed.
  """
  size = IMAGE_SIZE * _SUPERSAMPLING
  camera = geometry.reference_camera(size)
  codes = jax.vmap(
    lambda key: priors.sample_code(key, model, camera=camera, prior=prior)
  )(jax.random.split(key, _POSES))
  within = jnp.abs(codes.rotation) <= np.deg2rad(ROTATION_LIMITS)
  first = jnp.argmax(within.all(axis=1))
  code = jax.tree.map(lambda x: x[first], codes)
  code = code.replace(
    identity=jnp.clip(code.identity, -LIMIT, LIMIT),
  )
  picture = renderer.render(model, camera, code, height=size, width=size)
  posed = renderer.posed_vertices(model, code)
  pixels = geometry.project(camera, posed) / _SUPERSAMPLING
  points = pixels[model.landmarks]
  outlined = landmarks.on_contour(points, pixels[lines])
  picture = jnp.dstack([picture.image, picture.mask])
  cells = picture.reshape(IMAGE_SIZE, _SUPERSAMPLING, IMAGE_SIZE, -1, 4)
  return cells.mean(axis=(1, 3)), points, outlined, code.rotation


def _take(inputs, shoot, seed, numbers):
  """Shoots in batches.

  Args:
    inputs: tree of arrays with n rows.
    shoot: from some rows to what `_shoot` returns, batched.
    seed: with `numbers` [n], of backgrounds and noise.
    numbers: see `seed`.
  """
  count = len(jax.tree.leaves(inputs)[0])
  batch = min(_BATCH, count)
  photos, rest = [], []
  for first in range(0, count, batch):
    # The last batch is filled up: one compiled program serves all.
    rows = np.minimum(np.arange(first, first + batch), count - 1)
    part = jax.tree.map(lambda x, rows=rows: x[rows], inputs)
    pictures, *others = map(np.asarray, shoot(part))
    for row, picture in zip(rows, pictures, strict=True):
      photos.append(_expose(picture, int(numbers[row]), seed))
    rest.append(others)
  return Shots(
    np.stack(photos)[:count],
    *(np.concatenate(x)[:count] for x in zip(*rest, strict=True)),
    numbers % len(BACKGROUNDS),
  )


def _expose(picture, number, seed):
  """Background, sRGB, sensor noise; [S, S, 3] uint8."""
  random = np.random.default_rng([seed, number])
  behind = _background(random, BACKGROUNDS[number % len(BACKGROUNDS)])
  scene = picture[..., :3] + (1 - picture[..., 3:]) * behind
  encoded = np.asarray(color.linear_to_srgb(scene.astype(np.float32)))
  encoded = encoded + random.normal(0, random.uniform(0, 0.02), encoded.shape)
  return (np.clip(encoded, 0, 1) * 255 + 0.5).astype(np.uint8)


def _background(random, kind):
  """[S, S, 3] linear RGB."""
  size = IMAGE_SIZE
  first, second = random.uniform(0.02, 0.7, (2, 3))
  if kind == "plain":
    return np.broadcast_to(first, (size, size, 3))
  if kind == "gradient":
    down = np.linspace(0, 1, size)[:, None, None]
    return np.broadcast_to(first + down * (second - first), (size, size, 3))
  noise = random.standard_normal((size, size, 3)).astype(np.float32)
  noise = cv2.GaussianBlur(noise, (0, 0), random.uniform(0.5, 10))
  return np.clip(0.3 + random.uniform(0.1, 0.3) * noise / noise.std(), 0, 1)


def without_expression(prior: priors.Prior) -> priors.Prior:
  """The prior with neutral faces only."""
  return dataclasses.replace(prior, expression_scale=0.0)
