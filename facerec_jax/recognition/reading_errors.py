"""How an encoder reads expressions: what it keeps, and how far it errs."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from facerec_jax.recognition import labelled_codes

# Of the variance of the true codes: keeps columns that hardly move in bounds.
_RIDGE = 1e-3


class ReadingErrors(NamedTuple):
  """A linear encoder with Gaussian mistakes, fitted to a real one.

  An encoder that is not sure answers closer to the mean: its reading is
  read = offset + true gain + noise noise_root.

  Attributes:
    offset: [Ke].
    gain: [Ke, Ke].
    noise_root: [Ke, Ke], root' root is the covariance of the mistakes.
  """

  offset: jax.Array
  gain: jax.Array
  noise_root: jax.Array


def fit(true, read) -> ReadingErrors:
  """Fits an encoder's readings by ridge regression.

  Args:
    true: [N, Ke] expression codes of faces.
    read: [N, Ke] what the encoder read from their images.

  Returns:
    The errors.

  Raises:
    ValueError: fewer than two faces for each number of the code.
  """
  true, read = np.asarray(true, np.float64), np.asarray(read, np.float64)
  count, size = true.shape
  if count < 2 * size:
    raise ValueError(
      f"{count} faces are too few to measure how an encoder errs in {size} "
      f"expression numbers: render at least {2 * size}"
    )
  mean, read_mean = true.mean(axis=0), read.mean(axis=0)
  centered = true - mean
  covariance = centered.T @ centered / count
  ridge = _RIDGE * np.trace(covariance) / size + 1e-12
  cross = centered.T @ (read - read_mean) / count
  gain = np.linalg.solve(covariance + ridge * np.eye(size), cross)
  mistakes = read - read_mean - centered @ gain
  values, vectors = np.linalg.eigh(mistakes.T @ mistakes / count)
  root = np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T
  arrays = (read_mean - mean @ gain, gain, root)
  return ReadingErrors(*(jnp.asarray(a, jnp.float32) for a in arrays))


def imitate(
  errors: ReadingErrors, rows: labelled_codes.LabelledCodes, scale: float
) -> labelled_codes.LabelledCodes:
  """Exact codes as the encoder would read them.

  Args:
    errors: of the encoder.
    rows: exact codes.
    scale: multiplies the noise.

  Returns:
    The rows, with noise to draw around them.
  """
  return rows.replace(
    codes=errors.offset + rows.codes @ errors.gain,
    noise=jnp.full_like(rows.noise, scale),
  )
