"""A face as a mesh with sliders for its expressions."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from facerec_jax.face import code_vector
from facerec_jax.face import morphable_model
from facerec_jax.render import geometry
from facerec_jax.results import atlas as atlases


@dataclasses.dataclass(frozen=True, eq=False)
class Morphs:
  """What the sliders do: vertices = rest + sum of weight * displacement.

  Attributes:
    names: n of them.
    weights: [n] of the face's own expression.
    rest: [W, 3] mm, all weights 0.
    rest_normals: [W, 3].
    displacements: [n, W, 3] mm at weight 1.
    normal_changes: [n, W, 3] of the unit normals at weight 1.
  """

  names: tuple[str, ...]
  weights: np.ndarray
  rest: np.ndarray
  rest_normals: np.ndarray
  displacements: np.ndarray
  normal_changes: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Mesh:
  """A coloured mesh.

  Attributes:
    vertices: [W, 3] mm.
    triangles: [T, 3] integers, counter-clockwise seen from outside.
    colors: [W, 3] linear RGB in [0, 1], the albedo.
    normals: [W, 3], or None for those of the triangles.
    part: [T] index into `atlas.PARTS`, or None for skin.
    uv: [W, 2] texture coordinates, v up, or None.
    texture: [S, S, 3] uint8 sRGB, first row v = 1, or None.
    morphs: sliders, or None.

  Raises:
    ValueError: shapes that do not fit.
  """

  vertices: np.ndarray
  triangles: np.ndarray
  colors: np.ndarray
  normals: np.ndarray | None = None
  part: np.ndarray | None = None
  uv: np.ndarray | None = None
  texture: np.ndarray | None = None
  morphs: Morphs | None = None

  def __post_init__(self):
    shape = np.shape(self.vertices)
    if len(shape) != 2 or shape[1] != 3:
      raise ValueError(f"mesh: got vertices {shape}, wanted (V, 3)")
    for name, value, wanted in (
      ("colors", self.colors, shape),
      ("normals", self.normals, shape),
      ("uv", self.uv, (shape[0], 2)),
    ):
      if value is not None and np.shape(value) != wanted:
        raise ValueError(
          f"mesh: got {name} {np.shape(value)}, wanted {wanted} as vertices"
        )
    if self.texture is not None and self.uv is None:
      raise ValueError("mesh: got a texture without uv, wanted both")


def of_face(
  model: morphable_model.MorphableModel,
  atlas: atlases.Atlas,
  code: code_vector.CodeVector,
  texture: np.ndarray | None = None,
) -> Mesh:
  """The mesh of a face, upright in the model's frame.

  Args:
    model: the morphable model.
    atlas: of the model.
    code: of the face; its pose and light do not matter.
    texture: [S, S, 3] uint8 sRGB on the atlas, or None.

  Returns:
    The mesh, with a slider for each named expression of the model; of unnamed
    ones for those that the code has.
  """
  count = len(model.expression_names) or len(code.expression)
  few = morphable_model.truncate(model, expression=count)
  shape = jax.tree.map(np.asarray, _shape(few, code))
  vertices, normals, albedo, rest, rest_normals, moves, turns = shape
  weights = np.zeros(count)
  weights[: len(code.expression)] = code.expression
  at = atlas.source
  names = model.expression_names or [f"expression_{k}" for k in range(count)]
  morphs = Morphs(
    names=tuple(names),
    weights=weights,
    rest=rest[at],
    rest_normals=rest_normals[at],
    displacements=moves[:, at],
    normal_changes=turns[:, at],
  )
  return Mesh(
    vertices=vertices[at],
    triangles=atlas.triangles,
    colors=albedo[at],
    normals=normals[at],
    part=atlas.part,
    uv=atlas.uv,
    texture=texture,
    morphs=morphs,
  )


@jax.jit
def _shape(model, code):
  def normals(points):
    return geometry.vertex_normals(points, model.triangles, model.incidence)

  neutral = jnp.zeros_like(code.expression)
  rest = morphable_model.vertices(model, code.identity, neutral)
  rest_normals = normals(rest)
  moves = jnp.moveaxis(model.expression, -1, 0)
  turns = jax.lax.map(lambda move: normals(rest + move), moves) - rest_normals
  # What does not move does not turn; rounding would fill the file.
  turns = jnp.where(jnp.abs(turns) > 1e-4, turns, 0.0)
  vertices = morphable_model.vertices(model, code.identity, code.expression)
  albedo = morphable_model.albedo(model, code.albedo)
  return vertices, normals(vertices), albedo, rest, rest_normals, moves, turns
