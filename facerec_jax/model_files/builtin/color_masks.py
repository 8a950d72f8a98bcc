"""Where on the face which colour goes: soft masks [V] on the vertices."""

from __future__ import annotations

import dataclasses

import numpy as np

from facerec_jax.model_files.builtin import chart
from facerec_jax.model_files.builtin import eyes
from facerec_jax.model_files.builtin import feature_loops
from facerec_jax.model_files.builtin import relief

bump, smoothstep = chart.bump, chart.smoothstep


@dataclasses.dataclass(frozen=True)
class Places:
  """Coordinates that masks are functions of.

  Attributes:
    uv: [V, 2] chart, mouth closed.
    opened: [V, 2] chart, mouth opened; off the head's skin as `uv`.
    folded: [V, 2] chart with |u|.
    skin: [V] 1 where there is skin (head, ears, neck).
    ears: [V] 1 on the ears.
  """

  uv: np.ndarray
  opened: np.ndarray
  folded: np.ndarray
  skin: np.ndarray
  ears: np.ndarray

  def around(self, point, widths):
    """Gaussian around a point of the left side and its mirror image."""
    place = chart.to_chart(np.array(point, float))
    offset = (self.folded - place) / np.broadcast_to(widths, 2)
    return np.exp(-0.5 * (offset**2).sum(axis=1))


def places(sculpture) -> Places:
  """The coordinates of all vertices."""
  count = len(sculpture.points)
  skin, ears = np.zeros(count), np.zeros(count)
  skin[: len(sculpture.head)] = 1.0
  for part, where in zip(sculpture.parts, sculpture.part_slices, strict=True):
    skin[where] = part.name in ("ears", "neck")
    ears[where] = part.name == "ears"
  uv = sculpture.chart
  opened = uv.copy()
  opened[: len(sculpture.head)] = sculpture.mesh.opened
  return Places(
    uv=uv, opened=opened, folded=chart.folded(uv), skin=skin, ears=ears
  )


def pigment_masks(at: Places) -> dict[str, np.ndarray]:
  """Regions whose melanin and blood differ from the mid cheek."""
  folded = at.folded
  margin = feature_loops.lid_margin()
  closed = chart.curve(np.vstack([margin, margin[:1]]), 300)
  from_lid, _ = chart.distance_to_curve(folded, closed)
  level = np.interp(folded[:, 0], *margin[[0, len(margin) // 2]].T)
  upper = folded[:, 1] > level
  nose_tip = at.around((0, -40, 25), (10, 9))
  wings = at.around((14, -43, 8), 6)
  fold, _ = chart.distance_to_curve(folded, relief.nasolabial_line())
  groove, _ = chart.distance_to_curve(folded, relief.alar_line())
  return {
    "forehead": smoothstep(18, 34, folded[:, 1]),
    "cheek": at.around((40, -34, -12), (15, 13)),
    "nose": np.maximum(nose_tip, wings),
    "bridge": at.around((0, -14, 9), (6, 14)),
    "chin": at.around((0, -101, 2), (13, 11)),
    "upper_lip_skin": at.around((0, -57, 9), (18, 5)),
    "jaw": smoothstep(-80, -100, folded[:, 1]),
    "upper_lid": bump(from_lid, 5) * upper,
    "socket": bump(from_lid - 3, 6) * smoothstep(32, 22, folded[:, 0]),
    "under_eye": bump(from_lid - 6, 3.5) * ~upper * bump(folded[:, 0] - 30, 14),
    "nasolabial": bump(fold, 1.8),
    "alar": bump(groove, 1.3),
    "ears": at.ears,
  }


def lashes(at: Places) -> tuple[np.ndarray, np.ndarray]:
  """Dark lines along the (upper, lower) lid margin, fuller outward."""
  margin = feature_loops.lid_margin()
  half = len(margin) // 2
  place = (at.folded[:, 0] - margin[0, 0]) / np.ptp(margin[:, 0])
  place = np.clip(place, 0.0, 1.0)
  upper, _ = chart.distance_to_curve(
    at.folded, chart.curve(margin[: half + 1], 200)
  )
  lower_line = np.vstack([margin[half:], margin[:1]])
  lower, _ = chart.distance_to_curve(at.folded, chart.curve(lower_line, 200))
  above = (
    at.folded[:, 1]
    > np.interp(at.folded[:, 0], margin[: half + 1, 0], margin[: half + 1, 1])
    - 0.3
  )
  return (
    bump(upper, 1.0)
    * above
    * smoothstep(0.02, 0.3, place)
    * (0.6 + 0.5 * place),
    bump(lower, 0.6) * ~above * smoothstep(0.1, 0.5, place),
  )


def lips(at: Places) -> np.ndarray:
  """The vermilion, soft over a millimetre at its border."""
  upper, lower = feature_loops.vermilion_border(80)
  border = np.vstack([upper, lower[::-1]])
  folded = chart.folded(at.opened)
  distance, _ = chart.distance_to_curve(folded, border)
  outline = np.vstack([border, border[::-1] * [-1, 1]])
  signed = np.where(chart.inside(outline, at.opened), distance, -distance)
  return at.skin * smoothstep(-0.5, 0.5, signed)


def lip_line(at: Places) -> np.ndarray:
  """Depth between the lips."""
  near = 1 - np.clip(np.abs(at.opened[:, 0]) / chart.MOUTH_CORNER[0], 0, 1) ** 6
  return at.skin * near * np.exp(-chart.lip_distance(at.opened) / 0.8)


def nostrils(at: Places) -> np.ndarray:
  """The dark of the nostrils."""
  radius = np.linalg.norm(feature_loops.nostril_coordinates(at.uv), axis=1)
  return at.skin * (1 - smoothstep(0.5, 1.1, radius))


def eye_places(sculpture) -> np.ndarray:
  """[V, 2] mm from the eye's axis and angle around it on the eyeballs.

  The angle runs the same way on both, seen from the nose; the radius is
  infinite elsewhere.
  """
  place = np.full((len(sculpture.points), 2), np.inf)
  for side, where in enumerate(sculpture.part_slices[:2]):
    offset = sculpture.points[where] - eyes.centers()[side]
    outward = offset[:, 0] * (1, -1)[side]
    place[where, 0] = np.hypot(offset[:, 0], offset[:, 1])
    place[where, 1] = np.arctan2(offset[:, 1], outward)
  return place
