"""Photographs as encoders see them, in one file: to measure without detectors.

  python experiments/photo_crops.py --input=FOLDER --output=crops.npz

keeps the largest face of each photograph that shows one. The file holds no
pickles and is read where neither OpenCV nor dlib is installed.
"""

from __future__ import annotations

import pathlib

from absl import flags
import jax
import numpy as np

from facerec_jax import app
from facerec_jax import trained_encoder
from facerec_jax.face import landmarks
from facerec_jax.render import geometry
from facerec_jax.render import renderer

_INPUT = flags.DEFINE_string("input", None, "Folder of photographs.")
_OUTPUT = flags.DEFINE_string("output", "crops.npz", "File to write.")
_SIZES = flags.DEFINE_list("sizes", ["64", "112", "224"], "Sides, px.")


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
      ("image", "hull", "landmarks"), zip(*crops, strict=True), strict=True
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


def landmark_errors(
  encoder: trained_encoder.TrainedEncoder, path: str
) -> dict[str, float]:
  """Mean distances from the detected landmarks, percent.

  Args:
    encoder: a trained one.
    path: of a file that this script wrote.

  Returns:
    Of points 17-67 and of each group, in outer-canthal distances.
  """
  size = encoder.image_size
  with np.load(path, allow_pickle=False) as crops:
    images = crops[f"image_{size}"].astype(np.float32) / 255
    hulls, seen = crops[f"hull_{size}"], crops[f"landmarks_{size}"]
  if encoder.face_mask:
    images = np.where(hulls[..., None], images, 0)
  codes = jax.vmap(encoder.layout.unflatten)(encoder.predict(images))
  camera = geometry.reference_camera(size)
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
