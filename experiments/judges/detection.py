"""Do face detectors see faces in renders of a model, and where?

OpenCV's Haar cascade and dlib's detector say whether they see a face in
photographs of random people, dlib's 68-point predictor where. Distances of its
points from the model's own are in percent of the outer-canthal distance. Points
of the jaw are compared where the visible outline is, as the predictor sees it.
"""

from __future__ import annotations

import importlib.metadata
from typing import NamedTuple

import cv2
import dlib
import numpy as np

from facerec_jax.face import landmarks
from facerec_jax.synthesis import priors
from judges import goals
from judges import shots

GOALS = {
  "haar": goals.at_least(99.0),
  "dlib": goals.at_least(98.0),
  "nme_17_67": goals.at_most(2.5),
  "nme_jaw": goals.at_most(5.0),
  "nme_worst": goals.at_most(3.0),
}
# Poses as on photographs: yaw with a standard deviation of 17 degrees.
PRIOR = priors.Prior(wide_share=0.0)
_YAW_BANDS = ((0, 10), (10, 20), (20, 30))  # degrees
_INNER_GROUPS = ("brows", "nose", "eyes", "mouth")


class Opinions(NamedTuple):
  """What the judges say of n photographs.

  Attributes:
    haar: [n] bool, seen by the cascade.
    scores: [n] of dlib's detector, -1 where it sees nothing.
    predicted: [n, 68, 2] px.
  """

  haar: np.ndarray
  scores: np.ndarray
  predicted: np.ndarray


class Detectors:
  """Two detectors and a landmark predictor."""

  def __init__(self):
    self._haar = cv2.CascadeClassifier(
      cv2.data.haarcascades + "haarcascade_frontalface_default.xml"
    )
    self._dlib = dlib.get_frontal_face_detector()
    self.predictor = dlib.shape_predictor(
      model_file("shape_predictor_68_face_landmarks.dat")
    )

  def judge(self, photo, points):
    """(Haar found it, dlib's score or -1, predicted points [68, 2])."""
    center = points[17:].mean(axis=0)

    def matches(left, top, width, height):
      off = np.abs([left + width / 2, top + height / 2] - center)
      return bool((off < 0.35 * np.array([width, height])).all())

    gray = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)
    boxes = self._haar.detectMultiScale(gray, 1.1, 3)
    seen = any(matches(*box) for box in boxes)
    best, score = _default_box(points), -1.0
    for box, value in self.boxes(photo):
      place = (box.left(), box.top(), box.width(), box.height())
      if matches(*place) and value > score:
        best, score = box, value
    shape = self.predictor(photo, best)
    predicted = np.array([(p.x, p.y) for p in shape.parts()], float) + 0.5
    return seen, score, predicted

  def boxes(self, photo, threshold: float = -0.5, *, upsampling: int = 1):
    """Dlib's (box, score) of a photograph [H, W, 3] uint8."""
    found, scores, _ = self._dlib.run(photo, upsampling, threshold)
    return list(zip(found, scores, strict=True))


def model_file(name: str) -> str:
  """Path of a model in the wheel `face_recognition_models`.

  Raises:
    FileNotFoundError: the wheel is not installed or has no such file.
  """
  try:
    files = importlib.metadata.files("face_recognition_models") or ()
  except importlib.metadata.PackageNotFoundError:
    files = ()
  for file in files:
    if file.name == name:
      return str(file.locate())
  raise FileNotFoundError(
    f"{name} not found: pip install face_recognition_models==0.3.0"
  )


def _default_box(points):
  center = points[17:].mean(axis=0)
  reach = 0.9 * np.linalg.norm(points[36] - points[45])
  low, high = center - reach, center + reach
  return dlib.rectangle(*(int(v) for v in (*low, *high)))


def ask(taken: shots.Shots) -> Opinions:
  """Asks the detectors about each photograph."""
  detectors = Detectors()
  said = [
    detectors.judge(photo, points)
    for photo, points in zip(taken.photos, taken.points, strict=True)
  ]
  return Opinions(*map(np.array, zip(*said, strict=True)))


