"""Judges a face model: is it seen as a face, how near is it to real ones?

Prints a table of numbers with their goals for each judge, then one line of
JSON with all of them. What is measured against scanned faces or photographs
needs the folder that the environment variable FACEREC_DATA names.

  python experiments/judge_face_model.py
  python experiments/judge_face_model.py --judges=geometry --error_map=e.png
  python experiments/judge_face_model.py --judges=detection --sheet=s.png
"""

from __future__ import annotations

import json
import os
import time

# Small products on many threads wait for each other more than they compute.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from absl import app
from absl import flags
import cv2
import jax
from judges import detection
from judges import error_map
from judges import geometry
from judges import goals
from judges import recognition
from judges import soundness
from judges import targets
import numpy as np

from facerec_jax import model_files

_NO_DATA = "skipped: set FACEREC_DATA to the folder of scans and photographs"


def _detection(model):
  numbers, taken, opinions = detection.judge(
    model, count=_COUNT.value, seed=_SEED.value, neutral=_NEUTRAL.value
  )
  moved = detection.offsets(taken.outlined, opinions.predicted)
  print(detection.offset_table(moved))
  if _SHEET.value:
    cv2.imwrite(_SHEET.value, detection.sheet(taken, opinions))
  return numbers, detection.GOALS


def _geometry(model):
  folder = targets.data_folder()
  if folder is None:
    print(" ", _NO_DATA)
    return {}, {}
  numbers, comparisons = geometry.judge(
    model, folder, modes=_MODES.value, fits=_FITS.value
  )
  maps = []
  for name, found in comparisons.items():
    print(error_map.text(name, found.places, found.error))
    maps.append(error_map.picture(name, found.places, found.error))
  if _ERROR_MAP.value:
    cv2.imwrite(_ERROR_MAP.value, np.hstack(maps))
  return numbers, geometry.GOALS


def _recognition(model):
  folder = targets.data_folder()
  if folder is None:
    print("  photographs", _NO_DATA)
  numbers = recognition.judge(model, folder=folder, seed=_SEED.value)
  return numbers, recognition.GOALS


def _soundness(model):
  numbers, notes = soundness.judge(model)
  print("\n".join(notes))
  return numbers, soundness.GOALS


JUDGES = {
  "geometry": _geometry,
  "detection": _detection,
  "recognition": _recognition,
  "soundness": _soundness,
}

_MODEL = flags.DEFINE_string("model", "builtin", "Name or archive of a model.")
_JUDGES = flags.DEFINE_list("judges", list(JUDGES), "Which judges to ask.")
_COUNT = flags.DEFINE_integer(
  "count", 1000, "Number of renders.", lower_bound=1
)
_SEED = flags.DEFINE_integer("seed", 0, "Seed of people, light, backgrounds.")
_SHEET = flags.DEFINE_string("sheet", None, "Write the first renders here.")
_NEUTRAL = flags.DEFINE_bool("neutral", False, "No expressions.")
_MODES = flags.DEFINE_integer(
  "modes", None, "Identity modes that the fits use; default all.", lower_bound=1
)
_FITS = flags.DEFINE_bool("fits", True, "Fit single scanned faces (slow part).")
_ERROR_MAP = flags.DEFINE_string("error_map", None, "Write error maps here.")

flags.register_validator(
  "judges",
  lambda names: set(names) <= set(JUDGES),
  f"is a list of {', '.join(JUDGES)}",
)


def main(argv):
  del argv
  model = jax.tree.map(np.asarray, model_files.load(_MODEL.value))
  result = {}
  for name in _JUDGES.value:
    begin = time.monotonic()
    print(f"{name}:")
    numbers, wanted = JUDGES[name](model)
    print(goals.table(numbers, wanted))
    missed = goals.failures(numbers, wanted)
    print(f"  {len(missed)} goals missed, {time.monotonic() - begin:.0f} s")
    result |= {f"{name}/{key}": round(v, 4) for key, v in numbers.items()}
  print(json.dumps(result))


if __name__ == "__main__":
  app.run(main)
