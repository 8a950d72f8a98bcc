"""Scanned faces to measure against; measured, never copied.

The folder that the environment variable `FACEREC_DATA` names holds
`ict_face_small.npz` (ICT-FaceKit's narrow face, centimetres) and
`scans/faces15.npz` (15 faces in correspondence, millimetres).
"""

from __future__ import annotations

import dataclasses
import os
import pathlib

import jax
import jax.numpy as jnp
import numpy as np

from facerec_jax.face import code_vector
from facerec_jax.face import incidence
from facerec_jax.render import geometry
from facerec_jax.render import renderer

_YAWS = (-55.0, -25.0, 0.0, 25.0, 55.0)  # degrees
_SIZE, _DISTANCE, _SCALE = 512, 2000.0, 1.4  # px, mm, px per mm
_DEPTH_SLACK = 0.6  # mm


@dataclasses.dataclass(frozen=True)
class Family:
  """Faces of one topology, and which of their vertices are compared.

  Attributes:
    name: "ict" or "scans".
    mean: [V, 3] mm.
    triangles: [T, 3].
    visible: [n] vertices of the mean that some view shows.
    landmarks: [51] vertices of points 17-67, or None.
    faces: [m, V, 3] mm, single faces.
  """

  name: str
  mean: np.ndarray
  triangles: np.ndarray
  visible: np.ndarray
  landmarks: np.ndarray | None
  faces: np.ndarray


def data_folder() -> pathlib.Path | None:
  """The folder of measured data, None where the environment names none."""
  folder = os.environ.get("FACEREC_DATA")
  return pathlib.Path(folder) if folder else None


def ict(folder, *, count: int = 30, seed: int = 11) -> Family:
  """ICT's mean and random people, coefficients N(0, 1)."""
  with np.load(pathlib.Path(folder) / "ict_face_small.npz") as file:
    mean = 10.0 * file["neutral"].astype(float)
    basis = 10.0 * file["identity"].astype(float)
    triangles, landmarks = file["triangles"], file["landmarks68"][17:]
  random = np.random.default_rng(seed)
  people = random.standard_normal((count, len(basis)))
  faces = mean + np.einsum("pk,kvc->pvc", people, basis)
  seen = visible_vertices(mean, triangles)
  return Family("ict", mean, triangles, seen, landmarks, faces)


def scans(folder) -> Family:
  """The scanned faces and their mean; they have no landmarks."""
  with np.load(pathlib.Path(folder) / "scans" / "faces15.npz") as file:
    faces, triangles = file["vertices"].astype(float), file["triangles"]
  mean = faces.mean(axis=0)
  seen = visible_vertices(mean, triangles)
  return Family("scans", mean, triangles, seen, None, faces)


def visible_vertices(points, triangles) -> np.ndarray:
  """Indices of the vertices that at least one of five views shows."""
  around = incidence.vertex_incidence(triangles, len(points))
  centered = jnp.asarray(points - points.mean(axis=0), jnp.float32)
  middle = jnp.full(2, _SIZE / 2)
  camera = geometry.Camera(jnp.float32(_SCALE * _DISTANCE), middle)
  plain = jnp.ones_like(centered)

  @jax.jit
  def look(yaw):
    rotation = jnp.stack([0.0, yaw, 0.0])
    posed = geometry.to_camera(
      centered, rotation, jnp.array([0.0, 0.0, -_DISTANCE])
    )
    picture = renderer.render_mesh(
      posed,
      jnp.asarray(triangles),
      around,
      albedo=plain,
      light=code_vector.white_light(),
      camera=camera,
      height=_SIZE,
      width=_SIZE,
    )
    return geometry.project(camera, posed), -posed[:, 2], picture.depth

  seen = np.zeros(len(points), bool)
  for yaw in np.deg2rad(_YAWS):
    pixel, own_depth, depth = map(np.asarray, look(jnp.float32(yaw)))
    column, row = np.clip(pixel.astype(int), 0, _SIZE - 1).T
    front = depth[row, column]
    seen |= (front > 0) & (own_depth < front + _DEPTH_SLACK)
  return np.flatnonzero(seen)
