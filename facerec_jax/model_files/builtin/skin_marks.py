"""Irregularities of skin: creases, freckles, moles, mottling; [V] each."""

from __future__ import annotations

import numpy as np

from facerec_jax.model_files.builtin import chart
from facerec_jax.model_files.builtin import color_masks
from facerec_jax.model_files.builtin import relief

bump, smoothstep = chart.bump, chart.smoothstep

# Lines that deepen with age, folded chart mm: points, half width, strength.
_CREASES = (
  ([[5.5, 12], [6.5, 20], [5.5, 29]], 2.0, 0.5),
  ([[0, 44], [16, 46], [34, 44]], 2.6, 0.5),
  ([[0, 55], [16, 57.5], [34, 55]], 2.6, 0.45),
  ([[0, 66], [15, 68], [28, 66]], 2.8, 0.3),
  ([[58, 6], [64, 10], [70, 12]], 1.8, 0.6),
  ([[58, 3], [65, 2], [71, 1]], 1.8, 0.5),
  ([[57, 0], [63, -5], [68, -8]], 1.8, 0.5),
  ([[22, -6], [29, -11], [40, -13], [49, -9]], 2.0, 0.4),
  ([[25, -50], [28, -57], [29, -64]], 2.2, 0.6),
)
_SPOTTED = {"freckles": (0.38, 1.4), "moles": (0.006, 0.3)}


def creases(at: color_masks.Places) -> np.ndarray:
  """Folds and fine lines, 1 where they are deepest."""
  total = np.zeros(len(at.uv))
  for points, width, strength in _CREASES:
    distance, _ = chart.distance_to_curve(at.folded, chart.curve(points, 120))
    total += strength * bump(distance, width)
  fold, _ = chart.distance_to_curve(at.folded, relief.nasolabial_line())
  return at.skin * np.minimum(total + 0.9 * bump(fold, 2.0), 1.0)


def freckles(at: color_masks.Places, seed: int) -> np.ndarray:
  """Fine spots on cheeks and nose, some on the forehead."""
  sunny = at.around((34, -30, -8), (20, 14)) + at.around((0, -25, 15), (14, 14))
  sunny = np.minimum(sunny + 0.35 * smoothstep(16, 30, at.uv[:, 1]), 1.0)
  return sunny * _spots(at, seed, *_SPOTTED["freckles"])


def moles(at: color_masks.Places, seed: int) -> np.ndarray:
  """A few dark spots anywhere on the face, one vertex each."""
  face = smoothstep(75, 62, np.hypot(at.uv[:, 0], at.uv[:, 1] + 15))
  return face * _spots(at, seed, *_SPOTTED["moles"])


def _spots(at, seed, share, spread):
  random = np.random.default_rng(seed)
  here = random.uniform(size=len(at.uv)) < share
  strength = np.exp(spread * random.normal(size=len(at.uv)) - 0.5 * spread)
  return at.skin * here * np.minimum(strength, 2.0)


def mottling(points, count: int, seed: int = 11) -> np.ndarray:
  """[V, count] smooth random fields of unit size, from coarse to fine."""
  random = np.random.default_rng(seed)
  fields = []
  for length in np.geomspace(14, 3.5, count):
    wave = random.normal(size=(30, 3)) / length
    phase = random.uniform(0, 2 * np.pi, 30)
    fields.append(np.cos(points @ wave.T + phase).sum(axis=1) / np.sqrt(15))
  return np.stack(fields, axis=1)