def offsets(points, predicted) -> np.ndarray:
  """[n, 68, 2] predicted minus true points, percent of the outer canthi."""
  left, right = landmarks.OUTER_CANTHI
  between = points[:, left] - points[:, right]
  scale = np.linalg.norm(between, axis=-1)[:, None, None]
  return 100 * (predicted - points) / scale


def summary(taken: shots.Shots, opinions: Opinions) -> dict[str, float]:
  """Shares in percent and mean point distances in percent."""
  distance = np.linalg.norm(
    offsets(taken.outlined, opinions.predicted), axis=-1
  )
  fixed = np.linalg.norm(offsets(taken.points, opinions.predicted), axis=-1)
  found = opinions.scores > 0
  numbers = {
    "haar": 100 * opinions.haar.mean(),
    "dlib": 100 * found.mean(),
    "dlib_score": opinions.scores.mean(),
    "nme": distance.mean(),
    "nme_17_67": distance[:, 17:].mean(),
  }
  for name, index in landmarks.GROUPS.items():
    numbers[f"nme_{name}"] = distance[:, list(index)].mean()
  jaw = list(landmarks.GROUPS["jaw"])
  numbers["nme_jaw_vertices"] = fixed[:, jaw].mean()
  numbers["nme_worst"] = max(numbers[f"nme_{n}"] for n in _INNER_GROUPS)
  yaw = np.abs(np.rad2deg(taken.rotation[:, 1]))
  classes = {f"yaw_{a}_{b}": (yaw >= a) & (yaw < b) for a, b in _YAW_BANDS}
  for index, kind in enumerate(shots.BACKGROUNDS):
    classes[kind] = taken.backgrounds == index
  for name, mine in classes.items():
    if mine.any():
      numbers[f"haar_{name}"] = 100 * opinions.haar[mine].mean()
      numbers[f"dlib_{name}"] = 100 * found[mine].mean()
      numbers[f"nme_17_67_{name}"] = distance[mine, 17:].mean()
  return {name: float(value) for name, value in numbers.items()}


def offset_table(moved) -> str:
  """Mean offsets [n, 68, 2] of the predicted points, percent, by group."""
  lines = ["  mean offset (right, down) of the predicted points, percent:"]
  for name, index in landmarks.GROUPS.items():
    mean = moved[:, list(index)].mean(axis=0)
    cells = " ".join(f"{x:+.1f},{y:+.1f}" for x, y in mean)
    lines.append(f"  {name:6s} {cells}")
  return "\n".join(lines)


def sheet(taken: shots.Shots, opinions: Opinions, count: int = 24):
  """Photographs beside their points, four a row; BGR uint8.

  Green: the model's points, red: the predictor's; a red frame: not seen.
  """
  tiles = []
  for photo, points, seen, score, predicted in zip(
    taken.photos[:count], taken.outlined, *opinions, strict=False
  ):
    plain = cv2.resize(photo[..., ::-1], None, fx=1.5, fy=1.5)
    marked = plain.copy()
    for place, shade in ((points, (0, 200, 0)), (predicted, (0, 0, 255))):
      for x, y in 1.5 * place:
        cv2.circle(marked, (round(x), round(y)), 1, shade, -1)
    if not seen or score <= 0:
      cv2.rectangle(marked, (0, 0), (335, 335), (0, 0, 255), 4)
    tiles.append(np.hstack([plain, marked]))
  tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % 4)
  rows = [np.hstack(tiles[k : k + 4]) for k in range(0, len(tiles), 4)]
  return np.vstack(rows)


def judge(model, *, count: int, seed: int, neutral: bool = False):
  """Photographs `count` random people and asks the detectors.

  Returns:
    (numbers by name, photographs, opinions).
  """
  prior = shots.without_expression(PRIOR) if neutral else PRIOR
  taken = shots.take(model, count, seed, prior)
  opinions = ask(taken)
  return summary(taken, opinions), taken, opinions
