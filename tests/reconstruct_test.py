"""The app: faces land where they are, and no photograph stops the others."""

import json
import math
import pathlib
import types

from absl import flags
from absl.testing import flagsaver
import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image
import pytest

from facerec_jax import app
from facerec_jax import reconstruct
from facerec_jax import reconstruction
from facerec_jax import refining
from facerec_jax import trained_expression
from facerec_jax.face import code_vector
from facerec_jax.face import landmarks
from facerec_jax.photos import alignment
from facerec_jax.photos import detection
from facerec_jax.render import color
from facerec_jax.render import geometry
from facerec_jax.render import renderer
from facerec_jax.results import face_views
from facerec_jax.synthesis import priors
from facerec_jax.training import code_prior
from tests import commands
from tests import fake_model

SIZE = 64
LAYOUT = code_vector.CodeLayout(5, 4, 3)
FILES = {
  *("overlay.png", "face.png", "photo.png", "input.png", "rendering.png"),
  *("geometry.png", "left.png", "right.png", "mesh.glb", "mesh.obj"),
  *("mesh.ply", "viewer.html"),
  *("code.json", "code.npz"),
}


project = jax.jit(renderer.project_landmarks)
render = jax.jit(renderer.render, static_argnames=("height", "width"))


@pytest.fixture(scope="module")
def model():
  return fake_model.make(num_rings=8)


@pytest.fixture(autouse=True)
def small_views(monkeypatch):
  """Pictures for people are large, and slow in programs made for tests."""
  monkeypatch.setattr(face_views, "VIEW_SIZE", 128)


def framed_code(model):
  """A code whose face fills the square of the reference camera."""
  camera = geometry.reference_camera(SIZE)
  code = LAYOUT.neutral().replace(
    identity=jnp.array([1.0, -1.0, 0.5, 0.0, 1.0]),
    albedo=jnp.array([1.0, 0.5, -1.0]),
    rotation=jnp.array([0.1, 0.25, -0.15]),
  )
  for _ in range(20):
    points = project(model, camera, code)
    center, side = landmarks.framing(points)
    x, y, z = code.translation
    step = (SIZE / 2 - center) * -z / camera.focal
    moved = jnp.array([x + step[0], y - step[1], z * side / SIZE])
    code = code.replace(translation=moved)
  return code


@pytest.fixture(scope="module")
def code(model):
  return framed_code(model)


def make_encoder(model, code, **changes):
  def predict(images):
    assert images.shape[1:] == (SIZE, SIZE, 3)
    return jnp.tile(LAYOUT.flatten(code), (len(images), 1))

  fields = {
    "model": model,
    "layout": LAYOUT,
    "image_size": SIZE,
    "face_mask": False,
    "predict": predict,
    "error_covariance": None,
  } | changes
  return types.SimpleNamespace(predict_twice=fields["predict"], **fields)


def photograph(model, code, square, height, width, degrees=22.0):
  """A photo with the face in a square of it, and its landmarks there.

  Rendered by a camera of the whole photo, which sees the square under an angle;
  the code is that of a face as large at 22 degrees. Independent of crop and its
  inverse, and of `dolly_zoom`.
  """
  focal, usual = (
    square.side / 2 / math.tan(math.radians(angle) / 2)
    for angle in (degrees, 22.0)
  )
  camera = geometry.Camera(
    jnp.float32(focal), jnp.asarray(square.center, jnp.float32)
  )
  x, y, z = code.translation
  code = code.replace(translation=jnp.array([x, y, z * focal / usual]))
  full = render(model, camera, code, height=height, width=width)
  image = np.asarray(color.linear_to_srgb(full.image))
  image = np.where(np.asarray(full.mask)[..., None], image, 0.6)
  points = project(model, camera, code)
  return np.round(image * 255).astype(np.uint8), np.asarray(points, np.float64)


def make_face(points, scale=1.0, **fields):
  low, high = points.min(axis=0), points.max(axis=0)
  box = (*map(float, low), *map(float, (high - low) * scale))
  return detection.Face(box, 1.5, "dlib", points, **fields)


@pytest.fixture(scope="module")
def scene(model, code):
  """A photograph, its face, where the face is."""
  square = alignment.Square(np.array([210.0, 150.5]), 190.0)
  photo, points = photograph(model, code, square, 300, 400)
  return photo, make_face(points), points


def save(folder, name, photo):
  path = folder / name
  Image.fromarray(photo).save(path)
  return path


