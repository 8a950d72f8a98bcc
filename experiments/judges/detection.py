"""Do face detectors see faces in renders of a model, and where?

Renders random people, asks OpenCV's Haar cascade and dlib's detector whether
they see a face, and dlib's 68-point predictor where.
"""

from __future__ import annotations

import functools
import importlib.metadata

import cv2
import dlib
import jax
import jax.numpy as jnp
import numpy as np

from facerec_jax.face import landmarks as landmark_groups
from facerec_jax.render import color
from facerec_jax.render import geometry
from facerec_jax.render import renderer
from facerec_jax.synthesis import priors
from judges import goals

GOALS = {
  "haar": goals.at_least(99.0),
  "dlib": goals.at_least(98.0),
  "nme_17_67": goals.at_most(2.5),
  "nme_jaw": goals.at_most(5.0),
  "nme_worst": goals.at_most(3.0),
}
IMAGE_SIZE = 224
SUPERSAMPLING = 2
COEFFICIENT_LIMIT = 2.5
YAW_LIMIT, PITCH_LIMIT, ROLL_LIMIT = np.deg2rad([15.0, 12.0, 10.0])
# Half the yaw of the prior's ordinary poses, none of its wide ones.
PRIOR = priors.Prior(rotation_scale=0.5, wide_share=0.0)
BACKGROUNDS = ("plain", "gradient", "noise")


@functools.partial(jax.jit, static_argnames=("neutral",))
def shoot(key, model, *, neutral: bool = False):
  """One random person: (linear RGB, mask, landmarks in px of the render)."""
  size = IMAGE_SIZE * SUPERSAMPLING
  camera = geometry.reference_camera(size)
  code = priors.sample_code(key, model, camera=camera, prior=PRIOR)
  limit = COEFFICIENT_LIMIT
  angles = jnp.array([PITCH_LIMIT, YAW_LIMIT, ROLL_LIMIT])
  code = code.replace(
    identity=jnp.clip(code.identity, -limit, limit),
    albedo=jnp.clip(code.albedo, -limit, limit),
    expression=code.expression * (0.0 if neutral else 1.0),
    rotation=jnp.clip(code.rotation, -angles, angles),
  )
  picture = renderer.render(model, camera, code, height=size, width=size)
  points = renderer.project_landmarks(model, camera, code)
  return picture.image, picture.mask, points / SUPERSAMPLING


def background(random, kind: str, size: int) -> np.ndarray:
  """[size, size, 3] linear RGB."""
  first, second = random.uniform(0.02, 0.7, (2, 3))
  if kind == "plain":
    return np.broadcast_to(first, (size, size, 3))
  if kind == "gradient":
    down = np.linspace(0, 1, size)[:, None, None]
    return np.broadcast_to(first + down * (second - first), (size, size, 3))
  noise = random.standard_normal((size, size, 3)).astype(np.float32)
  noise = cv2.GaussianBlur(noise, (0, 0), random.uniform(1, 20))
  return np.clip(0.3 + random.uniform(0.1, 0.3) * noise / noise.std(), 0, 1)


def photograph(image, mask, random, kind: str) -> np.ndarray:
  """Composites, averages the subpixels, encodes; [224, 224, 3] uint8."""
  size = len(image)
  scene = np.where(mask[..., None], image, background(random, kind, size))
  scene = scene.reshape(IMAGE_SIZE, SUPERSAMPLING, IMAGE_SIZE, -1, 3)
  encoded = np.asarray(color.linear_to_srgb(scene.mean(axis=(1, 3))))
  encoded = encoded + random.normal(0, random.uniform(0, 0.02), encoded.shape)
  return (np.clip(encoded, 0, 1) * 255 + 0.5).astype(np.uint8)


