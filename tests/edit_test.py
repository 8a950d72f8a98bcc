"""The command as a user runs it, on photographs of faces that are made."""

import json

from absl import flags
from absl.testing import flagsaver
import numpy as np
from PIL import Image
import pytest

from facerec_jax import app
from facerec_jax import edit
from facerec_jax.photos import alignment
from facerec_jax.photos import detection
from facerec_jax.results import face_views
from facerec_jax.results import face_warp
from tests import reconstruct_test as scenes

GROUPS = ("identity", "expression", "albedo", "rotation", "translation")
GROUPS += ("illumination",)


@pytest.fixture(scope="module")
def people(tmp_path_factory):
  """Two photographs, and what the encoder reads of them."""
  folder = tmp_path_factory.mktemp("people")
  model = scenes.fake_model.make(
    num_rings=8, expression_names=scenes.fake_model.action_unit_names()
  )
  count = len(model.expression_names)
  layout = scenes.code_vector.CodeLayout(5, count, 3)
  rng = np.random.default_rng(0)
  framed = scenes.framed_code(scenes.fake_model.make(num_rings=8))
  square = alignment.Square(np.array([130.0, 120.0]), 150.0)
  codes, faces = {}, {}
  for name in ("a", "b"):
    code = framed.replace(
      identity=rng.normal(size=5).astype(np.float32),
      expression=rng.uniform(0, 0.5, count).astype(np.float32),
      albedo=rng.normal(size=3).astype(np.float32),
    )
    photo, points = scenes.photograph(model, code, square, 240, 260)
    scenes.save(folder, f"{name}.png", photo)
    codes[name], faces[photo.tobytes()] = code, (name, points)
  (folder / "empty.png").write_bytes((folder / "a.png").read_bytes())
  Image.new("RGB", (200, 200)).save(folder / "empty.png")
  (folder / "broken.jpg").write_bytes(b"no photograph")
  return folder, model, layout, codes, faces


@pytest.fixture
def run(monkeypatch, people, tmp_path):
  """Runs the command on a.png; returns code.json and the folder."""
  folder, model, layout, codes, faces = people
  last = []

  def detect_faces(photo, **_):
    found = faces.get(photo.tobytes())
    last[:] = [found and found[0]]
    return [scenes.make_face(found[1])] if found else []

  def predict(images):
    del images
    return np.asarray(layout.flatten(codes[last[0]]))[None]

  encoder = scenes.make_encoder(model, None, layout=layout, predict=predict)
  monkeypatch.setattr(detection, "detect_faces", detect_faces)
  monkeypatch.setattr(edit.trained_encoder, "load", lambda source: encoder)
  monkeypatch.setattr(edit.photo_flags, "load_predictor", lambda: None)
  monkeypatch.setattr(face_warp, "SIZE", 160)
  monkeypatch.setattr(face_views, "VIEW_SIZE", 64)
  if not flags.FLAGS.is_parsed():
    flags.FLAGS.mark_as_parsed()

  def command(**values):
    values = {
      "checkpoint": "DIR",
      "input": str(folder / "a.png"),
      "output": str(tmp_path / "out"),
      "frames": 0,
      "refine": 0,
    } | values
    with flagsaver.flagsaver(**values):
      edit.main()
    output = tmp_path / "out"
    return json.loads((output / "code.json").read_text("utf-8")), output

  return command


def compare(content, code):
  """Groups that differ from a code, beyond the digits of JSON."""
  return {
    name
    for name in GROUPS
    if not np.allclose(content[name], getattr(code, name), atol=1e-6)
  }


