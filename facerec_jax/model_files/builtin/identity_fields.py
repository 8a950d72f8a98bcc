"""Changes of the face: one function of the skin, one displacement field.

Each function returns a displacement [n, 3] of the head's skin, for the left
and the right side alike. `identity_modes` scales those that have a measure;
the others are in mm per standard deviation as they stand.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.spatial import cKDTree

from facerec_jax.model_files.builtin import chart
from facerec_jax.model_files.builtin import measurements
from facerec_jax.model_files.builtin import sculpture as sculpture_lib
from facerec_jax.model_files.builtin import surface

bump, smoothstep = chart.bump, chart.smoothstep
_NORMAL_REACH = 5.0  # mm that normals are smoothed over


@dataclasses.dataclass(frozen=True)
class Skin:
  """What mode functions need: the head's skin.

  Attributes:
    points: [n, 3] mm.
    opened: [n, 2] opened chart.
    normals: [n, 3] unit, smooth.
  """

  points: np.ndarray
  opened: np.ndarray
  normals: np.ndarray

  def near(self, center, widths):
    """[n] Gaussian around a point and its mirror image; widths x, y, z mm."""
    folded = np.abs(self.points) * [1, 0, 0] + self.points * [0, 1, 1]
    offset = (folded - np.asarray(center)) / np.asarray(widths, float)
    return np.exp(-0.5 * (offset**2).sum(axis=1))


def skin_of(sculpture) -> Skin:
  """The head's skin; its normals are averaged over space, so lips stay shut."""
  points = sculpture.head
  sharp = sculpture_lib.vertex_normals(points, sculpture.mesh.triangles)
  tree = cKDTree(points)
  near = tree.sparse_distance_matrix(
    tree, 3 * _NORMAL_REACH, output_type="coo_matrix"
  ).tocsr()
  near.data = bump(near.data, _NORMAL_REACH)
  normals = near @ (vertex_areas(sculpture)[:, None] * sharp)
  normals /= np.linalg.norm(normals, axis=1, keepdims=True)
  return Skin(points, sculpture.mesh.opened, normals)


def vertex_areas(sculpture) -> np.ndarray:
  """[n] a third of the area of the triangles around each vertex, mm^2."""
  triangles, points = sculpture.mesh.triangles, sculpture.head
  a, b, c = (points[triangles[:, k]] for k in range(3))
  area = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 6.0
  return np.bincount(triangles.ravel(), np.repeat(area, 3), len(points))


def field(skin, x=0.0, y=0.0, z=0.0):
  """[n, 3] from components that are numbers or [n]."""
  zero = np.zeros(len(skin.points))
  return np.column_stack([x + zero, y + zero, z + zero])


def sex(skin):
  """Half the difference of men and women at all tabled points, spread."""
  places = dict(measurements.points())
  change = measurements.point_sex_differences()
  skip = ("eyeball_centre", "cornea_apex", "pupil", "sa", "sba")
  names = [name for name in change if name in places and name not in skip]
  points = measurements.both_sides(np.array([places[name] for name in names]))
  shift = np.array([change[name] for name in names])
  off = np.array([abs(places[name][0]) > 1e-6 for name in names])
  shift = np.vstack([shift, measurements.mirrored(shift[off])])
  points = np.vstack([measurements.landmarks(), points])
  shift = np.vstack([measurements.landmark_sex_difference(), shift])
  direction = chart.directions_of(points)
  _, first = np.unique(direction.round(3), axis=0, return_index=True)
  spline = surface.SphereSpline(direction[first], shift[first], 0.003)
  spread = spline(chart.directions_of(skin.points))
  folded = np.minimum(np.abs(spread), 12.0) * np.sign(spread)
  return 0.5 * folded


def face_width(skin):
  """Cheekbones and temples wider."""
  x, y, _ = skin.points.T
  # Beside the eyes; their distance is a measure of its own.
  side = np.sign(x) * smoothstep(30, 70, np.abs(x))
  return field(skin, side * smoothstep(75, 20, y))