class Judges:
  """Two detectors and a landmark predictor."""

  def __init__(self):
    self._haar = cv2.CascadeClassifier(
      cv2.data.haarcascades + "haarcascade_frontalface_default.xml"
    )
    self._dlib = dlib.get_frontal_face_detector()
    self._predictor = dlib.shape_predictor(_predictor_file())

  def judge(self, photo, points):
    """(Haar found it, dlib's score or -1, predicted points [68, 2])."""
    center = points[17:].mean(axis=0)

    def matches(left, top, width, height):
      off = np.abs([left + width / 2, top + height / 2] - center)
      return bool((off < 0.35 * np.array([width, height])).all())

    gray = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)
    boxes = self._haar.detectMultiScale(gray, 1.1, 3)
    seen = any(matches(*box) for box in boxes)
    found, scores, _ = self._dlib.run(photo, 1, -0.5)
    best, score = _default_box(points), -1.0
    for box, value in zip(found, scores, strict=True):
      place = (box.left(), box.top(), box.width(), box.height())
      if matches(*place) and value > score:
        best, score = box, value
    shape = self._predictor(photo, best)
    predicted = np.array([(p.x, p.y) for p in shape.parts()], float) + 0.5
    return seen, score, predicted


def _predictor_file():
  files = importlib.metadata.files("face_recognition_models") or ()
  name = "shape_predictor_68_face_landmarks.dat"
  return next(str(f.locate()) for f in files if f.name == name)


def _default_box(points):
  center = points[17:].mean(axis=0)
  reach = 0.9 * np.linalg.norm(points[36] - points[45])
  low, high = center - reach, center + reach
  return dlib.rectangle(*(int(v) for v in (*low, *high)))


def measure(model, count: int, seed: int, neutral: bool):
  """Judges `count` renders: (table of numbers, photographs, offsets)."""
  judges, random = Judges(), np.random.default_rng(seed)
  keys = jax.random.split(jax.random.key(seed), count)
  haar, scores, offsets, kinds, photos = [], [], [], [], []
  for number, key in enumerate(keys):
    kind = BACKGROUNDS[number % 3]
    image, mask, points = map(np.asarray, shoot(key, model, neutral=neutral))
    photo = photograph(image, mask, random, kind)
    seen, score, predicted = judges.judge(photo, points)
    scale = np.linalg.norm(points[36] - points[45])
    haar.append(seen)
    scores.append(score)
    offsets.append(100 * (predicted - points) / scale)
    kinds.append(kind)
    photos.append(_marked(photo, points, predicted, seen, score))
  numbers = summary(*map(np.array, (haar, scores, offsets, kinds)))
  return numbers, photos, np.array(offsets)


def _marked(photo, points, predicted, seen, score):
  marked = cv2.resize(photo[..., ::-1], None, fx=1.5, fy=1.5)
  for place, shade in ((points, (0, 200, 0)), (predicted, (0, 0, 255))):
    for x, y in 1.5 * place:
      cv2.circle(marked, (round(x), round(y)), 1, shade, -1)
  if not seen or score <= 0:
    cv2.rectangle(marked, (0, 0), (335, 335), (0, 0, 255), 4)
  return np.hstack([cv2.resize(photo[..., ::-1], (336, 336)), marked])


def summary(haar, scores, offsets, kinds) -> dict[str, float]:
  """Shares in percent and mean point distances in percent."""
  distance = np.linalg.norm(offsets, axis=-1)
  numbers = {
    "haar": 100 * haar.mean(),
    "dlib": 100 * (scores > 0).mean(),
    "dlib_score": scores.mean(),
    "nme": distance.mean(),
    "nme_17_67": distance[:, 17:].mean(),
  }
  for name, index in landmark_groups.GROUPS.items():
    numbers[f"nme_{name}"] = distance[:, list(index)].mean()
  inner = ("brows", "nose", "eyes", "mouth")
  numbers["nme_worst"] = max(numbers[f"nme_{name}"] for name in inner)
  for kind in BACKGROUNDS:
    mine = kinds == kind
    if mine.any():
      numbers[f"haar_{kind}"] = 100 * haar[mine].mean()
      numbers[f"dlib_{kind}"] = 100 * (scores[mine] > 0).mean()
  return {name: round(float(value), 3) for name, value in numbers.items()}


def offset_table(offsets) -> str:
  """Mean offsets of the predicted points, percent, by group."""
  lines = ["  mean offset (right, down) of the predicted points, percent:"]
  for name, index in landmark_groups.GROUPS.items():
    mean = offsets[:, list(index)].mean(axis=0)
    cells = " ".join(f"{x:+.1f},{y:+.1f}" for x, y in mean)
    lines.append(f"  {name:6s} {cells}")
  return "\n".join(lines)
