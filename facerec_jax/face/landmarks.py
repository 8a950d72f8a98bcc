"""The 68 iBUG landmarks: groups, framing of a face, hull, error.

Written for arrays of either kind of library: photographs (float64 pixels of a
file) and synthetic faces (traced arrays) pass through the same functions.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

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


def normalized_mean_error(predicted, true, indices=INNER):
  """Mean point distance in units of the true outer-canthal distance.

  Args:
    predicted: [..., 68, 2].
    true: [..., 68, 2].
    indices: the points to average over.

  Returns:
    [...], 0.05 is five percent.
  """
  index = jnp.asarray(indices)
  distance = jnp.linalg.norm(predicted - true, axis=-1)[..., index].mean(-1)
  left, right = OUTER_CANTHI
  scale = jnp.linalg.norm(true[..., left, :] - true[..., right, :], axis=-1)
  return distance / scale


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