def forehead_width(skin):
  """The forehead broader."""
  x, y, z = skin.points.T
  front = smoothstep(-15, 40, y) * smoothstep(-105, -25, z)
  return field(skin, np.clip(x / 52, -1, 1) * front)


def face_depth(skin):
  """The face farther before the ears."""
  _, y, z = skin.points.T
  return field(skin, z=-np.clip(-z / 90, 0, 1) * smoothstep(110, 60, y))


def face_height(skin):
  """Everything below the eyes lower."""
  y = skin.points[:, 1]
  return field(skin, y=np.interp(y, [-117, -49, 0, 40], [-1, -0.45, 0, 0]))


def nose_length(skin):
  """The nose longer, the chin where it was."""
  x, y, _ = skin.points.T
  heights, shares = [-117, -80, -49, -25, 0], [0, 0.65, 1, 0.5, 0]
  return field(skin, y=-np.interp(y, heights, shares) * bump(x, 34))


def jaw_width(skin):
  """The angles of the jaw wider."""
  x, y, z = skin.points.T
  return field(skin, x * smoothstep(-30, -84, y) * bump((z + 60), 60))


def jaw_depth(skin):
  """Prognathism: chin and lower lip forward."""
  _, y, z = skin.points.T
  return field(skin, z=smoothstep(-62, -100, y) * smoothstep(-100, -10, z))


def chin_height(skin):
  """The chin taller: the fold above it higher, its lower edge lower."""
  x, y, _ = skin.points.T
  higher = bump(np.where(y > -89, (y + 89) / 11, (y + 89) / 14), 1.0)
  return field(skin, y=(higher - smoothstep(-100, -118, y)) * bump(x, 34))


def chin_width(skin):
  """The chin broader."""
  x = skin.points[:, 0] / 20
  return field(skin, x * skin.near((10, -106, -3), (20, 14, 22)))


def head_length(skin):
  """The skull longer."""
  return field(skin, z=-np.clip((skin.points[:, 2] + 60) / -132, 0, 1))


def head_breadth(skin):
  """The skull broader."""
  x, y, z = skin.points.T
  back = smoothstep(-20, 40, y) * smoothstep(-5, -95, z)
  return field(skin, np.clip(x / 75, -1, 1) * back)


def head_height(skin):
  """The skull higher."""
  y = skin.points[:, 1]
  return field(skin, y=np.clip((y - 20) / 83, 0, 1.1) ** 1.2)


def forehead_slope(skin):
  """The forehead leaning back by 4 degrees."""
  _, y, z = skin.points.T
  back = 0.07 * np.clip(y - 12, 0, 70)
  return field(skin, z=-back * smoothstep(-150, -40, z))


def cheek_fullness(skin):
  """Fuller cheeks beside the mouth."""
  return 3.5 * skin.near((46, -58, -22), (16, 17, 24))[:, None] * skin.normals


def cheekbones(skin):
  """More prominent cheekbones."""
  return 2.0 * skin.near((46, -28, -17), (17, 11, 22))[:, None] * skin.normals


def midface_depth(skin):
  """The middle of the face forward."""
  return field(skin, z=1.6 * skin.near((25, -35, -5), (34, 22, 40)))


def temples(skin):
  """Fuller temples."""
  side = np.sign(skin.points[:, 0])
  return field(skin, 2.2 * side * skin.near((62, 15, -45), (22, 25, 26)))


def asymmetry(skin, center, direction):
  """A smooth shift of one side against the other."""
  distance = np.linalg.norm(skin.points - center, axis=1)
  weight = bump(distance, 24)
  if center[0] > 0:
    other = np.asarray(center) * [-1, 1, 1]
    weight = weight - bump(np.linalg.norm(skin.points - other, axis=1), 24)
  return weight[:, None] * np.asarray(direction)