def test_expression_from_another_photograph(run, people):
  folder, _, _, codes, _ = people
  content, output = run(expression=f"from:{folder / 'b.png'}", frames=3)
  assert compare(content, codes["a"]) == {"expression"}
  np.testing.assert_allclose(
    content["expression"], codes["b"].expression, atol=1e-6
  )
  # In the binary file, which rounds nothing, to the last bit.
  arrays = np.load(output / "code.npz")
  for name in set(GROUPS) - {"expression"}:
    np.testing.assert_array_equal(arrays[name], getattr(codes["a"], name))
  assert content["edits"] == {"expression": f"from:{folder / 'b.png'}"}
  names = {path.name for path in output.iterdir()}
  assert names >= {"blended.png", "edited.png", "strip.png", "sweep.gif"}
  assert names >= {"sweep.mp4", "mesh.glb", "code.json", "code.npz"}
  before = np.asarray(Image.open(folder / "a.png"))
  after = np.asarray(Image.open(output / "blended.png"))
  assert before.shape == after.shape
  assert (before != after).any()
  # 2 on the way, both ends held for 1 picture each, and back.
  assert Image.open(output / "sweep.gif").n_frames == 6


def test_difference_from_the_drivers_neutral(run, people):
  folder, _, _, codes, _ = people
  content, output = run(
    expression=f"from:{folder / 'b.png'}",
    driver_neutral=str(folder / "b.png"),
  )
  assert not compare(content, codes["a"])
  np.testing.assert_array_equal(
    Image.open(output / "blended.png"), Image.open(folder / "a.png")
  )


def test_same_light_returns_the_same_image(run, people):
  folder, _, _, codes, _ = people
  content, output = run(light=f"from:{folder / 'a.png'}")
  assert not compare(content, codes["a"])
  np.testing.assert_array_equal(
    Image.open(output / "blended.png"), Image.open(folder / "a.png")
  )


def test_several_edits_of_a_code(run, people, tmp_path):
  """A written code is edited further, without a photograph."""
  _, model, _, codes, _ = people
  content, output = run(expression="happiness:0.5")
  smile = model.expression_names.index("AU12_L")
  assert content["expression"][smile] > 0.2
  first = output / "code.json"
  path = tmp_path / "first.json"
  # As if a long lens had been found.
  path.write_text(
    first.read_text("utf-8").replace('_degrees": 22', '_degrees": 9')
  )
  for name in ("blended.png", "photo.png"):
    (output / name).unlink()
  content, output = run(
    input=str(path), pose="5,-10,0", albedo="1.5", light="left"
  )
  differing = compare(content, codes["a"])
  assert differing == {"expression", "rotation", "albedo", "illumination"}
  np.testing.assert_allclose(
    np.degrees(content["rotation"]), [5, -10, 0], atol=1e-4
  )
  assert content["albedo"][0] == 1.5
  assert content["field_of_view_degrees"] == pytest.approx(9)
  assert not (output / "blended.png").exists()
  assert (output / "strip.png").exists()


def test_bad_drivers_give_one_line(run, people, tmp_path):
  folder, *_ = people
  content, _ = run(expression="neutral")
  other = tmp_path / "other.json"
  other.write_text(json.dumps(content | {"morphable_model": "flame"}))
  short = tmp_path / "short.json"
  short.write_text(json.dumps(content | {"identity": [1.0]}))
  for path, kind, message in (
    (folder / "empty.png", app.WorkError, "no face was found"),
    (folder / "broken.jpg", app.UsageError, ""),
    (folder / "missing.jpg", app.UsageError, ""),
    (folder / "missing.mp4", app.UsageError, "no such file"),
    (other, app.UsageError, "a code of the face model 'flame', but the "),
    (short, app.UsageError, "identity has the shape (1,), but the encoder"),
  ):
    with pytest.raises(kind) as error:
      run(expression=f"from:{path}")
    text = str(error.value)
    assert text.startswith(f"{path}: {message}"), text
    assert "\n" not in text


def test_wrong_usage(run):
  for values, message in (
    ({}, "nothing to edit"),
    ({"expression": "joy"}, "--expression=joy: want"),
    ({"light": "left", "neutral": "x.jpg"}, "--neutral is for --expression"),
    ({"light": "left", "photo": "x.jpg"}, "--photo is for a code.json"),
    (
      {"expression": "anger", "driver_neutral": "x.jpg"},
      "--driver_neutral is for --expression=from",
    ),
  ):
    with pytest.raises(app.UsageError, match=f"^{message}"):
      run(**values)
  with pytest.raises(app.WorkError, match="1 found; --face=3 does not exist"):
    run(light="left", face=3)