def find(monkeypatch, answers):
  """Makes the detector give the faces of `answers`, photo by photo."""
  remaining = iter(answers)

  def detect_faces(photo, *, detector, predictor):
    del photo, detector, predictor
    answer = next(remaining)
    if isinstance(answer, BaseException):
      raise answer
    return answer

  monkeypatch.setattr(detection, "detect_faces", detect_faces)


def read(output):
  return json.loads((output / "summary.json").read_text("utf-8"))


def no_predictor(photo, square):
  raise AssertionError("asked although the detector is a fake one")


def run(encoder, photos, output):
  return reconstruct.reconstruct_photos(
    encoder, photos, output, predictor=no_predictor
  )


def test_face_lands_where_it_is(tmp_path, monkeypatch, model, code, scene):
  photo, face, points = scene
  find(monkeypatch, [[face]])
  path = save(tmp_path, "one.png", photo)
  run(make_encoder(model, code), [path], tmp_path)
  folder = tmp_path / "one" / "face_0"
  assert {file.name for file in folder.iterdir()} == FILES
  content = json.loads((folder / "code.json").read_text())
  np.testing.assert_allclose(content["landmarks68"], points, atol=0.1)
  np.testing.assert_allclose(content["detected_landmarks68"], points, atol=1e-3)
  np.testing.assert_allclose(content["box"], face.box, rtol=1e-5)
  assert content["detector"] == "dlib" and content["score"] == 1.5
  np.testing.assert_allclose(content["rotation"], code.rotation, rtol=1e-5)
  np.testing.assert_allclose(
    content["pose_degrees"], np.degrees(code.rotation), rtol=1e-5
  )
  assert content["landmark_error"] < 0.002
  # The overlay hides the face behind itself.
  overlay = np.asarray(Image.open(folder / "overlay.png")).astype(float)
  behind = np.asarray(Image.open(folder / "photo.png")).astype(float)
  assert np.abs(overlay - behind).mean() < 1.0
  assert content["photometric_error"] < 0.01


def test_a_lens_of_its_own_is_drawn_as_it_is(
  tmp_path, monkeypatch, model, code
):
  square = alignment.Square(np.array([210.0, 150.5]), 190.0)
  photo, points = photograph(model, code, square, 300, 400, degrees=9.0)
  # Without points, whose framing another perspective changes.
  face = detection.Face(alignment.square_box(square, "none"), 1.0, "none")
  errors = {"photometric_error": 0.0}

  def refiner(photo, face, flat):
    facts = {"steps": 1, "before": errors, "after": errors}
    return refining.Outcome(flat, math.radians(9.0), facts)

  found = []
  for name, fit in (("known", refiner), ("unknown", None)):
    find(monkeypatch, [[face]])
    output = tmp_path / name
    reconstruct.reconstruct_photos(
      make_encoder(model, code),
      [save(tmp_path, "one.png", photo)],
      output,
      predictor=no_predictor,
      refiner=fit,
    )
    text = (output / "one/face_0/code.json").read_text("utf-8")
    found.append(json.loads(text))
  known, unknown = found
  assert known["field_of_view_degrees"] == pytest.approx(9.0)
  assert unknown["field_of_view_degrees"] == pytest.approx(22.0)
  np.testing.assert_allclose(known["landmarks68"], points, atol=0.1)
  assert np.abs(unknown["landmarks68"] - points).max() > 1.0
  assert known["photometric_error"] < unknown["photometric_error"]
  page = (tmp_path / "known/index.html").read_text("utf-8")
  assert "9° across the square" in page


def test_wrong_place_is_seen_in_the_errors(
  tmp_path, monkeypatch, model, code, scene
):
  photo, face, _ = scene
  find(monkeypatch, [[face]])
  aside = code.replace(translation=code.translation + jnp.array([20.0, 0, 0]))
  path = save(tmp_path, "one.png", photo)
  ((record,),) = [
    r["faces"] for r in run(make_encoder(model, aside), [path], tmp_path)
  ]
  # 20 mm are about a quarter of the outer-canthal distance of this face.
  assert 0.15 < record["landmark_error"] < 0.35
  assert record["photometric_error"] > 0.02


