"""How people differ: named anthropometric modes, then smooth residual ones.

A mode is a displacement, mm per standard deviation. The named ones
(`identity_modes`) are calibrated on the measures that they are named for; the
residual ones (`identity_smooth`) leave these measures alone. The first
`NUM_FACE` modes are those of the face; cranium, ears, asymmetry and the finest
residual modes follow.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from facerec_jax.model_files.builtin import chart
from facerec_jax.model_files.builtin import eyes
from facerec_jax.model_files.builtin import identity_fields
from facerec_jax.model_files.builtin import identity_modes
from facerec_jax.model_files.builtin import identity_smooth

# The named modes of the face and the leading smooth ones.
NUM_FACE = 80
NUM_FINE = 20  # smooth ones beyond them
# Expected rms of the smooth modes over the face, mm. Scanned people keep 0.8 to
# 1.0 when their named measures are known; somewhat more, because details of
# shape are where random people still differ less than those on photographs.
SMOOTH_RMS = 1.2
# Their sizes fall more slowly than the process has them: to this power, as in
# fits of scanned faces.
_SIZE_POWER = 0.4
# Fluctuating asymmetry: rms difference of a landmark from its mirrored partner
# in the population (normal adults: 0.6-1.0 mm, chin up to 2), mm.
ASYMMETRY_RMS = 0.85

_BEHIND_REACH = 5.0  # mm across the face that teeth follow the skin over

# Smooth shifts of one side against the other: centre, direction.
_ASYMMETRIES = {
  "asymmetry_chin": ((0, -100, 0), (1.0, 0.3, 0)),
  "asymmetry_jaw": ((45, -80, -30), (0.5, 0.8, 0.3)),
  "asymmetry_cheeks": ((45, -20, -20), (0.3, 0.7, 0.5)),
  "asymmetry_brows": ((25, 15, 0), (0.2, 0.9, 0.2)),
  "asymmetry_nose": ((0, -35, 20), (1.0, 0.2, 0)),
  "asymmetry_mouth": ((20, -70, 3), (0.2, 0.8, 0.2)),
}


def basis(sculpture) -> tuple[np.ndarray, tuple[str, ...]]:
  """All modes on the whole model.

  Returns:
    ([V, 3, K] mm per standard deviation, K names).
  """
  named = identity_modes.named_modes(sculpture)
  smooth = _smooth(sculpture, named)
  count = NUM_FACE - len(named.face)
  modes = {
    **named.face,
    **dict(list(smooth.items())[:count]),
    **named.head,
    **_asymmetry(sculpture),
    **dict(list(smooth.items())[count:]),
  }
  fields = np.stack(list(modes.values()), axis=-1)
  return _keep_behind_lips(sculpture, fields), tuple(modes)


def _keep_behind_lips(sculpture, fields):
  """Teeth and the mouth's pocket move with the skin before them, [V, 3, K]."""
  near = np.flatnonzero(
    (np.abs(sculpture.head[:, 0]) < 45)
    & (np.abs(sculpture.head[:, 1] + 71) < 32)
    & (sculpture.head[:, 2] > -45)
  )
  skin = sculpture.head[near]
  fields = fields.copy()
  for part, where in zip(sculpture.parts, sculpture.part_slices, strict=True):
    if part.name not in ("teeth", "mouth_interior"):
      continue
    offset = part.points[:, None, :2] - skin[None, :, :2]
    weight = np.exp(-0.5 * (offset**2).sum(-1) / _BEHIND_REACH**2)
    weight /= weight.sum(axis=1, keepdims=True)
    spread = np.tensordot(weight, fields[near], axes=1)
    # At the seam the pocket is joined to the lips.
    depth = cKDTree(sculpture.head[sculpture.mesh.seam]).query(part.points)[0]
    share = chart.smoothstep(3.0, 7.0, depth)[:, None, None]
    fields[where] += share * (spread - fields[where])
  return fields


def face_region(points) -> np.ndarray:
  """[n] bool: forehead to chin, ear to ear; where people are compared."""
  return (points[:, 2] > -62) & (points[:, 1] > -114) & (points[:, 1] < 45)


def _rigid_motions(points):
  """[n, 3, 6] translations and infinitesimal rotations."""
  axes = np.eye(3)
  moved = np.broadcast_to(axes.T, (len(points), 3, 3))
  turned = np.stack([np.cross(axis, points) for axis in axes], axis=-1)
  return np.concatenate([moved, turned], axis=-1)


def _smooth(sculpture, named):
  """The smooth modes by name, in the order of their size."""
  others = [*named.face.values(), *named.head.values()]
  others = np.stack(others, axis=-1)
  rigid = _rigid_motions(sculpture.points)
  region = np.flatnonzero(face_region(sculpture.head))
  modes = identity_smooth.smooth_modes(
    sculpture,
    np.concatenate([others, rigid], axis=-1),
    named.changes,
    region,
    NUM_FACE - len(named.face) + NUM_FINE,
  )
  size = np.sqrt((modes[region] ** 2).sum(axis=1).mean(axis=0))
  wanted = size**_SIZE_POWER
  modes = modes * (SMOOTH_RMS * wanted / np.linalg.norm(wanted) / size)
  return {f"smooth_{k:02d}": modes[..., k] for k in range(modes.shape[-1])}


def _asymmetry(sculpture):
  """Fluctuating asymmetry by name; the sides move against each other."""
  skin = identity_fields.skin_of(sculpture)
  mesh = sculpture.mesh
  modes = {}
  for name, (center, direction) in _ASYMMETRIES.items():
    field = identity_fields.asymmetry(skin, center, direction)
    field = eyes.follow_lids(field, sculpture.head, mesh)
    field = 0.5 * (field - field[mesh.mirror] * [-1, 1, 1])
    modes[name] = sculpture.carry(field)
  # Antisymmetric: partners differ by twice their own displacement.
  marks = [mode[sculpture.landmarks] for mode in modes.values()]
  size = 2 * np.sqrt((np.stack(marks) ** 2).sum(axis=(0, 2)).mean())
  return {name: m * (ASYMMETRY_RMS / size) for name, m in modes.items()}
