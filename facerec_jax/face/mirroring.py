"""The code of a mirrored face: what a flipped image shows.

Pose and light are mirrored exactly. Coefficients are mirrored by the matrix
that reproduces the reflected basis best; for a model that is symmetric, with
modes that are symmetric, antisymmetric or in left-right pairs, that is exact
too.
"""

from __future__ import annotations

from flax import struct
import jax
import jax.numpy as jnp
import numpy as np

from facerec_jax.face import code_vector
from facerec_jax.face import morphable_model

# Vertices that the matrices are fitted on, at most.
_SAMPLES = 2500
# mm: nearer vertices are told apart by nothing but their movement.
_APART = 1e-3
# Directions of a basis weaker than this share of the strongest are dropped.
_WEAK = 1e-6
# The harmonics that are odd in x: x, x y, x z.
_ODD_HARMONICS = (3, 4, 7)


@struct.dataclass
class Mirror:
  """How coefficients change when a face is reflected in x = 0.

  Attributes:
    identity: [Ki, Ki], acts on columns.
    identity_offset: [Ki], for a mean face that is not symmetric.
    expression: [Ke, Ke].
    albedo: [Ka, Ka].
    albedo_offset: [Ka].
  """

  identity: jax.Array
  identity_offset: jax.Array
  expression: jax.Array
  albedo: jax.Array
  albedo_offset: jax.Array


def create(model: morphable_model.MorphableModel) -> Mirror:
  """Measures the mirror of a model; on the host, once."""
  index, partner = _partners(model)
  side = np.array([-1.0, 1.0, 1.0])

  def reflected(values, axes):
    values = np.asarray(values, np.float64)
    there = values[partner] * axes.reshape(3, *[1] * (values.ndim - 2))
    return values[index].reshape(3 * len(index), -1), there.reshape(
      3 * len(index), -1
    )

  def fit(mean, basis, axes):
    columns, wanted = reflected(basis, axes)
    here, there = reflected(mean, axes)
    solution = np.linalg.lstsq(
      columns, np.concatenate([wanted, there - here], axis=1), rcond=_WEAK
    )[0]
    return map(jnp.float32, (solution[:, :-1], solution[:, -1]))

  identity, identity_offset = fit(model.mean, model.identity, side)
  expression, _ = fit(model.mean, model.expression, side)
  albedo, albedo_offset = fit(model.albedo_mean, model.albedo, np.ones(3))
  return Mirror(identity, identity_offset, expression, albedo, albedo_offset)


def _partners(model):
  """Some vertices, and the vertex where each one's reflection lies.

  Where several lie at one place, as lips do that touch, nobody knows which is
  meant: these are left out.
  """
  mean = np.asarray(model.mean, np.float32)
  # Of the whole head: on the face alone, modes of the head are hardly apart.
  index = np.arange(0, len(mean), -(-len(mean) // _SAMPLES))
  partner, alone = [], []
  for point in mean[index] * np.float32([-1, 1, 1]):
    square = np.square(mean - point).sum(axis=1)
    nearest = square.argmin()
    partner.append(nearest)
    distance = np.square(mean - mean[nearest]).sum(axis=1)
    alone.append((distance < _APART**2).sum() == 1)
  return index[alone], np.array(partner)[alone]


def mirror_code(
  mirror: Mirror, code: code_vector.CodeVector
) -> code_vector.CodeVector:
  """The code of the mirrored image, in the same centred camera.

  Args:
    mirror: of the model, with as many coefficients as the code.
    code: leading axes, if any, are batch axes.

  Returns:
    The code; that of the mirrored image of it is the first one again.
  """
  odd = jnp.ones(9).at[jnp.array(_ODD_HARMONICS)].set(-1.0)
  highest = jax.lax.Precision.HIGHEST

  def apply(matrix, values):
    return jnp.einsum("ij,...j->...i", matrix, values, precision=highest)

  return code_vector.CodeVector(
    identity=apply(mirror.identity, code.identity) + mirror.identity_offset,
    expression=apply(mirror.expression, code.expression),
    albedo=apply(mirror.albedo, code.albedo) + mirror.albedo_offset,
    # Pitch stays; yaw and roll turn the other way.
    rotation=code.rotation * jnp.array([1.0, -1.0, -1.0]),
    translation=code.translation * jnp.array([-1.0, 1.0, 1.0]),
    illumination=code.illumination * odd[:, None],
  )