@pytest.mark.parametrize("has_landmarks", (True, False))
def test_refinement_brings_a_face_to_its_place(
  tmp_path, monkeypatch, model, code, scene, has_landmarks
):
  photo, face, _ = scene
  if not has_landmarks:
    # The square that the landmarks gave, as a box.
    box = alignment.square_box(face.square, "dlib")
    face = detection.Face(box, 1.5, "dlib")
  find(monkeypatch, [[face]])
  aside = code.replace(translation=code.translation + jnp.array([8.0, 0, 0]))
  bank = priors.make_bank(
    jax.random.key(0),
    model,
    LAYOUT,
    camera=geometry.reference_camera(SIZE),
    size=256,
  )
  encoder = make_encoder(
    model, aside, prior=code_prior.measure(model, LAYOUT, bank)
  )
  reconstruct.reconstruct_photos(
    encoder,
    [save(tmp_path, "one.png", photo)],
    tmp_path,
    predictor=no_predictor,
    refiner=refining.create(encoder, 40),
  )
  folder = tmp_path / "one" / "face_0"
  assert {file.name for file in folder.iterdir()} == FILES | {"before.png"}
  content = json.loads((folder / "code.json").read_text())
  refined = content["refinement"]
  before, after = refined["before"], refined["after"]
  assert refined["steps"] == 40
  assert after["energy"] < 0.7 * before["energy"]
  assert after["photometric_error"] < before["photometric_error"]
  assert ("landmark_error" in after) == has_landmarks
  if has_landmarks:
    assert content["landmark_error"] < 0.5 * before["landmark_error"]
  page = (tmp_path / "index.html").read_text("utf-8")
  assert "before.png" in page and "40 steps, " in page


def test_the_named_expression_is_in_code_and_page(
  tmp_path, monkeypatch, model, code, scene
):
  """Its shares are those of the expression that the encoder reads."""
  photo, face, _ = scene
  find(monkeypatch, [[face]])
  expression = jnp.array([0.1, 0.2, 0.3, 0.25])

  def predict(codes):
    np.testing.assert_allclose(codes, [expression], atol=1e-6)
    probabilities = np.full((1, 7), 0.05)
    probabilities[0, 3] = 0.7
    return trained_expression.Predictions(probabilities, np.eye(7)[3:4], 0.5)

  reconstruct.reconstruct_photos(
    make_encoder(model, code.replace(expression=expression)),
    [save(tmp_path, "one.png", photo)],
    tmp_path,
    predictor=no_predictor,
    recognizer=types.SimpleNamespace(predict=predict, refine_steps=0),
  )
  content = json.loads((tmp_path / "one/face_0/code.json").read_text())
  named = content["shown_expression"]
  assert named["label"] == "happiness" and named["intensity"] == 1.0
  assert named["probabilities"]["happiness"] == 0.7
  page = (tmp_path / "index.html").read_text("utf-8")
  assert "happiness 70 %, intensity 1.0 of 5" in page


@pytest.mark.parametrize("learned_from_refined", (False, True))
def test_expressions_are_named_from_the_codes_that_networks_know(
  model, code, scene, learned_from_refined
):
  photo, face, _ = scene
  named = []

  def predict(codes):
    named.append(codes)
    return types.SimpleNamespace(describe=lambda index: {})

  reconstruction.reconstruct(
    make_encoder(model, code),
    photo,
    face,
    refiner=lambda photo, face, flat: refining.Outcome(flat + 1, 0.4, {}),
    recognizer=types.SimpleNamespace(
      predict=predict, refine_steps=100 * learned_from_refined
    ),
  )
  ((answer,),) = named
  np.testing.assert_allclose(answer, code.expression + learned_from_refined)


@pytest.mark.parametrize("refined", (False, True))
def test_only_fits_read_the_mirror_too(model, code, scene, refined):
  photo, face, _ = scene
  encoder = make_encoder(model, code)
  encoder.predict_twice = lambda images: encoder.predict(images) + 0.5
  result = reconstruction.reconstruct(
    encoder,
    photo,
    face,
    refiner=(lambda photo, face, flat: refining.Outcome(flat, 0.4, {}))
    if refined
    else None,
  )
  np.testing.assert_allclose(
    result.code.identity, code.identity + 0.5 * refined, atol=1e-6
  )


