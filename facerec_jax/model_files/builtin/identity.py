"""How people differ: named anthropometric modes, then smooth residual ones.

A mode is a displacement of the head's skin, mm per standard deviation. The
named ones (`identity_modes`) are calibrated on the measure that they are named
for; the residual ones are Gaussian processes, orthogonal to the named modes
and to rigid motion, and sized so that random people lie as far from the mean
as scanned people do.
"""

from __future__ import annotations

import numpy as np

from facerec_jax.model_files.builtin import eyes
from facerec_jax.model_files.builtin import identity_modes
from facerec_jax.model_files.builtin import mouth

NUM_SMOOTH = 40
# Distance of a random person from the mean after rigid alignment, rms mm; ICT's
# scans: 3.97 (1.23).
TOTAL_RMS = 3.8
_LEAST_SMOOTH_RMS = 1.1
# Length scales and amplitudes of the Gaussian processes, mm.
_SCALES = ((60.0, 2.0), (28.0, 1.6), (13.0, 0.7))
_SYMMETRIC_SHARE = 0.93
_SUPPORT = 320  # points of one half that the processes are solved on


def basis(sculpture) -> tuple[np.ndarray, tuple[str, ...]]:
  """All modes on the whole model.

  Returns:
    ([V, 3, K] mm per standard deviation, K names).
  """
  named = identity_modes.modes(sculpture)
  names = list(named)
  # Nobody's lips are apart at rest: both edges of the seam move as one.
  fields = mouth.meet(np.stack(list(named.values()), axis=-1), sculpture.mesh)
  face = face_region(sculpture.head)
  smooth = _smooth_modes(sculpture, fields, face)
  names += [f"smooth_{k:02d}" for k in range(smooth.shape[-1])]
  skin = np.concatenate([fields, smooth], axis=-1)
  return sculpture.carry(skin), tuple(names)


def face_region(points) -> np.ndarray:
  """[n] bool: forehead to chin, ear to ear; where people are compared."""
  return (points[:, 2] > -62) & (points[:, 1] > -114) & (points[:, 1] < 45)


def _rigid_motions(points):
  """[n, 3, 6] translations and infinitesimal rotations."""
  axes = np.eye(3)
  moved = np.broadcast_to(axes.T, (len(points), 3, 3))
  turned = np.stack([np.cross(axis, points) for axis in axes], axis=-1)
  return np.concatenate([moved, turned], axis=-1)


def _remove(modes, others, region):
  """Modes [n, 3, k] without their part in the span of others [n, 3, m]."""
  here = others[region].reshape(-1, others.shape[-1])
  target = modes[region].reshape(-1, modes.shape[-1])
  share, *_ = np.linalg.lstsq(here, target, rcond=None)
  return modes - others @ share


def _rms(modes, region):
  """Expected rms distance from the mean, N(0, 1) coefficients, mm."""
  return np.sqrt((modes[region] ** 2).sum(axis=(1, 2)).mean())


def _kernel(a, b):
  square = ((a[:, None] - b[None]) ** 2).sum(-1)
  return sum(
    size**2 * np.exp(-0.5 * square / length**2) for length, size in _SCALES
  )


def _process_modes(points, count):
  """Leading modes [n, 3, ~count] of the three components' processes.

  Nyström: eigenvectors on some support points, extended to all. Symmetric
  fields have an even y and z and an odd x.
  """
  front = np.flatnonzero(
    (points[:, 2] > -110) & (points[:, 1] > -125) & (points[:, 0] >= 0)
  )
  random = np.random.default_rng(3)
  support = points[random.choice(front, _SUPPORT, replace=False)]
  flipped = support * [-1, 1, 1]
  modes, sizes = [], []
  for component in range(3):
    for parity, share in ((1, _SYMMETRIC_SHARE), (-1, 1 - _SYMMETRIC_SHARE)):
      sign = parity * (-1 if component == 0 else 1)

      def kernel(a, sign=sign):
        return 0.5 * (_kernel(a, support) + sign * _kernel(a, flipped))

      value, vector = np.linalg.eigh(kernel(support))
      value, vector = value[::-1][:count], vector[:, ::-1][:, :count]
      keep = value > 1e-6 * value[0]
      value, vector = value[keep], vector[:, keep]
      # Eigenfunction extension, scaled to its standard deviation.
      extended = kernel(points) @ (vector / np.sqrt(value)) * np.sqrt(share)
      field = np.zeros((len(points), 3, extended.shape[1]))
      field[:, component] = extended
      modes.append(field)
      sizes.append(value * share)
  order = np.argsort(np.concatenate(sizes))[::-1]
  return np.concatenate(modes, axis=-1)[..., order[: 3 * count]]


def _smooth_modes(sculpture, named, face):
  points = sculpture.head
  raw = _process_modes(points, 2 * NUM_SMOOTH)
  raw = np.stack(
    [
      eyes.follow_lids(raw[..., k], points, sculpture.mesh)
      for k in range(raw.shape[-1])
    ],
    axis=-1,
  )
  raw = mouth.meet(raw, sculpture.mesh)
  rigid = _rigid_motions(points)
  raw = _remove(raw, np.concatenate([named, rigid], axis=-1), face)
  flat = raw[face].reshape(-1, raw.shape[-1])
  _, _, mix = np.linalg.svd(flat, full_matrices=False)
  modes = raw @ mix[:NUM_SMOOTH].T
  # A fixed sign: the largest entry is positive.
  top = np.abs(modes).reshape(-1, NUM_SMOOTH).argmax(axis=0)
  modes = modes * np.sign(
    modes.reshape(-1, NUM_SMOOTH)[top, np.arange(NUM_SMOOTH)]
  )
  have = _rms(_remove(named, rigid, face), face)
  wanted = np.sqrt(max(TOTAL_RMS**2 - have**2, _LEAST_SMOOTH_RMS**2))
  return modes * (wanted / _rms(modes, face))
