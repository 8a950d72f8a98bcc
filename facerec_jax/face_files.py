"""The files of a reconstructed face."""

from __future__ import annotations

import pathlib

import numpy as np

from facerec_jax import reconstruction
from facerec_jax import trained_expression
from facerec_jax.face import code_vector
from facerec_jax.face import morphable_model
from facerec_jax.photos import alignment
from facerec_jax.photos import detection
from facerec_jax.results import atlas as atlases
from facerec_jax.results import codes
from facerec_jax.results import face_mesh
from facerec_jax.results import face_views
from facerec_jax.results import figures
from facerec_jax.results import meshes
from facerec_jax.results import report
from facerec_jax.results import texture as textures
from facerec_jax.results import viewer
from facerec_jax.synthesis import emotions
from facerec_jax.synthesis import posed_emotion

_PIXELS = (
  "(column, row) of the upright photograph, EXIF orientation applied; pixel "
  "centres at +0.5"
)
# Of expressions in the viewer, by kind of the model's.
_SLIDER_LIMITS = {"blendshape": (0.0, 1.0), "gaussian": (-3.0, 3.0)}
# Around a photograph, where a view reaches beyond it.
_OUTSIDE = 0.13


def write_face(
  folder: pathlib.Path,
  encoder: reconstruction.Encoder,
  photo: np.ndarray,
  face: detection.Face,
  result: reconstruction.Reconstruction,
) -> dict:
  """Writes all files of a face.

  Args:
    folder: made where it is missing.
    encoder: that read the face.
    photo: [H, W, 3] uint8.
    face: of the photo.
    result: what was read.

  Returns:
    Facts for a summary: box, detector, score, pose, errors.
  """
  folder.mkdir(parents=True, exist_ok=True)
  model, code = encoder.model, result.code
  _write_meshes(folder, model, photo, face, code)
  photometric_error = _write_pictures(folder, model, photo, face, result)
  facts = {
    "box": face.box,
    "detector": face.detector,
    "score": face.score,
    "pose_degrees": np.degrees(np.asarray(code.rotation)),
    "landmark_error": result.landmark_error,
    "photometric_error": photometric_error,
  }
  if result.refinement is not None:
    facts["refinement"] = result.refinement
  if result.shown is not None:
    facts["shown_expression"] = result.shown
  square = face.square
  codes.write_code(
    folder,
    model,
    code,
    facts={
      "landmarks68": result.landmarks,
      "detected_landmarks68": face.landmarks,
      "pixels": _PIXELS,
      "image_size": encoder.image_size,
      "square": {"center": square.center, "side": square.side},
      **facts,
    },
  )
  return facts


def _write_meshes(folder, model, photo, face, code):
  mesh = textured_mesh(model, photo, face, code)
  for ending in ("glb", "obj", "ply"):
    meshes.write_mesh(folder / f"mesh.{ending}", mesh)
  viewer.write_viewer(
    folder / "viewer.html",
    mesh,
    code,
    title=folder.parent.name,
    presets=_emotions(model),
    limits=_SLIDER_LIMITS[model.expression_kind],
  )


def textured_mesh(
  model: morphable_model.MorphableModel,
  photo: np.ndarray,
  face: detection.Face,
  code: code_vector.CodeVector,
  *,
  shown: code_vector.CodeVector | None = None,
) -> face_mesh.Mesh:
  """The mesh of a face, with a texture from its photograph.

  Args:
    model: the morphable model; without a chart there is no texture.
    photo: [H, W, 3] uint8.
    face: of the photo.
    code: in the reference camera of the face's square.
    shown: an edit of the code, whose shape the mesh gets; None for the same.

  Returns:
    The mesh.
  """
  atlas = atlases.create(model)
  shown = code if shown is None else shown
  if atlas.uv is None:
    return face_mesh.of_face(model, atlas, shown)
  around = surroundings(face)
  points = face.landmarks
  if points is not None:
    points = alignment.to_crop(points, around, textures.SIZE)
  view = textures.View(
    image=alignment.crop(photo, around, textures.SIZE),
    inside=_inside(photo, around, textures.SIZE),
    sides=face_views.VIEW_SIDES,
    landmarks=points,
  )
  texture = textures.bake(model, atlas, code, view)
  return face_mesh.of_face(model, atlas, shown, texture)


