"""Colour of skin from its two pigments, melanin and haemoglobin."""

from __future__ import annotations

import numpy as np

# Cubic fit of ln(linear RGB albedo) to a two-layer Kubelka-Munk model (Jacques'
# and Prahl's absorption, D65, CIE 1931): rows 1, m, h, m2, mh, h2, m3, m2h,
# mh2, h3 with m = ln(melanin / 0.03), h = sqrt(blood / 0.02) - 1.
_COEFFICIENTS = np.array(
  [
    [0.9209, 1.5171, 1.9526],
    [0.2796, 0.4559, 0.6882],
    [0.2376, 0.5561, 0.3415],
    [0.1511, 0.1784, 0.1843],
    [-0.0270, -0.0996, -0.1390],
    [0.0034, -0.0834, -0.0835],
    [0.0402, 0.0128, -0.0218],
    [-0.0127, -0.0350, -0.0102],
    [0.0017, 0.0195, 0.0370],
    [-0.0083, -0.0109, 0.0044],
  ]
)
MELANIN_RANGE = (0.004, 0.43)
BLOOD_RANGE = (0.003, 0.085)


def skin_color(melanin, blood) -> np.ndarray:
  """Diffuse albedo of skin.

  Args:
    melanin: [...] effective volume fraction of melanosomes in the epidermis.
    blood: [...] volume fraction of blood in the dermis.

  Returns:
    [..., 3] linear sRGB.
  """
  m = np.log(np.clip(melanin, *MELANIN_RANGE) / 0.03)
  h = np.sqrt(np.clip(blood, *BLOOD_RANGE) / 0.02) - 1.0
  m, h = np.broadcast_arrays(m, h)
  terms = np.stack(
    [
      np.ones_like(m),
      m,
      h,
      m * m,
      m * h,
      h * h,
      m**3,
      m * m * h,
      m * h * h,
      h**3,
    ],
    axis=-1,
  )
  return np.exp(-terms @ _COEFFICIENTS)