def test_face_at_the_border(tmp_path, monkeypatch, model, code):
  square = alignment.Square(np.array([60.0, 80.0]), 190.0)
  photo, points = photograph(model, code, square, 300, 400)
  find(monkeypatch, [[make_face(points)]])
  path = save(tmp_path, "border.png", photo)
  (record,) = run(make_encoder(model, code), [path], tmp_path)
  assert record["status"] == "reconstructed"
  shown = np.asarray(Image.open(tmp_path / "border/face_0/photo.png"))
  # Beyond the photograph there is plain grey, no smeared edge.
  side = 190.0 * face_views.VIEW_SIDES
  beyond = int((side / 2 - 60.0) / side * face_views.VIEW_SIZE) - 1
  assert len(np.unique(shown[:, :beyond])) == 1
  assert len(np.unique(shown[:, beyond + 3])) > 1
  assert record["faces"][0]["photometric_error"] < 0.01


def test_every_photograph_is_named(tmp_path, monkeypatch, model, code, scene):
  photo, face, _ = scene
  small = detection.Face((5.0, 6.0, 70.0, 70.0), 0.7, "haar")
  output = tmp_path / "out"
  output.mkdir()
  broken = tmp_path / "broken.jpg"
  broken.write_bytes(b"no image")
  photos = [
    save(tmp_path, "several.png", photo),
    broken,
    save(tmp_path, "empty.png", photo),
    save(tmp_path, "strange.png", photo),
    tmp_path / "missing.png",
  ]
  find(monkeypatch, [[face, small], [], RuntimeError("a\nstrange fault")])
  returned = run(make_encoder(model, code), photos, output)
  records = read(output)["photos"]
  assert [r["file"] for r in records] == [path.name for path in photos]
  assert [r["status"] for r in records] == [r["status"] for r in returned]
  assert [r["status"] for r in records] == [
    *("reconstructed", "unreadable", "no face", "failed", "unreadable"),
  ]
  assert all("\n" not in r["message"] for r in records)
  assert "broken.jpg" in records[1]["message"]
  assert records[3]["message"] == "a strange fault"
  assert read(output)["counts"] == {"photos": 5, "reconstructed": 1}
  faces = records[0]["faces"]
  assert [f["folder"] for f in faces] == ["several/face_0", "several/face_1"]
  assert [f["detector"] for f in faces] == ["dlib", "haar"]
  assert faces[1]["landmark_error"] is None
  page = (output / "index.html").read_text("utf-8")
  for part in ("several.png, face 2 of 2", "empty.png: no face", "a strange"):
    assert part in page
  for file in FILES - {"code.npz"}:
    assert f"several/face_1/{file}" in page
  one = json.loads((output / "several/face_1/code.json").read_text())
  assert one["detected_landmarks68"] is None


def test_one_bad_face_leaves_the_others(
  tmp_path, monkeypatch, model, code, scene
):
  photo, face, _ = scene
  find(monkeypatch, [[face, face, face]])
  answers = iter([1.0, jnp.nan, 1.0])
  encoder = make_encoder(model, code)
  good = encoder.predict

  def predict(images):
    return good(images) * next(answers)

  encoder.predict = predict
  path = save(tmp_path, "three.png", photo)
  (record,) = run(encoder, [path], tmp_path)
  assert record["status"] == "reconstructed"
  states = [face["status"] for face in record["faces"]]
  assert states == ["reconstructed", "failed", "reconstructed"]
  assert "not finite" in record["faces"][1]["message"]
  assert "Faces: 2." in (tmp_path / "index.html").read_text()


def test_an_interruption_keeps_what_is_done(
  tmp_path, monkeypatch, model, code, scene
):
  photo, face, _ = scene
  find(monkeypatch, [[face], KeyboardInterrupt()])
  photos = [save(tmp_path, name, photo) for name in ("a.png", "b.png")]
  with pytest.raises(KeyboardInterrupt):
    run(make_encoder(model, code), photos, tmp_path)
  assert [r["file"] for r in read(tmp_path)["photos"]] == ["a.png"]
  assert "a/face_0/overlay.png" in (tmp_path / "index.html").read_text()


