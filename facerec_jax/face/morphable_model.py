"""The 3D morphable model: a code's coefficients -> vertices and albedo.

Every face model on disk (`facerec_jax.model_files`) becomes this one immutable
pytree, in one frame and one unit; nothing downstream asks which one it was.
"""

from __future__ import annotations

from flax import struct
import jax
import jax.numpy as jnp
import numpy as np

from facerec_jax.face import incidence as incidence_lib
from facerec_jax.face import model_arrays

EXPRESSION_KINDS = ("gaussian", "blendshape")

# mm around the tip of the nose.
FACE_RADIUS = 95.0


@struct.dataclass
class MorphableModel:
  """A linear model of face shape and colour.

  Attributes:
    mean: [V, 3] mm, neutral mean face, origin at the sellion.
    identity: [V, 3, Ki] mm per standard deviation.
    expression: [V, 3, Ke] mm per standard deviation, or per blendshape weight.
    albedo_mean: [V, 3] linear RGB.
    albedo: [V, 3, Ka] linear RGB per standard deviation.
    occlusion: [V] share of the sky that a vertex sees, multiplies the shading.
    triangles: [T, 3] int32, counter-clockwise seen from outside.
    incidence: the triangles around each vertex, for normals.
    landmarks: [68] int32, vertices of the iBUG points.
    region: [V] int32, index into `region_names`.
    uv: [V, 2] texture coordinates in [0, 1], v up, or None.
    name: of the model.
    region_names: of the parts, such as "skin", "left_eye".
    identity_names: Ki names, or empty.
    expression_names: Ke names, or empty.
    expression_kind: "gaussian" (standard deviations) or "blendshape" ([0, 1]).
  """

  mean: jax.Array
  identity: jax.Array
  expression: jax.Array
  albedo_mean: jax.Array
  albedo: jax.Array
  occlusion: jax.Array
  triangles: jax.Array
  incidence: incidence_lib.Incidence
  landmarks: jax.Array
  region: jax.Array
  uv: jax.Array | None = None
  name: str = struct.field(pytree_node=False, default="")
  region_names: tuple[str, ...] = struct.field(
    pytree_node=False, default=("skin",)
  )
  identity_names: tuple[str, ...] = struct.field(pytree_node=False, default=())
  expression_names: tuple[str, ...] = struct.field(
    pytree_node=False, default=()
  )
  expression_kind: str = struct.field(pytree_node=False, default="gaussian")

  @property
  def num_vertices(self) -> int:
    """V."""
    return self.mean.shape[0]

  @property
  def num_triangles(self) -> int:
    """T."""
    return self.triangles.shape[0]


def create(
  *,
  mean,
  identity,
  expression,
  albedo_mean,
  albedo,
  triangles,
  landmarks,
  occlusion=None,
  region=None,
  uv=None,
  **names,
) -> MorphableModel:
  """Builds a checked model from arrays (shapes as in `MorphableModel`).

  Args:
    mean: [V, 3].
    identity: [V, 3, Ki].
    expression: [V, 3, Ke].
    albedo_mean: [V, 3].
    albedo: [V, 3, Ka].
    triangles: [T, 3] integers.
    landmarks: [68] integers.
    occlusion: [V], or None for 1 everywhere.
    region: [V] integers, or None for one region.
    uv: [V, 2] or None.
    **names: the static fields of `MorphableModel`.

  Returns:
    The model, float32 and int32.

  Raises:
    ValueError: a shape does not fit, an index is out of range, a value is not
      finite, or a name list has the wrong length.
  """
  mean = np.asarray(mean, np.float32)
  num = mean.shape[0]
  floats = {
    "mean": (mean, (num, 3)),
    "identity": (identity, (num, 3, -1)),
    "expression": (expression, (num, 3, -1)),
    "albedo_mean": (albedo_mean, (num, 3)),
    "albedo": (albedo, (num, 3, -1)),
    "occlusion": (np.ones(num) if occlusion is None else occlusion, (num,)),
  }
  if uv is not None:
    floats["uv"] = (uv, (num, 2))
  fields = {k: model_arrays.floats(k, *v) for k, v in floats.items()}
  fields["triangles"] = model_arrays.indices(
    "triangles", triangles, (-1, 3), num
  )
  fields["landmarks"] = model_arrays.indices("landmarks", landmarks, (68,), num)
  model = MorphableModel(
    **fields,
    incidence=incidence_lib.vertex_incidence(
      fields["triangles"], num, model_arrays.first_copies(fields)
    ),
    region=np.zeros(num, np.int32),
    **names,
  )
  if region is not None:
    region = model_arrays.indices(
      "region", region, (num,), len(model.region_names)
    )
    model = model.replace(region=region)
  _check_names(model)
  # Unlike jnp.asarray this compiles nothing.
  return jax.device_put(model)


