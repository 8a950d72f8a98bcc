"""The 68 iBUG landmarks: groups, framing of a face, hull, error.

Written for arrays of either kind of library: photographs (float64 pixels of a
file) and synthetic faces (traced arrays) pass through the same functions.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np

NUM_LANDMARKS = 68
GROUPS = {
  "jaw": tuple(range(0, 17)),
  "brows": tuple(range(17, 27)),
  "nose": tuple(range(27, 36)),
  "eyes": tuple(range(36, 48)),
  "mouth": tuple(range(48, 68)),
}
# Points 17-67: detectors and models agree on them; on the jaw line they do not.
INNER = tuple(range(17, 68))
OUTER_CANTHI = (36, 45)
MOUTH_INTERIOR = tuple(range(60, 68))
# MIRROR[i] is the point that i becomes in a mirrored image.
MIRROR = (
  *range(16, -1, -1),
  *range(26, 16, -1),
  *range(27, 31),
  *range(35, 30, -1),
  *(45, 44, 43, 42, 47, 46),
  *(39, 38, 37, 36, 41, 40),
  *range(54, 47, -1),
  *range(59, 54, -1),
  *range(64, 59, -1),
  *range(67, 64, -1),
)

# Side of the framing square in units of the spread of the inner landmarks: the
# square spans about 230 mm at the face, from hair line to below the chin.
FRAME_SPREADS = 5.2
# What a jaw point may slide along: skin within this height, mm, of its own,
# inward until this share of its distance from the midline.
_LINE_HALF_HEIGHT, _LINE_END = 3.5, 0.2


def framing(points):
  """The square that a face is cropped to, from its landmarks alone.

  The same function frames photographs and places synthetic faces, so that the
  encoder meets both in the same position. It uses centroid and spread of the
  inner landmarks, which are steadier than a bounding box.

  Args:
    points: [..., 68, 2] pixels (or mm on a plane facing the camera).

  Returns:
    (center [..., 2], side [...]) in the unit of the points.
  """
  inner = points[..., INNER[0] :, :]
  center = inner.mean(axis=-2)
  offsets = inner - center[..., None, :]
  spread = (offsets**2).sum(axis=-1).mean(axis=-1) ** 0.5
  return center, FRAME_SPREADS * spread


def contour_lines(points, skin, places) -> np.ndarray:
  """Vertices that each jaw point may slide along when the head turns.

  Args:
    points: [V, 3] mm, the mean face.
    skin: [V] bool, outer skin.
    places: [68] vertices of the landmarks.

  Returns:
    [17, n] vertices, filled up with the point's own, which comes first.
  """
  points = np.asarray(points)
  lines = []
  for place in np.asarray(places)[list(GROUPS["jaw"])]:
    side, height, depth = points[place]
    inward = points[:, 0] / side if abs(side) > 1.0 else np.zeros(len(points))
    near = skin & (np.abs(points[:, 1] - height) < _LINE_HALF_HEIGHT)
    near &= (inward > _LINE_END) & (points[:, 2] > depth)
    lines.append([place, *np.flatnonzero(near)])
  longest = max(map(len, lines))
  return np.array([line + line[:1] * (longest - len(line)) for line in lines])


def on_contour(points, line_points):
  """Landmarks whose jaw points lie where the visible outline is.

  Landmark marching: detectors follow the outline of a turned head, on the far
  side of which lies another vertex of the same height than in front (Zhu et
  al. 2015, High-fidelity pose and expression normalization). Models' own
  landmarks, of which training knows, stay the same vertices; this is for
  comparing them with what detectors see.

  Args:
    points: [68, 2] pixels, the model's landmarks.
    line_points: [17, n, 2] pixels, vertices of `contour_lines`.

  Returns:
    [68, 2]; each jaw point is the vertex of its line that lies farthest out,
    along the line through the outer canthi.
  """
  right, left = OUTER_CANTHI
  across = points[left] - points[right]
  middle = len(GROUPS["jaw"]) // 2
  outward = jnp.sign(jnp.arange(len(GROUPS["jaw"])) - middle)
  reach = outward[:, None] * (line_points @ across)
  farthest = jnp.argmax(reach, axis=1)
  jaw = jnp.take_along_axis(line_points, farthest[:, None, None], axis=1)[:, 0]
  return jnp.concatenate([jaw, points[len(jaw) :]])


def normalized_mean_error(predicted, true, indices=INNER):
  """Mean point distance in units of the true outer-canthal distance.

  Args:
    predicted: [..., 68, 2].
    true: [..., 68, 2].
    indices: the points to average over.

  Returns:
    [...], 0.05 is five percent.
  """
  return _mean_error(predicted, true, jnp.asarray(indices))


@functools.partial(jax.jit, inline=True)
def _mean_error(predicted, true, index):
  distance = jnp.linalg.norm(predicted - true, axis=-1)[..., index].mean(-1)
  left, right = OUTER_CANTHI
  scale = jnp.linalg.norm(true[..., left, :] - true[..., right, :], axis=-1)
  return distance / scale


@functools.partial(jax.jit, inline=True)
def face_outline(points, *, lift: float = 0.4):
  """Polygon around the face: jaw line, then over the brows.

  The brow line is raised to take in the lower forehead, as hull masks of
  photographs do.

  Args:
    points: [68, 2] pixels.
    lift: by how many distances between brows and eyes.

  Returns:
    [27, 2] pixels.
  """
  brows = points[17:27]
  up = lift * (brows.mean(axis=0) - points[36:48].mean(axis=0))
  return jnp.concatenate([points[:17], (brows + up)[::-1]])


def polygon_mask(polygon, *, height: int, width: int) -> jax.Array:
  """Pixels whose centre lies inside a polygon (even-odd rule).

  Args:
    polygon: [n, 2] (column, row) corners, pixels.
    height: of the image.
    width: of the image.

  Returns:
    [height, width] bool.
  """
  x = jnp.arange(width)[None, :, None] + 0.5
  y = jnp.arange(height)[:, None, None] + 0.5
  x0, y0 = polygon[:, 0], polygon[:, 1]
  x1, y1 = jnp.roll(x0, -1), jnp.roll(y0, -1)
  spans = (y0 > y) != (y1 > y)
  rise = jnp.where(y1 == y0, 1.0, y1 - y0)
  crosses = spans & (x < x0 + (y - y0) / rise * (x1 - x0))
  return crosses.sum(axis=-1) % 2 == 1


def hull_mask(points, *, height: int, width: int) -> jax.Array:
  """The face without hair, neck and mouth interior.

  Args:
    points: [68, 2] pixels.
    height: of the image.
    width: of the image.

  Returns:
    [height, width] bool.
  """
  face = polygon_mask(face_outline(points), height=height, width=width)
  mouth = polygon_mask(
    points[jnp.asarray(MOUTH_INTERIOR)], height=height, width=width
  )
  return face & ~mouth