def test_encoder_sees_what_it_was_trained_on(
  tmp_path, monkeypatch, model, code, scene
):
  photo, face, _ = scene
  path = save(tmp_path, "one.png", photo)
  seen = []
  for face_mask in (True, False):
    encoder = make_encoder(model, code, face_mask=face_mask)
    good = encoder.predict
    encoder.predict = lambda x, good=good: seen.append(x[0]) or good(x)
    find(monkeypatch, [[face]])
    run(encoder, [path], tmp_path)
  wanted = alignment.crop(photo, face.square, SIZE)
  np.testing.assert_array_equal(seen[1], wanted)
  assert (seen[0][0] == 0).all() and not (wanted[0] == 0).all()
  assert (seen[0][SIZE // 2, SIZE // 2] == wanted[SIZE // 2, SIZE // 2]).all()


def test_without_landmarks_the_results_say_what_is_lost(
  tmp_path, monkeypatch, model, code, scene
):
  photo, _, _ = scene
  find(monkeypatch, [[detection.Face((100.0, 50.0, 120.0, 120.0), 1, "haar")]])
  path = save(tmp_path, "one.png", photo)
  reconstruct.reconstruct_photos(make_encoder(model, code), [path], tmp_path)
  assert "--landmark_model" in read(tmp_path)["problem"]
  assert "--landmark_model" in (tmp_path / "index.html").read_text()


@pytest.mark.parametrize(
  "names, wanted",
  (
    (("a.png", "b.jpg"), ["a", "b"]),
    (("a.png", "a.jpg", "A.tif", "b.jpg"), ["a", "a_2", "A_3", "b"]),
    (("a_2.png", "a.jpg", "a.png"), ["a_2", "a", "a_3"]),
    (("x y.tar.png",), ["x y.tar"]),
  ),
)
def test_folders_are_named_apart(names, wanted):
  paths = [pathlib.Path("in") / name for name in names]
  assert reconstruct.folder_names(paths) == wanted


def test_real_photograph_is_found_and_framed(tmp_path, model, code):
  data = pytest.importorskip("skimage.data")
  photo = data.astronaut()
  path = save(tmp_path, "astronaut.png", photo)
  encoder = make_encoder(model, code)
  (record,) = reconstruct.reconstruct_photos(encoder, [path], tmp_path)
  (face,) = record["faces"]
  content = json.loads((tmp_path / face["folder"] / "code.json").read_text())
  # The astronaut's eyes, nose and chin lie within these columns and rows.
  center = np.mean(content["landmarks68"], axis=0)
  np.testing.assert_allclose(center, [222, 115], atol=25)


def call_main(monkeypatch, encoder, **values):
  if not flags.FLAGS.is_parsed():
    flags.FLAGS(["test"])
  monkeypatch.setattr(
    reconstruct.trained_encoder, "load", lambda workdir: encoder
  )
  values = {k: str(v) for k, v in values.items()}
  values = {"expression_model": "none", "refine": 0} | values
  with flagsaver.flagsaver(**values):
    reconstruct.main()


def test_nothing_reconstructed_is_a_failure(
  tmp_path, monkeypatch, model, code, scene
):
  path = save(tmp_path, "empty.png", scene[0])
  find(monkeypatch, [[]])
  output = tmp_path / "new" / "folder"
  with pytest.raises(app.WorkError, match="empty.png: no face was found"):
    call_main(
      monkeypatch,
      make_encoder(model, code),
      checkpoint=tmp_path,
      input=path,
      output=output,
    )
  assert read(output)["photos"][0]["status"] == "no face"


@pytest.mark.parametrize(
  "changes, message",
  (
    ({"input": "nothing_there"}, "nothing_there"),
    ({"landmark_model": "no.dat"}, "no.dat: no such landmark model"),
    ({"output": "photo.png"}, "photo.png"),
  ),
)
def test_usage_errors(tmp_path, monkeypatch, changes, message, scene):
  save(tmp_path, "photo.png", scene[0])
  values = {"checkpoint": ".", "input": "photo.png", "output": "out"}
  values = {k: tmp_path / v for k, v in (values | changes).items()}
  with pytest.raises(app.UsageError, match=message):
    call_main(monkeypatch, None, **values)


def command(*arguments):
  root = pathlib.Path(__file__).parent.parent
  return commands.run("reconstruct", *arguments, cwd=root)


def test_command_line_without_a_checkpoint(tmp_path, scene):
  path = save(tmp_path, "photo.png", scene[0])
  result = command(
    f"--checkpoint={tmp_path}", f"--input={path}", f"--output={tmp_path}/out"
  )
  assert result.returncode == 2
  last = result.stderr.strip().splitlines()[-1]
  assert last.startswith("error: ") and "holds no checkpoint" in last


def test_command_line_with_a_negative_refinement():
  result = command("--refine=-1")
  assert result.returncode == 2
  last = result.stderr.strip().splitlines()[-1]
  assert last.startswith("error: ") and "--refine=-1" in last


def test_command_line_without_arguments():
  result = command()
  assert result.returncode == 2
  assert "error: --input is missing" in result.stderr
