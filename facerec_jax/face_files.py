"""The files of a reconstructed face."""

from __future__ import annotations

import math
import pathlib

import numpy as np

from facerec_jax import reconstruction
from facerec_jax.face import code_vector
from facerec_jax.face import morphable_model
from facerec_jax.photos import alignment
from facerec_jax.photos import detection
from facerec_jax.render import geometry
from facerec_jax.results import atlas as atlases
from facerec_jax.results import codes
from facerec_jax.results import face_mesh
from facerec_jax.results import face_views
from facerec_jax.results import figures
from facerec_jax.results import meshes
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
  _write_meshes(folder, model, photo, face, result)
  photometric_error = _write_pictures(folder, model, photo, face, result)
  facts = {
    "box": face.box,
    "detector": face.detector,
    "score": face.score,
    "pose_degrees": np.degrees(np.asarray(code.rotation)),
    codes.FIELD_OF_VIEW: math.degrees(result.field_of_view),
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
    field_of_view=result.field_of_view,
  )
  return facts


def _write_meshes(folder, model, photo, face, result):
  mesh = textured_mesh(
    model, photo, face, result.code, field_of_view=result.field_of_view
  )
  for ending in ("glb", "obj", "ply"):
    meshes.write_mesh(folder / f"mesh.{ending}", mesh)
  viewer.write_viewer(
    folder / "viewer.html",
    mesh,
    result.code,
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
  field_of_view: float = geometry.REFERENCE_FIELD_OF_VIEW,
) -> face_mesh.Mesh:
  """The mesh of a face, with a texture from its photograph.

  Args:
    model: the morphable model; without a chart there is no texture.
    photo: [H, W, 3] uint8.
    face: of the photo.
    code: in the reference camera of the face's square.
    shown: an edit of the code, whose shape the mesh gets; None for the same.
    field_of_view: of the photograph, see `geometry.dolly_zoom`, radians.

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
    field_of_view=field_of_view,
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
  views = face_views.draw(model, result.code, result.field_of_view)
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
