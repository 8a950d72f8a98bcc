"""What an import says of a model: sizes, modes, landmarks, colours, licence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from facerec_jax.face.morphable_model import MorphableModel
from facerec_jax.model_files import archive
from facerec_jax.model_files.formats import raw_model

# Numbers of coefficients whose share of the variance the card states.
_CODE = {"identity": 80, "expression": 64, "albedo": 80}


def variances(raw: raw_model.RawModel) -> dict[str, np.ndarray]:
  """Variance of every mode of each basis, file's order."""
  return {
    name: (getattr(raw, name).astype(np.float64) ** 2).sum(axis=(0, 1))
    for name in _CODE
  }


def lines(
  model: MorphableModel,
  provenance: archive.Provenance,
  raw: raw_model.RawModel,
  *,
  sizes: tuple[int, int],
  variances: dict[str, np.ndarray],
  facts: Sequence[tuple[str, str]],
) -> tuple[str, ...]:
  """The card of an imported model.

  Args:
    model: as it was imported.
    provenance: of it.
    raw: the same before modes were dropped and colours became linear.
    sizes: vertices and triangles in the file.
    variances: of every mode in the file, see `variances`.
    facts: (name, text) of what else was found.
  """
  rows = [
    ("model", f"{model.name} ({provenance.format})"),
    ("vertices", _changed(sizes[0], model.num_vertices)),
    ("triangles", _changed(sizes[1], model.num_triangles)),
    *((name, _modes(name, model, variances[name])) for name in _CODE),
    *facts,
    ("landmarks", _landmarks(provenance)),
    ("colour", _colour(raw)),
    ("parts", ", ".join(_present(model))),
    ("uv", "one place a vertex" if model.uv is not None else "none"),
    *(("note", note) for note in provenance.notes),
    ("licence", provenance.licence),
    ("from", provenance.link),
  ]
  return tuple(f"{name + ':':13}{text}" for name, text in rows)


def _changed(before, after):
  return str(after) if before == after else f"{after} (file: {before})"


def _modes(name, model, variance):
  kept, total = getattr(model, name).shape[-1], len(variance)
  if not total:
    return "none"
  if name == "expression" and model.expression_kind == "blendshape":
    return f"{kept} blendshapes"
  whole = max(float(variance.sum()), 1e-30)
  text = f"{kept} of {total} modes, {variance[:kept].sum() / whole:.1%} of the "
  text += "variance"
  if kept > _CODE[name]:
    share = variance[: _CODE[name]].sum() / whole
    text += f"; the first {_CODE[name]}, {share:.1%}"
  return text


def _landmarks(provenance):
  derived = provenance.derived_landmarks
  if not derived:
    return "68 published"
  published = 68 - len(derived)
  return f"{published} published, {len(derived)} derived ({_ranges(derived)})"


def _ranges(numbers: Sequence[int]) -> str:
  """Short for 0, 1, 2, 9: 0-2, 9."""
  parts, numbers = [], sorted(numbers)
  for number in numbers:
    if parts and number == parts[-1][1] + 1:
      parts[-1][1] = number
    else:
      parts.append([number, number])
  return ", ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in parts)


def _colour(raw):
  if raw.color_space == "linear":
    return "linear RGB, the built-in skin laid over"
  return "the file's own, sRGB to linear RGB"


def _present(model):
  counts = np.bincount(
    np.asarray(model.region), minlength=len(model.region_names)
  )
  return [n for n, c in zip(model.region_names, counts, strict=True) if c]
