"""From a file of others to a `MorphableModel`, and the card that says how."""

from __future__ import annotations

import dataclasses
import os

import jax
import jax.numpy as jnp
import numpy as np

from facerec_jax.face import landmarks as landmark_groups
from facerec_jax.face import morphable_model
from facerec_jax.face.morphable_model import MorphableModel
from facerec_jax.model_files import archive
from facerec_jax.model_files import correspondence
from facerec_jax.model_files import decimation
from facerec_jax.model_files import expression_fitting
from facerec_jax.model_files import formats
from facerec_jax.model_files import mesh_editing
from facerec_jax.model_files import model_card
from facerec_jax.model_files import normalize
from facerec_jax.model_files import transfer
from facerec_jax.model_files import unwrapping
from facerec_jax.render import color

UVS = ("keep", "unwrap", "none")
EXPRESSIONS = ("own", "units")


@dataclasses.dataclass(frozen=True)
class Options:
  """How a model is imported.

  Attributes:
    format: of `formats.FORMATS`, or None to recognise it.
    unit: of `normalize.UNITS`, or None to infer it.
    crop: of `decimation.CROPS`.
    triangles: that a coarser mesh has, or None.
    uv: "keep" the file's chart, "unwrap" where it has none, or "none".
    expressions: the model's "own" basis, or action "units" in it.
    identity_modes: most of them, or None for all.
    expression_modes: likewise.
    albedo_modes: likewise.
    extras: further files.
  """

  format: str | None = None
  unit: str | None = None
  crop: str = "all"
  triangles: int | None = None
  uv: str = "keep"
  expressions: str = "own"
  identity_modes: int | None = None
  expression_modes: int | None = None
  albedo_modes: int | None = None
  extras: formats.Extras = formats.Extras()


@dataclasses.dataclass(frozen=True)
class Imported:
  """A model with its origin.

  Attributes:
    model: in our frame, units and colours.
    provenance: for the archive.
    card: lines that say what was found.
  """

  model: MorphableModel
  provenance: archive.Provenance
  card: tuple[str, ...]


def import_model(
  path: str | os.PathLike,
  template: MorphableModel,
  options: Options | None = None,
) -> Imported:
  """Imports a face model.

  Args:
    path: of the file or folder.
    template: the built-in model: gives what the other lacks.
    options: choices.

  Raises:
    FormatError: the file is not sound, or no face.
  """
  options = options or Options()
  raw = formats.read(path, options.format, options.extras)
  try:
    return _import(raw, template, options)
  except formats.FormatError as error:
    raise formats.FormatError(f"{os.fspath(path)}: {error}") from None


def _import(raw, template, options):
  sizes = len(raw.mean), len(raw.triangles)
  raw, facts = _read_landmarks(raw, options), []
  raw, frame = _to_our_frame(raw, template, options)
  raw, derived = _complete(raw, template)
  raw, loss = _reduce(raw, options)
  if loss is not None:
    facts.append(
      ("decimation", f"{loss.rms:.3f} mm rms, {loss.largest:.2f} max")
    )
  variances = model_card.variances(raw)
  model = morphable_model.truncate(
    _create(raw),
    identity=options.identity_modes,
    expression=options.expression_modes,
    albedo=options.albedo_modes,
  )
  if options.expressions == "units":
    model = expression_fitting.as_units(model)
    facts.append(("expressions", "action units, solved in the own basis"))
  provenance = archive.Provenance(
    format=raw.format,
    licence=raw.licence,
    link=raw.link,
    derived_landmarks=derived,
    notes=raw.notes,
  )
  card = model_card.lines(
    model,
    provenance,
    raw,
    sizes=sizes,
    variances=variances,
    facts=[*frame, *facts],
  )
  return Imported(model, provenance, card)


def _read_landmarks(raw, options):
  raw = mesh_editing.drop_region(raw, "dropped")
  if options.extras.landmark_file is None:
    return raw
  numbers, points = formats.landmark_points(options.extras.landmark_file, raw)
  # Vertices within a hundredth of the face are the points themselves.
  snap = 0.004 * np.ptp(raw.mean[np.unique(raw.triangles), 0])
  raw = dataclasses.replace(raw, landmarks={})
  return mesh_editing.insert_points(raw, numbers, points, snap=snap)


def _to_our_frame(raw, template, options):
  scale, unit = normalize.find_unit(raw, options.unit)
  raw = normalize.scaled(raw, scale)
  marks = np.asarray(template.mean)[np.asarray(template.landmarks)]
  raw, axes = normalize.face_forward(raw, marks)
  raw, turned = normalize.outward(raw)
  facts = [("unit", unit), ("axes", axes)]
  if turned:
    facts.append(("winding", "clockwise in the file, turned"))
  return raw, facts


def _complete(raw, template):
  """Landmarks, pose and origin, colours, parts."""
  face = correspondence.template(template)
  outer = raw.triangles[transfer.exposed(raw)]
  warped = correspondence.lay_over(
    face, raw.mean.astype(float), outer, raw.landmarks
  )
  raw, derived = transfer.add_landmarks(raw, face, warped)
  raw = transfer.fill(raw, template, warped)
  # Pose and origin: as the built-in face is seen frontally, without scale.
  inner = [
    k for k in landmark_groups.INNER if k not in landmark_groups.GROUPS["brows"]
  ]
  marks = raw.mean[[raw.landmarks[k] for k in inner]].astype(float)
  move = correspondence.fit_similarity(
    marks, face.points[face.landmarks[inner]], scale=False
  )
  raw = normalize.rotated(raw, move.rotation)
  mean = raw.mean + move.shift.astype(np.float32)
  return dataclasses.replace(raw, mean=mean), derived


def _reduce(raw, options):
  raw, loss = decimation.crop(raw, options.crop), None
  if options.uv == "none":
    raw = dataclasses.replace(raw, corner_uv=None, uv=None)
  raw = mesh_editing.split_seams(raw)
  if options.triangles is not None:
    raw, loss = decimation.decimate(raw, options.triangles)
  if options.uv == "unwrap":
    raw = unwrapping.with_chart(raw)
  return raw, loss


def _create(raw):
  color_mean, colors = linear_albedo(
    raw.albedo_mean, raw.albedo, raw.color_space
  )
  return morphable_model.create(
    mean=raw.mean,
    identity=raw.identity,
    expression=raw.expression,
    albedo_mean=color_mean,
    albedo=colors,
    triangles=raw.triangles,
    landmarks=[raw.landmarks[k] for k in range(68)],
    occlusion=raw.occlusion,
    region=raw.region,
    region_names=raw.region_names,
    uv=raw.uv,
    name=raw.name,
    identity_names=raw.identity_names,
    expression_names=raw.expression_names,
    expression_kind=raw.expression_kind,
  )


def linear_albedo(mean, modes, color_space: str):
  """Colours in linear RGB; modes follow the slope of the curve at the mean.

  Args:
    mean: [V, 3] in [0, 1].
    modes: [V, 3, K] per standard deviation.
    color_space: "srgb" or "linear".

  Returns:
    (mean [V, 3], modes [V, 3, K]), linear.
  """
  mean = np.clip(np.asarray(mean, np.float32), 0, 1)
  if color_space == "linear":
    return mean, modes
  slope = jax.vmap(jax.grad(color.srgb_to_linear))(jnp.asarray(mean).ravel())
  slope = np.asarray(slope).reshape(mean.shape)
  return np.asarray(color.srgb_to_linear(mean)), modes * slope[..., None]
