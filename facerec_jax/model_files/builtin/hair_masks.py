"""Where hair grows: brows, beard, scalp; soft covers [V] on the vertices."""

from __future__ import annotations

import numpy as np

from facerec_jax.model_files.builtin import chart
from facerec_jax.model_files.builtin import color_masks
from facerec_jax.model_files.builtin import landmark_places

bump, smoothstep = chart.bump, chart.smoothstep

# Half the height of a brow along its length, mm of the chart.
_BROW_PLACES = (0, 0.12, 0.35, 0.6, 0.85, 1)
_BROW_HALVES = (2.4, 3.9, 4.1, 3.4, 2.2, 1.0)
# How the five brow landmarks move, inner end first, per mm.
_BROW_TILT = np.array([-1.0, -0.5, 0.0, 0.5, 1.0])
_BROW_ARCH = np.array([-0.6, 0.0, 0.7, 0.9, -0.7])
_BROW_FADE = 1.2  # mm
_BROW_REACH = 14.0  # mm around the mean line where brows may be
# The hair line's left half in the folded chart, from the middle: recess of the
# temple, its point, the sideburn's front.
_HAIR_LINE = np.array(
  [
    [0, 77],
    [18, 79],
    [38, 78],
    [54, 68],
    [65, 52],
    [71, 36],
    [77, 20],
    [88, 9],
    [98, 0],
    [104, -14],
    [109, -34],
    [120, -42],
    [150, -48],
  ],
  float,
)
_EDGE = 10.0  # mm over which hair thins out


class Brow:
  """The brows; what does not depend on the person is computed once."""

  def __init__(self, at: color_masks.Places):
    self._marks = landmark_places.anatomical()[[22, 23, 24, 25, 26]].copy()
    self._marks[0] -= [1.5, 0.3]
    distance, _ = chart.distance_to_curve(
      at.folded, chart.curve(self._marks, 200)
    )
    self._near = np.flatnonzero((distance < _BROW_REACH) & (at.skin > 0))
    self._folded = at.folded[self._near]
    self._left = at.uv[self._near, 0] > 0
    self._count = len(distance)

  def cover(
    self, *, height, tilt, arch, length, gap, thickness, asymmetry, grain
  ) -> np.ndarray:
    """Cover by brow hair, 1 where it is thickest.

    Args:
      height: mm up.
      tilt: mm that the tail rises and the head sinks.
      arch: mm that the middle rises over the ends.
      length: mm of tail added.
      gap: mm that the head starts farther out.
      thickness: factor.
      asymmetry: mm that the left brow is higher than the right.
      grain: [V] irregularity of the edge, share of the half height.

    Returns:
      [V].
    """
    cover = np.zeros(self._count)
    for side, sign in ((self._left, 0.5), (~self._left, -0.5)):
      marks = self._marks.copy()
      marks[:, 1] += height - 0.6 + tilt * _BROW_TILT + arch * _BROW_ARCH
      marks[:, 1] += sign * asymmetry
      marks[0, 0] += gap
      marks[-1] += [length, -0.4 * length]
      index = self._near[side]
      cover[index] = _one_brow(
        self._folded[side], marks, thickness, grain[index]
      )
    return cover


def _one_brow(folded, marks, thickness, grain):
  line = chart.curve(marks, 120)
  distance, place = chart.distance_to_curve(folded, line)
  half = thickness * np.interp(place, _BROW_PLACES, _BROW_HALVES)
  u = folded[:, 0]
  head = smoothstep(line[0, 0] - 3.0, line[0, 0] + 7.0, u)
  tail = smoothstep(line[-1, 0] + 2.0, line[-1, 0] - 5.0, u)
  # Thins out exponentially: whatever moves or narrows a brow then takes a
  # share of what is there, and a linear model's brows get no pale rim.
  edge = 1 / (1 + np.exp((distance - half * (0.9 + grain)) / _BROW_FADE))
  return (0.4 + 0.6 * head) * smoothstep(0, 0.2, head) * tail * edge


def beard_zones(at: color_masks.Places) -> dict[str, np.ndarray]:
  """Where a beard grows, and its parts; not the lips."""
  u, v = at.folded.T
  below = smoothstep(-38, -54, v - 0.35 * np.clip(u - 30, 0, 60))
  sides = 1 - smoothstep(92, 116, u)
  throat = smoothstep(-128, -108, v)
  whole = at.skin * below * sides * throat * (1 - color_masks.lips(at))
  return {
    "beard": whole,
    "moustache": whole * np.minimum(1, 1.2 * at.around((12, -60, 7), (12, 6))),
    "chin_beard": whole * np.minimum(1, 1.2 * at.around((0, -95, 3), (17, 14))),
    "jaw_beard": whole * smoothstep(30, 55, u),
  }


def line_shifts(at: color_masks.Places) -> dict[str, np.ndarray]:
  """[V] mm per factor that the hair line retreats."""
  u, v = at.uv.T
  across, random = np.abs(u), np.random.default_rng(17)
  front = smoothstep(20, 50, v)
  shifts = {
    "hair_line": 8.0 * bump(u, 62) * front,
    "temples": 8.5 * bump(across - 44, 15) * front,
    "hair_peak": -6.0 * bump(u, 12) * front,
    "sideburns": -8.0 * smoothstep(20, -10, v) * bump(across - 104, 16),
    "hair_line_asymmetry": 4.0 * np.tanh(u / 25) * bump(u, 60) * front,
  }
  for k in range(2):
    waves = random.uniform(0.06, 0.16, 4), random.uniform(0, 2 * np.pi, 4)
    wave = np.cos(u[:, None] * waves[0] + waves[1]).sum(axis=1)
    shifts[f"hair_line_wave_{k}"] = 1.0 * wave * bump(u, 95)
  return shifts


class Scalp:
  """The hair of the head."""

  def __init__(self, at: color_masks.Places):
    line = chart.curve(_HAIR_LINE, 400)
    distance, _ = chart.distance_to_curve(at.folded, line)
    u, v = at.folded.T
    behind = v > np.interp(u, *_HAIR_LINE.T)
    ragged = np.random.default_rng(3).normal(0, 1.2, len(u))
    self._signed = np.where(behind, distance, -distance) + ragged
    self._here = at.skin * (1 - at.ears) * smoothstep(-58, -42, v)
    self._crown = smoothstep(70, 105, v) * bump(u, 75)

  def cover(self, retreat, baldness: float) -> np.ndarray:
    """Share of skin that hair hides.

    Args:
      retreat: [V] mm that the hair line lies farther back.
      baldness: share of the crown's hair that is missing.

    Returns:
      [V] in 0..1.
    """
    inside = smoothstep(-_EDGE, _EDGE, self._signed - retreat)
    full = 0.97 * (1 - np.clip(baldness, 0, 1) * self._crown)
    return self._here * inside * full


def strands(at: color_masks.Places, seed: int) -> np.ndarray:
  """[V] unit noise in streaks that run from the forehead to the back."""
  random = np.random.default_rng(seed)
  offset = at.uv - [0.0, 25.0]
  turn = np.arctan2(offset[:, 0], offset[:, 1])
  waves = random.uniform(4, 18, 12)
  phase = random.uniform(0, 2 * np.pi, 12)
  bend = 0.25 * np.sin(np.hypot(*offset.T) / 22 + phase[0])
  field = np.cos((turn + 0.3 * bend)[:, None] * waves + phase).sum(axis=1)
  return field / np.sqrt(6.0)
