"""Follows a face through a video with a trained encoder.

python -m facerec_jax.track --checkpoint=DIR --input=VIDEO --output=DIR
python -m facerec_jax.track --checkpoint=DIR --input=webcam:0 --output=DIR

Writes codes.csv (pose and expression, a line a frame), codes.npz (all groups,
raw and smoothed, and landmarks), overlay.mp4 (the frame and, beside it, the
face laid over it) and summary.json. --refine=30 fits each frame, too, which
takes a second or so for each. A camera is recorded until Ctrl-C or for
--max_frames; what was read until then is kept.
"""

from __future__ import annotations

import collections
import contextlib
import itertools
import pathlib

from absl import flags
from absl import logging
import numpy as np
import tqdm

from facerec_jax import app
from facerec_jax import code_smoothing
from facerec_jax import photo_flags
from facerec_jax import refining
from facerec_jax import trained_encoder
from facerec_jax import video_tracking
from facerec_jax.photos import tracking
from facerec_jax.photos import video
from facerec_jax.results import codes
from facerec_jax.results import video_file
from facerec_jax.training import checkpoint

_CHECKPOINT = app.define_checkpoint()
_OUTPUT = app.define_output()
photo_flags.define_refine()
_SMOOTH = flags.DEFINE_bool("smooth", True, "Whether codes are smoothed.")
_MIN_CUTOFF = flags.DEFINE_float(
  "min_cutoff",
  code_smoothing.Options.min_cutoff,
  "Cut-off frequency of the one-euro filter for a face at rest, Hz; less is "
  "smoother.",
)
_BETA = flags.DEFINE_float(
  "beta",
  code_smoothing.Options.beta,
  "How much the cut-off rises with speed; more is quicker, less is smoother.",
)
_MAX_FRAMES = flags.DEFINE_integer(
  "max_frames", None, "Frames to read at most.", lower_bound=1
)
_OVERLAY = flags.DEFINE_bool("overlay", True, "Whether overlay.mp4 is written.")


def main() -> None:
  """The app."""
  source = app.required("input", photo_flags.INPUT.value)
  output = pathlib.Path(app.required("output", _OUTPUT.value))
  with contextlib.ExitStack() as stack:
    try:
      film = stack.enter_context(video.Video(source))
      output.mkdir(parents=True, exist_ok=True)
      overlay = None
      if _OVERLAY.value:
        path = output / "overlay.mp4"
        overlay = video_file.VideoFile(path, rate=film.rate)
        stack.enter_context(overlay)
      encoder = trained_encoder.load(_CHECKPOINT.value)
      reader = _reader(encoder)
    except (
      *(ValueError, OSError, ImportError),
      checkpoint.CheckpointError,
    ) as error:
      raise app.UsageError(error) from error
    frames = track(encoder, film, reader, overlay)
  summary = write_track(output, encoder, frames, reader.tracker.num_searches)
  found = summary["frames"] - summary["status"].get("lost", 0)
  print(f"{found} of {summary['frames']} frames: {output / 'codes.csv'}")
  if not found:
    raise app.WorkError(f"{source}: no frame shows a face")


def _reader(encoder):
  smoother = None
  if _SMOOTH.value:
    smoother = code_smoothing.CodeSmoother(
      code_smoothing.Options(_MIN_CUTOFF.value, _BETA.value)
    )
  tracker = tracking.Tracker(
    detector=photo_flags.DETECTOR.value,
    predictor=photo_flags.load_predictor(),
  )
  refiner = refining.create(encoder, photo_flags.refine_steps(0), film=True)
  return video_tracking.FaceReader(encoder, tracker, smoother, refiner)


def track(
  encoder: trained_encoder.TrainedEncoder,
  film: video.Video,
  reader: video_tracking.FaceReader,
  overlay: video_file.VideoFile | None = None,
) -> list[video_tracking.TrackedFrame]:
  """Reads all frames, or those until Ctrl-C.

  Args:
    encoder: a trained one.
    film: an open video.
    reader: of its frames.
    overlay: that gets the pictures, or None.

  Returns:
    What was read.
  """
  frames = []
  try:
    for frame in tqdm.tqdm(
      itertools.islice(film.frames(), _MAX_FRAMES.value), unit="frame"
    ):
      frames.append(reader.read(frame))
      if overlay is not None:
        overlay.add(video_tracking.draw(encoder.model, frame, frames[-1]))
  except KeyboardInterrupt:
    logging.info("stopped after %d frames", len(frames))
  return frames


def write_track(
  output: pathlib.Path,
  encoder: trained_encoder.TrainedEncoder,
  frames: list[video_tracking.TrackedFrame],
  num_searches: int,
) -> dict:
  """Writes codes.npz, codes.csv and summary.json.

  Args:
    output: an existing folder.
    encoder: that read the codes.
    frames: of a video.
    num_searches: frames that the detector searched.

  Returns:
    The summary.
  """
  model = encoder.model
  arrays = video_tracking.stack(frames, encoder.layout)
  np.savez_compressed(output / "codes.npz", **arrays)
  video_tracking.write_table(
    output / "codes.csv", arrays, model.expression_names
  )
  summary = {
    "frames": len(frames),
    "status": collections.Counter(frame.status.value for frame in frames),
    "detector_searches": num_searches,
    "jitter": {
      kind: video_tracking.jitter(arrays[f"{kind}_landmarks68"])
      for kind in ("raw", "smooth")
    },
    "jitter_unit": "standard deviation of landmarks from frame to frame, in "
    "outer-canthal distances",
    "morphable_model": model.name,
    "units": codes.units(model),
  }
  codes.write_json(output / "summary.json", summary)
  return summary


if __name__ == "__main__":
  app.run(main)
