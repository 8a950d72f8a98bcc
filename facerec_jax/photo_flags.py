"""Flags of all commands that read photographs."""

from __future__ import annotations

import functools

from absl import flags

from facerec_jax.photos import detection
from facerec_jax.photos import landmark_predictor

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

# That many bring a code to its photograph; more gain little.
REFINE_STEPS = 100


def load_predictor() -> landmark_predictor.Predictor | None:
  """The predictor of --landmark_model, see `landmark_predictor`."""
  return landmark_predictor.load_predictor(LANDMARK_MODEL.value)


@functools.cache
def define_refine():
  """Defines --refine; call at import of an app that can."""
  return flags.DEFINE_integer(
    "refine",
    None,
    "Steps by which each code is fitted to its picture, starting from the "
    f"encoder's answer; 0: none. By default {REFINE_STEPS} for photographs; "
    "none for films, and where encoders are measured.",
    lower_bound=0,
  )


def refine_steps(default: int = REFINE_STEPS) -> int:
  """Steps of --refine, or an app's own default."""
  steps = define_refine().value
  return default if steps is None else steps
