"""Photographs as encoders see them, in one file: to measure without detectors.

  python experiments/photo_crops.py --input=FOLDER --output=crops.npz

keeps the largest face of each photograph that shows one. The file holds no
pickles and is read where neither OpenCV nor dlib is installed.
"""

from __future__ import annotations

import pathlib
from typing import NamedTuple
import zipfile

from absl import flags
import jax
import numpy as np

from facerec_jax import app
from facerec_jax import messages
from facerec_jax import trained_encoder
from facerec_jax.face import landmarks
from facerec_jax.render import geometry
from facerec_jax.render import renderer

_INPUT = flags.DEFINE_string("input", None, "Folder of photographs.")
_OUTPUT = flags.DEFINE_string("output", "crops.npz", "File to write.")
_SIZES = flags.DEFINE_list("sizes", ["64", "112", "224"], "Sides, px.")


class Crops(NamedTuple):
  """Faces of one size, S.

  Attributes:
    image: [N, S, S, 3] uint8.
    hull: [N, S, S] bool, the mask by landmarks.
    landmarks: [N, 68, 2] detected ones, px.
  """

  image: np.ndarray
  hull: np.ndarray
  landmarks: np.ndarray


def main() -> None:
  # Only preparing needs what handles photographs.
  import portraits

  people = portraits.largest_faces(
    pathlib.Path(app.required("input", _INPUT.value))
  )
  arrays = {}
  for size in map(int, _SIZES.value):
    crops = [_crop(photo, face, size) for photo, face in people]
    for name, column in zip(
      Crops._fields, zip(*crops, strict=True), strict=True
    ):
      arrays[f"{name}_{size}"] = np.stack(column)
  np.savez_compressed(_OUTPUT.value, **arrays)
  print(f"{len(people)} faces in {_OUTPUT.value}")


def _crop(photo, face, size):
  from facerec_jax.photos import alignment
  from facerec_jax.photos import masking

  image = alignment.crop(photo, face.square, size)
  return (
    np.round(255 * image).astype(np.uint8),
    masking.face_mask(face.landmarks, face.square, size),
    alignment.to_crop(face.landmarks, face.square, size).astype(np.float32),
  )


def load(path: str, size: int) -> Crops:
  """Reads the faces of one size from a file that this script wrote.

  Raises:
    UsageError: it is no such file, or has no faces of the size.
  """
  try:
    with np.load(path, allow_pickle=False) as arrays:
      return Crops(*(arrays[f"{name}_{size}"] for name in Crops._fields))
  except KeyError as error:
    raise app.UsageError(
      f"{path} has no faces of {size} px; give that size to photo_crops.py"
    ) from error
  except OSError as error:
    raise app.UsageError(f"--crops: {messages.one_line(error)}") from error
  except (ValueError, zipfile.BadZipFile) as error:
    raise app.UsageError(f"{path} is no file of photo_crops.py") from error


def landmark_errors(
  encoder: trained_encoder.TrainedEncoder, crops: Crops
) -> dict[str, float]:
  """Mean distances from the detected landmarks, percent.

  Args:
    encoder: a trained one.
    crops: of its size.

  Returns:
    Of points 17-67 and of each group, in outer-canthal distances.
  """
  images, seen = crops.image.astype(np.float32) / 255, crops.landmarks
  if encoder.face_mask:
    images = np.where(crops.hull[..., None], images, 0)
  codes = jax.vmap(encoder.layout.unflatten)(encoder.predict(images))
  camera = geometry.reference_camera(encoder.image_size)
  read = jax.vmap(renderer.project_landmarks, (None, None, 0))(
    encoder.model, camera, codes
  )
  groups = {"17-67": landmarks.INNER, **landmarks.GROUPS}
  return {
    name: 100 * float(landmarks.normalized_mean_error(read, seen, index).mean())
    for name, index in groups.items()
  }


if __name__ == "__main__":
  app.run(main)