def surroundings(face: detection.Face) -> alignment.Square:
  """What the views show of a photograph."""
  return alignment.Square(
    face.square.center, face.square.side * face_views.VIEW_SIDES
  )


def _emotions(model):
  """{name: expression weights} of the emotions that a model can show."""
  try:
    return {
      name: posed_emotion.emotion(model.expression_names, name)
      for name in emotions.CLASSES
    }
  except ValueError:  # no action units
    return {}


def _write_pictures(folder, model, photo, face, result):
  views = face_views.draw(model, result.code)
  around = surroundings(face)
  view = alignment.crop(photo, around, face_views.VIEW_SIZE)
  inside = _inside(photo, around, face_views.VIEW_SIZE)
  shown = np.where(inside[..., None], view, _OUTSIDE)
  pictures = {
    "photo": shown,
    "input": result.image,
    "overlay": views.rendering.over(shown),
    "face": views.face.over(shown),
    "rendering": views.rendering.over(),
    "geometry": views.geometry.over(),
    "left": views.left.over(),
    "right": views.right.over(),
  }
  for name, picture in pictures.items():
    figures.save_image(folder / f"{name}.png", picture)
  if result.start is not None:
    before = face_views.draw_face(model, result.start)
    figures.save_image(folder / "before.png", before.over(shown))
  face_inside = views.face._replace(alpha=views.face.alpha * inside)
  return face_views.photometric_error(view, face_inside)


def _inside(photo, square, size):
  """Pixels of a crop that lie in the photograph, [size, size] bool."""
  steps = np.arange(size) + 0.5
  columns, rows = alignment.from_crop(
    np.stack([steps, steps], axis=-1), square, size
  ).T
  height, width = photo.shape[:2]
  return ((rows >= 0) & (rows <= height))[:, None] & (
    (columns >= 0) & (columns <= width)
  )


def face_section(title: str, folder: str, facts: dict) -> report.Section:
  """The part of a report page that shows a face.

  Args:
    title: heading.
    folder: of `write_face`, relative to the page.
    facts: from `write_face`.
  """
  captions = {
    "photo": "photograph",
    "overlay": "reconstruction over it",
    "face": "face alone over it",
    "before": "what the encoder read, before refinement",
    "rendering": "reconstruction",
    "geometry": "geometry alone",
    "left": "turned left, own light",
    "right": "turned right, own light",
    "input": "what the encoder read",
  }
  pitch, yaw, roll = facts["pose_degrees"]
  rows = [
    ("Pose", f"pitch {pitch:+.1f}°, yaw {yaw:+.1f}°, roll {roll:+.1f}°"),
    ("Colour difference", f"{100 * facts['photometric_error']:.1f} % of white"),
    ("Found by", f"{facts['detector']}, score {facts['score']:.2f}"),
  ]
  if facts["landmark_error"] is not None:
    error = f"{100 * facts['landmark_error']:.1f} % of the eyes' outer width"
    rows.insert(1, ("Landmark distance", error))
  if "shown_expression" in facts:
    named = trained_expression.format_description(facts["shown_expression"])
    rows.insert(0, ("Expression", named))
  refined = facts.get("refinement")
  if refined is None:
    del captions["before"]
  else:
    rows.insert(1, ("Refinement", _improvement(refined)))
  names = ("mesh.glb", "mesh.obj", "mesh.ply", "code.json", "code.npz")
  links = [("3D view", "viewer.html"), *zip(names, names, strict=True)]
  return report.Section(
    title=title,
    figures=tuple(
      report.Figure(f"{folder}/{name}.png", caption)
      for name, caption in captions.items()
    ),
    facts=tuple(rows),
    files=tuple((label, f"{folder}/{name}") for label, name in links),
  )


def _improvement(refined):
  before, after = refined["before"], refined["after"]
  parts = [f"{refined['steps']} steps"]
  for name, label in (
    ("landmark_error", "landmarks"),
    ("photometric_error", "colour"),
  ):
    if name in before:
      parts.append(
        f"{label} {100 * before[name]:.1f} % → {100 * after[name]:.1f} %"
      )
  return ", ".join(parts)