def _check_names(model):
  for names, basis in (
    ("identity_names", model.identity),
    ("expression_names", model.expression),
  ):
    got, wanted = len(getattr(model, names)), basis.shape[-1]
    if got not in (0, wanted):
      raise ValueError(
        f"morphable model: {got} {names} for {wanted} basis columns"
      )
  if model.expression_kind not in EXPRESSION_KINDS:
    raise ValueError(
      f"morphable model: expression_kind {model.expression_kind!r} is none of "
      f"{EXPRESSION_KINDS}"
    )


def vertices(model: MorphableModel, identity, expression) -> jax.Array:
  """Shape of one face in the model frame.

  Args:
    model: the morphable model.
    identity: [n <= Ki]; the first n columns of the basis are used.
    expression: [n <= Ke].

  Returns:
    [V, 3] mm.
  """
  return (
    model.mean
    + _combine(model.identity, identity)
    + _combine(model.expression, expression)
  )


def albedo(model: MorphableModel, coefficients) -> jax.Array:
  """Diffuse albedo of one face, [V, 3] linear RGB in [0, 1].

  Args:
    model: the morphable model.
    coefficients: [n <= Ka].
  """
  color = model.albedo_mean + _combine(model.albedo, coefficients)
  return jnp.clip(color, 0.0, 1.0)


def _combine(basis, coefficients):
  count = coefficients.shape[-1]
  # Sizes in full: a basis may have no columns.
  vertices, axes, columns = basis.shape
  flat = jnp.reshape(basis, (vertices * axes, columns))[:, :count]
  # The default precision of some accelerators is half of float32's digits.
  total = jnp.dot(flat, coefficients, precision=jax.lax.Precision.HIGHEST)
  # Of a batch this is [V * 3, B], and is transposed at some time. Without the
  # barrier XLA:CPU lets the product write it transposed, at half the speed.
  total = jax.lax.optimization_barrier(total)
  return total.reshape(basis.shape[:2])


def truncate(
  model: MorphableModel,
  *,
  identity: int | None = None,
  expression: int | None = None,
  albedo: int | None = None,
) -> MorphableModel:
  """Keeps the first n coefficients of each basis (None or more: all)."""

  def cut(values, count):
    return values if count is None else values[..., :count]

  names = {
    "identity_names": model.identity_names[:identity],
    "expression_names": model.expression_names[:expression],
  }
  return model.replace(
    identity=cut(model.identity, identity),
    expression=cut(model.expression, expression),
    albedo=cut(model.albedo, albedo),
    **names,
  )


def region_vertices(model: MorphableModel, *names: str) -> np.ndarray:
  """Marks the vertices of the named regions, [V] bool.

  Raises:
    ValueError: the model has no region of that name.
  """
  marked = np.zeros(model.num_vertices, bool)
  for name in names:
    if name not in model.region_names:
      raise ValueError(
        f"region {name!r} is none of {', '.join(model.region_names)}"
      )
    marked |= np.asarray(model.region) == model.region_names.index(name)
  return marked


def face_weights(model: MorphableModel) -> jax.Array:
  """Which vertices count when faces are compared, [V], 1 or 0.

  Those within `FACE_RADIUS` of the tip of the nose of the mean face, as in the
  NoW benchmark (Sanyal et al. 2019), without the inside of the mouth: ears,
  cranium and neck differ between people but hardly show.
  """
  tip = model.mean[model.landmarks[30]]
  near = jnp.linalg.norm(model.mean - tip, axis=-1) < FACE_RADIUS
  inside = [
    index
    for index, name in enumerate(model.region_names)
    if name in ("mouth_interior", "teeth")
  ]
  hidden = jnp.isin(model.region, jnp.asarray(inside, jnp.int32))
  return (near & ~hidden).astype(model.mean.dtype)


def restrict(model: MorphableModel, vertex_indices) -> MorphableModel:
  """A model of some vertices only, without triangles.

  Cheap to evaluate where only landmarks or a few samples are needed.

  Args:
    model: the morphable model.
    vertex_indices: [n] integers; the landmarks become 0..67 if these are the
      model's landmarks, in order, and are otherwise meaningless.

  Returns:
    A model with V = n, T = 0.
  """
  index = jnp.asarray(vertex_indices)
  per_vertex = (
    "mean",
    "identity",
    "expression",
    "albedo_mean",
    "albedo",
    "occlusion",
    "region",
  )
  return model.replace(
    **{name: getattr(model, name)[index] for name in per_vertex},
    triangles=jnp.zeros((0, 3), jnp.int32),
    incidence=incidence_lib.Incidence(
      corners=jnp.zeros((index.shape[0], 1), jnp.int32),
      hubs=jnp.zeros(0, jnp.int32),
      hub_corners=jnp.zeros((0, 1), jnp.int32),
    ),
    landmarks=jnp.arange(min(68, index.shape[0]), dtype=jnp.int32),
    uv=None if model.uv is None else model.uv[index],
  )
