"""Is the mesh sound: no hole, no gap, no fold, nothing through itself?

Needs no data. Holes are looked for in renders, the rest on the mesh: at the
mean, at every expression at full weight, at +-2.5 standard deviations of every
identity mode.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from scipy import ndimage

from facerec_jax.face import morphable_model
from facerec_jax.render import geometry
from facerec_jax.render import rasterizer
from judges import goals
from judges import intersections
from judges import openings

GOALS = {
  "hole_pixels": goals.at_most(0),
  "closed_eyes_gap": goals.at_most(0.2),
  "lips_gap_mean": goals.at_most(0.2),
  "lips_gap_modes": goals.at_most(0.2),
  "self_intersections_mean": goals.at_most(0),
  "self_intersections_modes_most": goals.at_most(0),
}
SIZE = 512
YAWS = (-35.0, 0.0, 35.0)  # degrees
AMOUNT = 2.5  # standard deviations of an identity mode
COMBINATIONS = (
  ("AU12", "AU25"),
  ("AU12", "AU26"),
  ("AU12", "AU27"),
  ("AU06", "AU12", "AU43"),
  ("AU20", "AU25"),
  ("AU27", "AU43"),
)
_TURNED = ("AU18", "AU27", "AU28")
_SKIN = ("skin", "lips", "lid_margin")
_OUTSIDE = ("skin", "lips", "neck", "ears")
_TRANSLATION = (0.0, 35.0, -680.0)  # mm
_BATCH = 12


def expression_shapes(model) -> dict[str, np.ndarray]:
  """[V, 3] by name: each action unit at weight 1, sides alone and together."""
  mean, columns = np.asarray(model.mean), np.asarray(model.expression)
  units = [name.split("_")[0] for name in model.expression_names]
  shapes = {"neutral": mean}
  for index, name in enumerate(model.expression_names):
    shapes[name] = mean + columns[..., index]

  def together(*wanted):
    return mean + columns[..., np.isin(units, wanted)].sum(axis=-1)

  shapes |= {unit: together(unit) for unit in units}
  known = [c for c in COMBINATIONS if set(c) <= set(units)]
  return shapes | {"+".join(c): together(*c) for c in known}


def mode_shapes(model) -> dict[str, np.ndarray]:
  """[V, 3] by name: each identity mode at +-`AMOUNT`."""
  mean, modes = np.asarray(model.mean), np.asarray(model.identity)
  count = modes.shape[-1]
  names = model.identity_names or [str(k) for k in range(count)]
  return {
    f"{name}{sign:+g}": mean + sign * modes[..., index]
    for index, name in enumerate(names)
    for sign in (-AMOUNT, AMOUNT)
  }


def hole_pixels(shapes, triangles) -> dict[str, int]:
  """Background pixels inside the outline, summed over the views, by shape."""

  @jax.jit
  def cover(points, yaw, triangles):
    def one(points):
      turned = geometry.to_camera(
        points, jnp.stack([0.0, yaw, 0.0]), jnp.array(_TRANSLATION)
      )
      camera = geometry.reference_camera(SIZE)
      screen = jnp.concatenate(
        [geometry.project(camera, turned), -turned[:, 2:]], axis=1
      )
      ids = rasterizer.rasterize(screen, triangles, height=SIZE, width=SIZE)
      return ids >= 0

    return jax.vmap(one)(points)

  names, found = list(shapes), dict.fromkeys(shapes, 0)
  for first in range(0, len(names), _BATCH):
    part = names[first : first + _BATCH]
    # The last batch is filled up: one compiled program serves all.
    filled = part + part[:1] * (_BATCH - len(part))
    points = np.stack([shapes[name] for name in filled]).astype(np.float32)
    for yaw in np.deg2rad(YAWS):
      masks = np.asarray(cover(points, jnp.float32(yaw), triangles))
      for name, mask in zip(part, masks, strict=False):
        found[name] += holes(mask)
  return found


def holes(mask) -> int:
  """Pixels of the background that do not connect to the image's border."""
  # A frame of background: what the border cuts off is not inside.
  framed = np.pad(mask, 1)
  return int((ndimage.binary_fill_holes(framed) & ~framed).sum())


def _loops(model, behind):
  """Loops of the skin around a region, largest first; none without it."""
  if behind not in model.region_names:
    return []
  skin = [
    n for n in ("skin", "lips", "neck", "ears") if n in model.region_names
  ]
  loops = openings.opening_loops(
    np.asarray(model.triangles),
    morphable_model.region_vertices(model, *skin),
    np.asarray(model.region),
    model.region_names.index(behind),
  )
  return sorted(loops, key=len, reverse=True)


def judge(model):
  """All numbers of this judge.

  Returns:
    (numbers by name, lines that name what is worst).
  """
  expressions, modes = expression_shapes(model), mode_shapes(model)
  everything = expressions | modes
  leaks = hole_pixels(everything, np.asarray(model.triangles))
  numbers = {
    "hole_pixels": float(sum(leaks.values())),
    "shapes_with_holes": float(sum(n > 0 for n in leaks.values())),
  }
  notes = [_worst("hole pixels", leaks)]
  for found, line in (
    _gaps(model, expressions, modes),
    _turned_triangles(model, expressions),
    _intersections(model, modes),
  ):
    numbers |= found
    notes += line
  return numbers, notes


def _gaps(model, expressions, modes):
  numbers, notes, mean = {}, [], np.asarray(model.mean)
  lids, mouth = _loops(model, "lid_margin")[:2], _loops(model, "mouth_interior")
  if lids and "AU43" in expressions:
    numbers["closed_eyes_gap"] = max(
      openings.gap(expressions["AU43"], loop, mean) for loop in lids
    )
  if mouth:
    gaps = {k: openings.gap(v, mouth[0], mean) for k, v in modes.items()}
    numbers["lips_gap_mean"] = openings.gap(mean, mouth[0], mean)
    numbers["lips_gap_modes"] = max(gaps.values())
    notes.append(_worst("gap of the lips, mm", gaps))
  return numbers, notes


def _turned_triangles(model, expressions):
  triangles = _skin_triangles(model)
  mean = np.asarray(model.mean)
  turned = {
    name: int(openings.turned_triangles(mean, shape, triangles).sum())
    for name, shape in expressions.items()
  }
  numbers = {f"turned_{k}": float(turned[k]) for k in _TURNED if k in turned}
  numbers["turned_most"] = float(max(turned.values()))
  return numbers, [_worst("turned triangles", turned)]


def _intersections(model, modes):
  triangles = _skin_triangles(model)
  cut = {
    name: len(intersections.self_intersections(shape, triangles))
    for name, shape in modes.items()
  }
  mean = intersections.self_intersections(np.asarray(model.mean), triangles)
  return {
    "self_intersections_mean": float(len(mean)),
    "self_intersections_modes_mean": float(np.mean(list(cut.values()))),
    "self_intersections_modes_most": float(max(cut.values())),
  }, [_worst("self-intersections", cut)]


def _skin_triangles(model):
  skin = [name for name in _SKIN if name in model.region_names]
  marked = morphable_model.region_vertices(model, *skin)
  triangles = np.asarray(model.triangles)
  return triangles[marked[triangles].all(axis=1)]


def _worst(title, found, count: int = 6):
  ranked = sorted(found.items(), key=lambda item: -item[1])[:count]
  cells = ", ".join(f"{name} {value:.3g}" for name, value in ranked if value)
  return f"  most {title}: {cells or 'none'}"
