"""The files of an edited face."""

from __future__ import annotations

from collections.abc import Sequence
import pathlib
from typing import Any

from absl import logging
import jax
import numpy as np

from facerec_jax import edit_sources
from facerec_jax import face_files
from facerec_jax import photo_editor
from facerec_jax.face import code_vector
from facerec_jax.face import edits
from facerec_jax.face import morphable_model
from facerec_jax.photos import alignment
from facerec_jax.results import animation
from facerec_jax.results import atlas as atlases
from facerec_jax.results import codes
from facerec_jax.results import face_mesh
from facerec_jax.results import face_views
from facerec_jax.results import figures
from facerec_jax.results import meshes

# Of the sweep: side, px, and pictures a second.
_SWEEP_SIZE = 400
_SWEEP_RATE = 12.0


class EditWriter:
  """Draws and writes edits of one face."""

  def __init__(
    self, model: morphable_model.MorphableModel, source: edit_sources.Source
  ):
    """Prepares a face.

    Args:
      model: that its code belongs to.
      source: the face; without a photograph edits are rendered alone.
    """
    self._model, self._source = model, source
    self._editor = None
    if source.photo is not None:
      self._editor = photo_editor.PhotoEditor(
        model,
        source.photo,
        source.code,
        source.face.square,
        source.face.landmarks,
        source.field_of_view,
      )

  def write(
    self,
    folder: pathlib.Path,
    edited: code_vector.CodeVector,
    facts: dict[str, Any],
  ) -> None:
    """Writes pictures, mesh and code of an edit.

    Args:
      folder: an existing one.
      edited: the edit of the face's code.
      facts: what else code.json says.
    """
    square = {}
    if self._source.face is not None:
      center, side = self._source.face.square
      square = {"square": {"center": center, "side": side}}
    codes.write_code(
      folder,
      self._model,
      edited,
      facts=square | facts,
      field_of_view=self._source.field_of_view,
    )
    photo = None
    if self._editor is not None:
      photo = self._editor.edited_photo(edited)
      figures.save_image(folder / "blended.png", photo)
    pictures = self._strip(edited, photo)
    for name, picture in pictures.items():
      figures.save_image(folder / f"{name}.png", picture)
    sheet = figures.contact_sheet(
      [list(pictures.values())], column_labels=list(pictures)
    )
    figures.save_image(folder / "strip.png", sheet)
    meshes.write_mesh(folder / "mesh.glb", self._mesh(edited))

  def _strip(self, edited, photo):
    """Pictures by name: the face and its edit, as rendered and as photo."""
    views = [self._render(code) for code in (self._source.code, edited)]
    pictures = {"reconstruction": views[0], "edited": views[1]}
    if photo is None:
      return pictures
    photos = [self._source.photo, photo]
    around = face_files.surroundings(self._source.face)
    before, after = (
      alignment.crop(photo, around, face_views.VIEW_SIZE) for photo in photos
    )
    return {"photo": before, **pictures, "photo_edited": after}

  def _render(self, code):
    return face_views.draw_rendering(
      self._model, code, self._source.field_of_view
    ).over()

  def _mesh(self, edited):
    model, source = self._model, self._source
    if self._editor is None:
      return face_mesh.of_face(model, atlases.create(model), edited)
    # The texture as photographed, in the new light and colours.
    lit = source.code.replace(
      illumination=edited.illumination, albedo=edited.albedo
    )
    photo = source.photo
    if not all(map(np.array_equal, *map(jax.tree.leaves, (lit, source.code)))):
      photo = self._editor.edited_photo(lit)
    return face_files.textured_mesh(
      model,
      photo,
      source.face,
      lit,
      shown=edited,
      field_of_view=source.field_of_view,
    )

  def write_sweep(
    self, folder: pathlib.Path, edited: code_vector.CodeVector, count: int
  ) -> None:
    """Writes sweep.gif and sweep.mp4: to the edit, and back.

    Args:
      folder: an existing one.
      edited: the edit.
      count: pictures on the way.
    """
    shares = np.linspace(0, 1, count + 1)[1:-1]
    shares = shares * shares * (3 - 2 * shares)
    way = [edits.between(self._source.code, edited, s) for s in shares]
    way = self._draw_all([self._source.code, *way, edited])
    hold = 1 + count // 4
    pictures = [way[0]] * hold + way[1:-1] + [way[-1]] * hold + way[-2:0:-1]
    _write_film(folder / "sweep", pictures, _SWEEP_RATE)

  def write_film(
    self,
    folder: pathlib.Path,
    frames: Sequence[code_vector.CodeVector],
    rate: float,
  ) -> None:
    """Writes driven.gif and driven.mp4: the edits of a film's frames."""
    _write_film(folder / "driven", self._draw_all(frames), rate)

  def _draw_all(self, frames):
    frames = [jax.tree.map(np.asarray, code) for code in frames]
    if self._editor is not None:
      return [self._editor.edited_view(f, _SWEEP_SIZE) for f in frames]
    return [self._render(frame) for frame in frames]


def _write_film(path, pictures, rate):
  animation.write_gif(path.with_suffix(".gif"), pictures, rate=rate)
  try:
    animation.write_mp4(path.with_suffix(".mp4"), pictures, rate=rate)
  except ImportError as error:
    logging.warning("%s", error)
