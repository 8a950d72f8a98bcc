"""Values at vertices -> values at pixels, and all derivatives of that.

Interpolation is one trilinear form of x [R, V] (at vertices), w [3, P]
(barycentric weights) and y [R, P] (at pixels),

  sum over r, k, p of  y[r, p] * w[k, p] * x[r, index[k, p]].

Its derivative by y interpolates, by x adds pixels up at vertices, by w compares
corners: autodiff in any mode and to any order only exchanges these roles. On
CPUs each is a loop over r of gathers or scatters of single numbers that stores
nothing larger than its result; on accelerators it is one gather or scatter. All
arrays may have leading batch axes.
"""

from __future__ import annotations

import functools

import jax
from jax.extend import core
from jax.interpreters import ad
from jax.interpreters import batching
from jax.interpreters import mlir
import jax.numpy as jnp

from facerec_jax.render import batch_loops
from facerec_jax.render import linear_maps


def interpolate(x, weights, index) -> jax.Array:
  """Weighted sums of three columns: sum over k of w[k, p] x[:, index[k, p]].

  Args:
    x: [R, V].
    weights: [3, P].
    index: [3, P] integers, not negative; V or more reads 0.

  Returns:
    [R, P].
  """
  return _form_p.bind(x, weights, index, wanted="y", size=x.shape[1])


def visible_corners(triangles, ids, num_vertices: int) -> jax.Array:
  """Vertices of the triangle at each pixel.

  Args:
    triangles: [T, 3], T > 0.
    ids: [H, W] triangle indices, -1 where there is none.
    num_vertices: V.

  Returns:
    [3, H * W] vertex indices, V where there is none.
  """
  ids = ids.reshape(-1)
  shown = jnp.maximum(ids, 0)
  return jnp.stack(
    [jnp.where(ids >= 0, t[shown], num_vertices) for t in triangles.T]
  )


def perspective_weights(screen, index, shape: tuple[int, int]) -> jax.Array:
  """Perspective-correct barycentric coordinates of pixel centres.

  Proportional to area opposite a corner / depth of the corner (Heckbert &
  Moreton 1991, "Interpolation for polygon texture mapping and shading").

  Args:
    screen: [3, V] columns px, rows px, depths mm.
    index: [3, H * W] of `visible_corners`.
    shape: H and W.

  Returns:
    [3, H * W], sum 1; 0 where there is no triangle, or one without area.
  """
  height, width = shape
  column = jnp.tile(jnp.arange(width) + 0.5, height)
  row = jnp.repeat(jnp.arange(height) + 0.5, width)
  shown = index < screen.shape[1]
  corners = linear_maps.take(screen, index.reshape(-1)).reshape(3, 3, -1)
  x = [corners[0, k] - column for k in range(3)]
  y = [corners[1, k] - row for k in range(3)]
  z = [jnp.where(shown[k], corners[2, k], 1.0) for k in range(3)]
  areas = [
    (x[j] * y[k] - y[j] * x[k]) / z[i]
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1))
  ]
  total = sum(areas)
  valid = shown[0] & (total != 0)
  scale = jnp.where(valid, 1.0 / jnp.where(valid, total, 1.0), 0.0)
  return jnp.stack([area * scale for area in areas])


# The form's arguments without the one that it is the derivative by.
_ROLES = {"y": ("x", "w"), "x": ("w", "y"), "w": ("x", "y")}
_form_p = core.Primitive("facerec_interpolation")


def _evaluate(first, second, index, *, wanted, size):
  """The form's derivative by the role `wanted`, as a function of the others."""
  run = functools.partial(_DERIVATIVES[wanted], size=size)
  for _ in range(index.ndim - 2):
    run = batch_loops.over_members(run)
  return run(first, second, index)


def _at_pixels(x, w, index, *, size):
  del size

  def mix(row, w, index):
    return sum(w[k] * _gather(row, index[k]) for k in range(3))

  return _over_rows(mix, x, w, index)


def _at_vertices(w, y, index, *, size):
  def add(pixels, w, index):
    values = (w * pixels).reshape(-1)
    # Background drops out: thousands of zeros for one vertex cost time too.
    total = jnp.zeros(size, values.dtype).at[index.reshape(-1)]
    return total.add(values, mode="drop", wrap_negative_indices=False)

  return _over_rows(add, y, w, index)


def _over_rows(function, rows, w, index):
  """function(row, w, index) of all rows: a loop on CPUs, else all at once."""

  def loop(rows, *constants):
    def one(carry, row):
      # What a loop merely closes over, XLA:CPU evaluates again in each step.
      return carry, function(row, *carry)

    return jax.lax.scan(one, constants, rows)[1]

  together = jax.vmap(function, (0, None, None))
  return jax.lax.platform_dependent(rows, w, index, cpu=loop, default=together)


def _at_corners(x, y, index, *, size):
  del size

  def loop(x, y, index):
    def one(carry, rows):
      total, index = carry
      row, pixels = rows
      return (total + pixels * _gather(row, index), index), None

    total = jnp.zeros(index.shape, x.dtype)
    return jax.lax.scan(one, (total, index), (x, y))[0][0]

  def together(x, y, index):
    return sum(p * _gather(row, index) for row, p in zip(x, y, strict=True))

  return jax.lax.platform_dependent(x, y, index, cpu=loop, default=together)


_DERIVATIVES = {"y": _at_pixels, "x": _at_vertices, "w": _at_corners}


def _gather(row, index):
  return row.at[index].get(
    mode="fill", fill_value=0, wrap_negative_indices=False
  )


def _abstract(first, second, index, *, wanted, size):
  shape = {
    "y": (*first.shape[:-1], index.shape[-1]),
    "x": (*second.shape[:-1], size),
    "w": index.shape,
  }[wanted]
  return jax.core.ShapedArray(shape, first.dtype)


def _jvp(primals, tangents, **params):
  first, second, index = primals
  total = None
  for place, tangent in enumerate(tangents[:2]):
    if isinstance(tangent, ad.Zero):
      continue
    args = (tangent, second) if place == 0 else (first, tangent)
    term = _form_p.bind(*args, index, **params)
    total = term if total is None else total + term
  out = _form_p.bind(*primals, **params)
  return out, ad.Zero.from_primal_value(out) if total is None else total


def _transpose(cotangent, first, second, index, *, wanted, size):
  place = 0 if ad.is_undefined_primal(first) else 1
  known = (first, second)[1 - place]
  roles = _ROLES[wanted]
  arrays = {wanted: cotangent, roles[1 - place]: known}
  args = [arrays[role] for role in _ROLES[roles[place]]]
  back = _form_p.bind(*args, index, wanted=roles[place], size=size)
  return [back, None, None] if place == 0 else [None, back, None]


def _batch(args, axes, **params):
  return _form_p.bind(*batch_loops.align_batch(args, axes), **params), 0


_form_p.def_impl(jax.jit(_evaluate, static_argnames=("wanted", "size")))
_form_p.def_abstract_eval(_abstract)
ad.primitive_jvps[_form_p] = _jvp
ad.primitive_transposes[_form_p] = _transpose
batching.primitive_batchers[_form_p] = _batch
mlir.register_lowering(
  _form_p, mlir.lower_fun(_evaluate, multiple_results=False)
)
