"""Do random people look like different people to a face recogniser?

dlib's recognition network (ResNet, 128 numbers a face; distances above 0.6
count as different people) looks at random people in several pictures each, and
for scale at photographs. Faces are found and aligned by dlib's own detector
and predictor, as on photographs.
"""

from __future__ import annotations

import json
import pathlib
from typing import NamedTuple

import cv2
import dlib
import jax
import numpy as np

from facerec_jax.render import geometry
from facerec_jax.synthesis import priors
from judges import detection
from judges import goals
from judges import shots

GOALS = {
  "different_distance": goals.at_least(0.62),
  "auc": goals.at_least(0.99),
}
PRIOR = shots.uniform_pose(20.0)
# One frontal, centred, neutral picture of each person in one light.
ALIKE = priors.Prior(
  rotation_scale=0.0, expression_scale=0.0, center_spread=0.0, size_spread=0.0
)
_PICTURES = 4


class Recognizer:
  """Describes faces in photographs."""

  def __init__(self):
    self._detectors = detection.Detectors()
    self._network = dlib.face_recognition_model_v1(
      detection.model_file("dlib_face_recognition_resnet_model_v1.dat")
    )

  def describe(self, photo, *, upsampling: int = 1):
    """[128] of the face seen best in a photograph [H, W, 3]; NaN: none."""
    boxes = self._detectors.boxes(photo, 0.0, upsampling=upsampling)
    if not boxes:
      return np.full(128, np.nan)
    box, _ = max(boxes, key=lambda found: found[1])
    shape = self._detectors.predictor(photo, box)
    return np.array(self._network.compute_face_descriptor(photo, shape))


class Pairs(NamedTuple):
  """Distances of pictures of the same and of different people."""

  same: np.ndarray
  different: np.ndarray


def pairs(descriptors, people) -> Pairs:
  """Distances of all pairs of found faces.

  Args:
    descriptors: [n, 128], NaN where no face was found.
    people: [n] who it is.
  """
  found = ~np.isnan(descriptors[:, 0])
  descriptors, people = descriptors[found], np.asarray(people)[found]
  i, k = np.triu_indices(len(people), 1)
  distance = np.linalg.norm(descriptors[i] - descriptors[k], axis=1)
  same = people[i] == people[k]
  return Pairs(distance[same], distance[~same])


def area_under_curve(low, high) -> float:
  """Chance that one of `low` is below one of `high` (ties count half)."""
  low, high = np.sort(low), np.asarray(high)
  below = np.searchsorted(low, high, side="left")
  not_above = np.searchsorted(low, high, side="right")
  return float((below + not_above).mean() / (2 * len(low)))


def sample_people(model, count: int, seed: int):
  """([n, Ki], [n, Ka]) coefficients of random people."""
  camera = geometry.reference_camera(shots.IMAGE_SIZE)

  @jax.jit
  def draw(keys, model):
    codes = jax.vmap(
      lambda key: priors.sample_code(key, model, camera=camera, prior=ALIKE)
    )(keys)
    return codes.identity, codes.albedo

  keys = jax.random.split(jax.random.key(seed), count)
  found = draw(keys, jax.device_put(model))
  return tuple(np.clip(x, -shots.LIMIT, shots.LIMIT) for x in found)


def judge(model, *, folder=None, people: int = 60, seed: int = 0):
  """All numbers of this judge.

  Args:
    model: the morphable model.
    folder: of the measured data (its photographs are compared), or None.
    people: number of random people.
    seed: of everything.
  """
  recognizer = Recognizer()
  identity, albedo = sample_people(model, people, seed + 1)
  names = np.repeat(np.arange(people), _PICTURES)
  taken = shots.take_people(model, identity[names], albedo[names], seed, PRIOR)
  described = _describe(recognizer, taken)
  found = pairs(described, names)
  numbers = {
    "found": 100 * float(np.isfinite(described[:, 0]).mean()),
    "different_distance": float(found.different.mean()),
    "same_distance": float(found.same.mean()),
    "auc": area_under_curve(found.same, found.different),
  }
  varied = {
    "identity": (identity, 0 * albedo),
    "albedo": (0 * identity, albedo),
    "identity_and_albedo": (identity, albedo),
  }
  for name, coefficients in varied.items():
    taken = shots.take_people(model, *coefficients, seed, ALIKE, alike=True)
    found = pairs(_describe(recognizer, taken), np.arange(people))
    numbers[f"only_{name}_distance"] = float(found.different.mean())
  if folder is not None:
    numbers |= _photographs(recognizer, folder)
  return numbers


def _describe(recognizer, taken):
  return np.stack([recognizer.describe(photo) for photo in taken.photos])


def _photographs(recognizer, folder):
  """The same distances between photographs, for scale."""
  folder = pathlib.Path(folder) / "photos"
  images = json.loads((folder / "manifest.json").read_text())["images"]
  names = [image["file"] for image in images]
  described = np.stack(
    [
      # Faces on the photographs are larger than on the renders.
      recognizer.describe(
        np.ascontiguousarray(cv2.imread(str(folder / name))[..., ::-1]),
        upsampling=0,
      )
      for name in names
    ]
  )
  # "london_036_smile.jpg" and "london_036_neutral.jpg" show one person.
  people = [
    name.removesuffix("_neutral.jpg").removesuffix("_smile.jpg")
    for name in names
  ]
  found = pairs(described, people)
  return {
    "photos_found": 100 * float(np.isfinite(described[:, 0]).mean()),
    "photos_different_distance": float(found.different.mean()),
    "photos_same_distance": float(found.same.mean()),
    "photos_auc": area_under_curve(found.same, found.different),
  }
