"""A small generated face for tests: smooth, closed at the front, seeded."""

import numpy as np
from scipy import spatial

from facerec_jax.face import morphable_model
from facerec_jax.model_files import expression_fitting

# Half axes (mm) and centre of the ellipsoid that stands for a head.
_AXES = np.array([72.0, 105.0, 90.0])
_CENTER_Y = -35.0
_MAX_ANGLE = np.deg2rad(100.0)
# All that emotions need, and a few more; in one column, or one for each side.
ACTION_UNITS = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 16, 17, 18)
ACTION_UNITS += (20, 22, 23, 24, 25, 26, 27, 28, 43)
_MIDDLE = (4, 9, 16, 17, 18, 22, 23, 24, 25, 26, 27, 28)


def action_unit_names() -> tuple[str, ...]:
  """Names of expression columns, such as "AU12_L"."""
  return tuple(
    f"AU{unit:02d}{side}"
    for unit in ACTION_UNITS
    for side in (("",) if unit in _MIDDLE else ("_L", "_R"))
  )


def make(
  *,
  num_rings: int = 12,
  identity: int = 5,
  expression: int = 4,
  albedo: int = 3,
  identity_names=(),
  expression_names=(),
  chart: bool = False,
  seed: int = 0,
) -> morphable_model.MorphableModel:
  """Makes a model of about 3 num_rings^2 + 68 vertices.

  Args:
    num_rings: rings of vertices around the nose.
    identity: Ki, unless there are `identity_names`.
    expression: Ke, unless there are `expression_names`.
    albedo: Ka.
    identity_names: of the identity modes.
    expression_names: makes a blendshape model, for example ("AU12_L", ...).
    chart: whether it has texture coordinates.
    seed: of the random bases.

  Returns:
    The model; regions are "skin" and "lips".
  """
  rng = np.random.default_rng(seed)
  landmarks_xy = _landmark_layout()
  disc = np.concatenate([_to_disc(landmarks_xy), _rings(num_rings)])
  mean = _surface(disc)
  triangles = _triangles(disc)
  lips = np.linalg.norm((mean - mean[51:52]) / [26.0, 12.0, 40.0], axis=1) < 1
  color = np.where(lips[:, None], [0.35, 0.16, 0.14], [0.42, 0.25, 0.18])
  names = {}
  if expression_names:
    names["expression_kind"] = "blendshape"
  return morphable_model.create(
    mean=mean,
    identity=_modes(rng, mean, len(identity_names) or identity, 40.0, 3.0),
    expression=_modes(rng, mean, len(expression_names) or expression, 20, 4.0),
    albedo_mean=color,
    albedo=0.04 * _modes(rng, mean, albedo, 60.0, 1.0),
    triangles=triangles,
    landmarks=np.arange(68),
    occlusion=np.clip(1.0 - 0.3 * (mean[:, 2] < -60.0), 0.0, 1.0),
    region=lips.astype(np.int32),
    region_names=("skin", "lips"),
    uv=0.5 + 0.48 * disc if chart else None,
    name="fake",
    identity_names=tuple(identity_names),
    expression_names=tuple(expression_names),
    **names,
  )


def _landmark_layout() -> np.ndarray:
  """The 68 points seen from the front, [68, 2] mm."""

  def arc(start, stop, num, center, radii):
    angle = np.deg2rad(np.linspace(start, stop, num))
    return np.array(center) + np.c_[np.cos(angle), np.sin(angle)] * radii

  brow = arc(160, 20, 5, (-33, 5), (22, 10))
  eye = arc(180, -120, 6, (-31, -9), (15, 5))
  outer = arc(180, -150, 12, (0, -76), (25, 9))
  inner = arc(180, -135, 8, (0, -76), (20, 3))
  mirror = np.array([-1, 1])
  return np.concatenate(
    [
      arc(180, 360, 17, (0, -25), (66, 88)),
      brow,
      (brow * mirror)[::-1],
      np.c_[np.zeros(4), [0, -12, -24, -36]],
      np.c_[[-14, -7, 0, 7, 14], [-46, -48, -49, -48, -46]],
      eye,
      (eye * mirror)[[3, 2, 1, 0, 5, 4]],
      outer,
      inner,
    ]
  )


def _to_disc(xy):
  unit = (xy - [0.0, _CENTER_Y]) / _AXES[:2]
  radius = np.linalg.norm(unit, axis=1, keepdims=True)
  angle = np.arcsin(np.minimum(radius, 0.999)) / _MAX_ANGLE
  return unit / np.maximum(radius, 1e-9) * angle


def _rings(num_rings):
  points = [np.full((1, 2), 0.013)]
  for ring in range(1, num_rings + 1):
    angle = np.arange(6 * ring) / (6 * ring) * 2 * np.pi + 0.1 * ring
    radius = ring / num_rings
    points.append(radius * np.c_[np.cos(angle), np.sin(angle)])
  return np.concatenate(points)


def _surface(disc):
  angle = np.linalg.norm(disc, axis=1, keepdims=True) * _MAX_ANGLE
  side = (
    np.sin(angle)
    * disc
    / np.maximum(np.linalg.norm(disc, axis=1), 1e-9)[:, None]
  )
  points = np.concatenate([side, np.cos(angle)], axis=1) * _AXES
  points[:, 1] += _CENTER_Y
  x, y = points[:, 0], points[:, 1]
  points[:, 2] += 18.0 * np.exp(-((x / 10) ** 2) - ((y + 38) / 14) ** 2)
  return points - points[27]


def _triangles(disc):
  triangles = spatial.Delaunay(disc).simplices
  a, b, c = (disc[triangles[:, i]] for i in range(3))
  ab, ac = b - a, c - a
  clockwise = ab[:, 0] * ac[:, 1] < ab[:, 1] * ac[:, 0]
  triangles[clockwise] = triangles[clockwise][:, ::-1]
  return triangles


def _modes(rng, points, count, width, scale):
  """Smooth random fields, [V, 3, count]."""
  centers = points[rng.integers(len(points), size=(8, count))]
  distance = ((points[:, None, None] - centers) ** 2).sum(-1)
  falloff = np.exp(-0.5 * distance / width**2)
  directions = rng.normal(size=(8, count, 3)) * scale / np.sqrt(8)
  return np.einsum("vkn,knc->vcn", falloff, directions)


def make_acting(kind="blendshape"):
  """A face whose columns are action units themselves, spread over the skin."""
  face = make(num_rings=10)
  places = np.asarray(face.mean, float)[:68]
  size = np.linalg.norm(places[36] - places[45]) / 90.4
  names, columns = [], []
  for name, motion in expression_fitting._targets(places):
    distance = np.linalg.norm(np.asarray(face.mean)[:, None] - places, axis=2)
    weight = np.exp(-0.5 * (distance / 4.0) ** 2)
    weight[:68] = np.eye(68)
    names.append(name)
    columns.append(size * weight @ motion)
  basis = np.stack(columns, axis=-1).astype(np.float32)
  return face.replace(
    expression=basis, expression_names=tuple(names), expression_kind=kind
  )
