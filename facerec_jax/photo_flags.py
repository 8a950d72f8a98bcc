"""Flags of all commands that read photographs."""

from __future__ import annotations

from absl import flags

from facerec_jax.photos import detection

INPUT = flags.DEFINE_string(
  "input", None, "A photograph, or a folder of photographs."
)
LANDMARK_MODEL = flags.DEFINE_string(
  "landmark_model",
  None,
  "dlib's shape_predictor_68_face_landmarks.dat; by default the one of the "
  "package face_recognition_models, if that is installed.",
)
DETECTOR = flags.DEFINE_enum(
  "detector",
  "auto",
  detection.DETECTORS,
  "What finds faces; auto: haar where dlib finds none.",
)
