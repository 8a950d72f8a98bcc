"""How near a model's shape comes to scanned faces.

Targets are vertices of scanned faces; distances go from them to the nearest
point of the model's skin, after a rigid motion (no scale), inside the face:
neither ears, neck, crown, eye openings, nostrils nor the slit of the mouth.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from facerec_jax.face import morphable_model
from judges import fitting
from judges import goals
from judges import registration
from judges import surfaces
from judges import targets

GOALS = {
  "ict_mean_rms": goals.at_most(1.2),
  "ict_mean_normal_angle": goals.at_most(6.0),
  "scans_mean_rms": goals.at_most(1.6),
  "ict_fit_rms": goals.at_most(0.8),
  "scans_fit_rms": goals.at_most(0.6),
}
_NOT_SKIN = ("left_eye", "right_eye", "mouth_interior", "teeth", "ears")
_BACK, _LOW, _HIGH = -62.0, -112.0, 45.0  # z, y, y of the face's edge, mm
# Centre (|x|, y) and half axes, mm, of what is left out.
_HOLES = (
  ((31.0, -4.6), (17.0, 8.0)),  # eye opening
  ((0.0, -70.9), (24.0, 2.2)),  # mouth slit
  ((7.5, -45.0), (7.5, 5.5)),  # nostril
)
_FEWER_MODES = 80


class Comparison(NamedTuple):
  """The model's mean against a mean of scanned faces.

  Attributes:
    places: [n, 3] target points in the model's frame, mm.
    error: [n] signed distance, mm; positive: the target lies outside.
    angle: [n] between the normals, degrees.
  """

  places: np.ndarray
  error: np.ndarray
  angle: np.ndarray

  def numbers(self) -> dict[str, float]:
    """Root mean square, mean and 95 % quantile, mm; median angle."""
    size = np.abs(self.error)
    return {
      "mean_rms": float(np.sqrt((size**2).mean())),
      "mean_abs": float(size.mean()),
      "mean_p95": float(np.quantile(size, 0.95)),
      "mean_normal_angle": float(np.median(self.angle)),
    }


def skin_triangles(model) -> np.ndarray:
  """[n, 3] the model's triangles without eyes, mouth interior and ears."""
  hidden = [name for name in _NOT_SKIN if name in model.region_names]
  marked = morphable_model.region_vertices(model, *hidden)
  triangles = np.asarray(model.triangles)
  return triangles[~marked[triangles].any(axis=1)]


def face_region(points) -> np.ndarray:
  """Which points [n, 3], mm, count; [n] bool."""
  x, y, z = points.T
  counted = (z > _BACK) & (y > _LOW) & (y < _HIGH)
  for (side, height), (wide, high) in _HOLES:
    across, up = (np.abs(x) - side) / wide, (y - height) / high
    counted &= across**2 + up**2 >= 1
  return counted


def start(face, family, model):
  """(R, t) to register a face from: by landmarks, else by the nose's tip."""
  marks = np.asarray(model.mean, float)[np.asarray(model.landmarks)]
  if family.landmarks is not None:
    return registration.rigid_motion(face[family.landmarks], marks[17:])
  return np.eye(3), marks[30] - face[face[:, 2].argmax()]


def compare(model, family) -> Comparison:
  """Registers the family's mean to the model's mean face and measures."""
  surface = surfaces.Surface(model.mean, skin_triangles(model))
  points = family.mean[family.visible]
  rotation, translation, counted = registration.register(
    points, surface, face_region, start(family.mean, family, model)
  )
  places = (points @ rotation.T + translation)[counted]
  normals = surfaces.vertex_normals(family.mean, family.triangles)
  normals = (normals[family.visible] @ rotation.T)[counted]
  mine = surface.normals_at(surface.nearest(places))
  cosine = np.clip((normals * mine).sum(axis=1), -1, 1)
  return Comparison(
    places, surface.signed_distance(places), np.rad2deg(np.arccos(cosine))
  )


def fit_all(model, family, *, modes: int | None = None) -> dict[str, float]:
  """Fits every face of the family; mean of the faces' root mean squares, mm.

  Args:
    model: the morphable model.
    family: the faces.
    modes: how many identity modes at most; None: all.

  Returns:
    mean_only_rms, fit_rms, fit_rms_80, fit_coefficients (root mean square of
    the coefficients, all modes).
  """
  fitter = fitting.Fitter(model, skin_triangles(model), face_region)
  found = []
  for face in family.faces:
    begin = start(face, family, model)
    points = face[family.visible]
    points, mean_rms = fitter.place(points[::2], begin)
    full = fitter.fit(points, modes)
    fewer = fitter.fit(points, min(_FEWER_MODES, modes or _FEWER_MODES))
    size = np.sqrt((full.coefficients**2).mean())
    found.append([mean_rms, full.rms, fewer.rms, size])
  names = ("mean_only_rms", "fit_rms", "fit_rms_80", "fit_coefficients")
  return dict(zip(names, np.mean(found, axis=0).tolist(), strict=True))


def judge(model, folder, *, modes: int | None = None, fits: bool = True):
  """All numbers of this judge.

  Args:
    model: the morphable model.
    folder: of the measured data.
    modes: of identity that the fits may use, None: all.
    fits: whether to fit single faces.

  Returns:
    (numbers by name, {family name: Comparison}).
  """
  numbers, comparisons = {}, {}
  for family in (targets.ict(folder), targets.scans(folder)):
    comparison = compare(model, family)
    found = comparison.numbers()
    if fits:
      found |= fit_all(model, family, modes=modes)
    numbers |= {f"{family.name}_{k}": v for k, v in found.items()}
    comparisons[family.name] = comparison
  return numbers, comparisons
