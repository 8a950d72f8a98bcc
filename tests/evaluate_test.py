"""The suites on a tiny encoder: known faces and errors, files, exit codes."""

import csv
import dataclasses
import html.parser
import json
import types

from absl import flags
from absl.testing import flagsaver
import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image
import pytest
import tiny_experiment

from facerec_jax import app
from facerec_jax import evaluate
from facerec_jax import experiment as experiments
from facerec_jax import scenes
from facerec_jax import trained_encoder
from facerec_jax import training_run
from facerec_jax.evaluation import cross_model
from facerec_jax.evaluation import dense
from facerec_jax.evaluation import groups
from facerec_jax.evaluation import outcome as outcomes
from facerec_jax.evaluation import photos
from facerec_jax.evaluation import running
from facerec_jax.evaluation import scan_distance
from facerec_jax.evaluation import scan_files
from facerec_jax.evaluation import scan_meter
from facerec_jax.evaluation import scans
from facerec_jax.evaluation import summary
from facerec_jax.evaluation import synthetic
from facerec_jax.face import landmarks
from facerec_jax.face import morphable_model
from facerec_jax.photos import annotations
from facerec_jax.photos import detection
from facerec_jax.render import color
from facerec_jax.render import geometry
from facerec_jax.render import renderer
from facerec_jax.synthesis import code_bank
from facerec_jax.training import parallel
from tests import fake_model

SIZE = 200


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
  """An untrained one, moved off the mean face that it would answer."""
  experiment = experiments.build(
    tiny_experiment.config(tmp_path_factory.mktemp("run"))
  )
  bank = scenes.make_bank(experiment, experiment.seed)
  state = scenes.initial_state(experiment, *code_bank.statistics(bank))
  params = jax.tree.map(lambda leaf: leaf + 0.02, state.params)
  return trained_encoder.TrainedEncoder(
    experiment=experiment, state=state.replace(params=params)
  )


def knowing(encoder, answers):
  """An encoder that gives these flat codes, one after another."""
  remaining = iter(answers)

  def predict(images):
    return jnp.stack([jnp.asarray(next(remaining)) for _ in images])

  fields = (
    *("model", "layout", "image_size", "face_mask", "camera"),
    *("experiment", "state"),
  )
  known = {name: getattr(encoder, name) for name in fields}
  return types.SimpleNamespace(**known, predict=predict)


@pytest.fixture(scope="module")
def person(encoder):
  """(flat code, photograph, 68 points in it) of one face."""
  bank = scenes.make_bank(encoder.experiment, 5)
  flat = bank.centers[0]
  code = encoder.layout.unflatten(flat)
  camera = geometry.reference_camera(SIZE)
  render = jax.jit(renderer.render, static_argnames=("height", "width"))
  full = render(encoder.model, camera, code, height=SIZE, width=SIZE)
  image = np.asarray(color.linear_to_srgb(full.image))
  image = np.where(np.asarray(full.mask)[..., None], image, 0.6)
  points = jax.jit(renderer.project_landmarks)(encoder.model, camera, code)
  return flat, np.round(image * 255).astype(np.uint8), np.asarray(points, float)


def found_face(points):
  low, high = points.min(axis=0), points.max(axis=0)
  return detection.Face((*low, *(high - low)), 1.0, "dlib", points)


def framed(encoder, flat, points):
  """The code as it is read from the square that the landmarks frame."""
  center, side = landmarks.framing(points)
  code = encoder.layout.unflatten(flat)
  camera = geometry.reference_camera(SIZE)
  x, y, z = code.translation
  step = (SIZE / 2 - center) * -z / camera.focal
  # Small errors of perspective remain.
  moved = jnp.array([x + step[0], y - step[1], z * side / SIZE])
  moved = moved.at[:2].multiply(side / SIZE)
  return encoder.layout.flatten(code.replace(translation=moved))


@pytest.fixture(scope="module")
def other(encoder):
  """The encoder's own model, its vertices in another order, other modes."""
  model = fake_model.make(num_rings=6)
  return model.replace(name="other")


def test_synthetic_agrees_with_the_evaluation_of_training(encoder, tmp_path):
  found = synthetic.run(encoder, tmp_path, count=8)
  experiment, state = encoder.experiment, encoder.state
  scene = scenes.held_out_scene(experiment, state.code_mean, state.code_std)
  assert (np.abs(np.subtract(*found.errors("vertex_mm"))) > 1e-3).all()
  means = training_run.evaluate(experiment, *parallel.replicate((state, scene)))
  assert len(found.examples) == 8
  for name in found.metrics:
    errors, mean_face = found.errors(name)
    assert errors.mean() == pytest.approx(means[name], rel=1e-4)
    wanted = means[f"mean_face/{name}"]
    assert mean_face.mean() == pytest.approx(wanted, rel=1e-4)
  assert {"heat.png", "best.png", "worst.png"} == {
    path.name for path in tmp_path.iterdir()
  }
  assert {"yaw", "skin tone", "expression"} <= set(found.examples[0].groups)
  scene, few = synthetic.read_held_out(encoder, 3)
  first = [example.errors["vertex_mm"] for example in found.examples[:3]]
  np.testing.assert_array_equal(few.errors["vertex_mm"][:, 0], first)
  # Refined codes are judged instead of what was read.
  answers = iter(few.true)
  knows = types.SimpleNamespace(
    fit=lambda *_: types.SimpleNamespace(flat=next(answers))
  )
  refined = synthetic._refined(encoder, knows, scene, few)
  np.testing.assert_array_equal(refined.read, few.true)
  for name, errors in refined.errors.items():
    assert errors[:, 0].max() < 1e-2
    np.testing.assert_array_equal(errors[:, 1], few.errors[name][:, 1])


def test_a_perfect_reading_of_another_model_has_no_error(
  encoder, other, tmp_path
):
  """The other model is the encoder's own: what is left is correspondence."""
  layout = cross_model._layout(encoder, other)
  faces = cross_model._sample(encoder, other, layout, 3, 3)
  own = encoder.layout
  truth = [own.flatten(layout.unflatten(code)) for code in faces.code]
  found = cross_model.run(
    knowing(encoder, truth), tmp_path, other=other, count=3, seed=3
  )
  for name, most in (("vertex_mm", 0.3), ("now_mm", 0.1), ("metric_mm", 0.1)):
    errors, mean_face = found.errors(name)
    assert errors.max() < most
    assert (mean_face > 3 * errors).all()
  rows = {row[0]: row for row in summary.rows(found)}
  assert rows["scan to mesh, scaled (NoW), mm"][-1] == "100 %"
  assert found.distances["now_mm"].summary()["encoder"]["median"] < 0.05
  assert len(list(tmp_path.iterdir())) == 4


def test_correspondence_of_a_model_with_itself(encoder):
  model = encoder.model
  found = dense.correspond(model, model)
  counted = found.weights > 0
  assert (
    counted.sum() > 0.6 * np.asarray(morphable_model.face_weights(model)).sum()
  )
  mean = np.asarray(model.mean, float)
  gap = np.linalg.norm(found.carry(mean) - mean, axis=1)[counted]
  assert gap.mean() < 0.3


def test_photographs_with_known_points(encoder, person, tmp_path, monkeypatch):
  flat, picture, points = person
  for name in ("a.png", "b.png"):
    Image.fromarray(picture).save(tmp_path / name)
  (tmp_path / "broken.png").write_bytes(b"no image")
  files = [tmp_path / n for n in ("a.png", "broken.png", "b.png", "c.png")]
  Image.fromarray(picture).save(files[3])
  faces = iter([[found_face(points)], [found_face(points)], []])
  monkeypatch.setattr(detection, "detect_faces", lambda *_, **__: next(faces))
  shifted = points.copy()
  shifted[30] += 1000.0
  width = np.linalg.norm(points[36] - points[45])
  known = {
    "a.png": annotations.Annotation(
      shifted, reliable=tuple(k for k in range(68) if k != 30)
    ),
    "b.png": annotations.Annotation(points + [0.1 * width, 0.0]),
  }
  read = framed(encoder, flat, points)
  found = photos.run(
    knowing(encoder, [read, read]),
    tmp_path / "out",
    photos=files,
    known=known,
    predictor=None,
  )
  first, second = found.examples
  assert first.errors["dlib_nme"] < 0.02
  # The unreliable point does not count; all points are a tenth off.
  assert first.errors["given_nme"] < 0.02
  assert second.errors["given_nme"] == pytest.approx(0.1, abs=0.02)
  assert first.errors["photometric"] < 0.05 < first.mean_face["dlib_nme"] + 1
  assert [p.split(":")[0] for p in found.problems] == ["broken.png", "c.png"]
  assert found.facts == (("Faces found", "2 of 4 photographs"),)


def test_the_annotated_face_of_a_crowd_is_taken(person):
  _, _, points = person
  large, small = found_face(3 * points + 500), found_face(points)
  annotation = annotations.Annotation(points + 4.0)
  assert photos.choose([large, small], annotation) is small
  assert photos.choose([large, small], annotations.Annotation()) is large


@pytest.fixture
def scanned(encoder, person, tmp_path):
  """A folder: the neutral scan in metres, turned, and photographs of it."""
  flat, picture, _ = person
  code = encoder.layout.unflatten(flat)
  neutral = morphable_model.vertices(
    encoder.model, code.identity, 0 * code.expression
  )
  turned = geometry.to_camera(
    neutral, jnp.array([0.3, -1.0, 0.2]), jnp.array([100.0, 20.0, 5.0])
  )
  turned = np.asarray(turned, float)
  triangles = np.asarray(encoder.model.triangles)
  folder = tmp_path / "scans"
  folder.mkdir()
  for name in ("anna", "bert"):
    scale = 0.001 if name == "anna" else 1.0
    lines = ["v {:.7f} {:.7f} {:.7f}".format(*p) for p in scale * turned]
    lines += ["f {} {} {}".format(*t) for t in 1 + triangles]
    (folder / f"{name}.obj").write_text("\n".join(lines))
  marks = np.asarray(encoder.model.landmarks).tolist()
  (folder / "anna.json").write_text(json.dumps({"landmarks68_vertices": marks}))
  seven = turned[[marks[k] for k in scan_distance.LANDMARKS]]
  (folder / "bert.pp").write_text(
    "<PickedPoints>"
    + "".join(f'<point x="{x}" y="{y}" z="{z}"/>' for x, y, z in seven)
    + "</PickedPoints>"
  )
  for name in ("anna.png", "bert_left.png", "bert-2.png"):
    Image.fromarray(picture).save(folder / name)
  return folder


def test_a_scan_of_the_face_that_was_read(
  encoder, person, scanned, tmp_path, monkeypatch
):
  flat, _, points = person
  monkeypatch.setattr(
    detection, "detect_faces", lambda *_, **__: [found_face(points)]
  )
  (scanned / "carl.ply").write_bytes(b"no mesh")
  found = scans.run(
    knowing(encoder, [flat] * 3),
    tmp_path / "out",
    entries=scan_files.list_scans(scanned),
    predictor=None,
  )
  names = [example.name for example in found.examples]
  assert names == ["anna.png", "bert-2.png", "bert_left.png"]
  for example in found.examples:
    assert example.errors["now_mm"] < 0.01
    assert example.errors["metric_mm"] < 0.01
    assert example.mean_face["metric_mm"] > 0.3
  (problem,) = found.problems
  assert problem.startswith("carl.ply: unreadable mesh")


def test_scan_folders_that_do_not_fit(scanned, tmp_path):
  entries = {e.name: e for e in scan_files.list_scans(scanned)}
  (scanned / "anna.json").write_text('{"unit": "inch", "landmarks7": []}')
  for content, message in (
    ('{"unit": "inch", "landmarks7": []}', "unit 'inch' is none of mm, cm, m"),
    ('{"landmarks7": [[1, 2, 3]]}', r"got landmarks \(1, 3\), wanted \(7, 3\)"),
    ('{"landmarks7_vertices": [9999999]}', "no landmarks"),
    ("nothing", "no landmarks"),
    (
      json.dumps({"landmarks7": [[k, 0, 0] for k in range(7)]}),
      "outer corners of the eyes are 3 apart, in no known unit",
    ),
  ):
    (scanned / "anna.json").write_text(content)
    with pytest.raises(ValueError, match=message):
      scan_files.read_scan(entries["anna"])
  (scanned / "anna.json").unlink()
  with pytest.raises(ValueError, match="no landmarks in anna.json or anna.pp"):
    scan_files.read_scan(entries["anna"])
  with pytest.raises(ValueError, match="holds no mesh"):
    scan_files.list_scans(tmp_path)


def test_photographs_belong_to_the_longest_name(tmp_path):
  for name in ("a.obj", "a_1.obj", "a.png", "a_1.png", "a_1_x.png", "ab.png"):
    (tmp_path / name).write_bytes(b"")
  found = {
    e.name: [p.name for p in e.photos] for e in scan_files.list_scans(tmp_path)
  }
  assert found == {"a": ["a.png"], "a_1": ["a_1.png", "a_1_x.png"]}


def test_groups_of_codes(encoder):
  model = fake_model.make(num_rings=6, identity_names=("age", "sex"))
  layout = dataclasses.replace(encoder.layout, identity=2)
  grouper = groups.Grouper(model, layout)
  code = layout.neutral().replace(
    identity=jnp.array([-2.0, 0.0]), rotation=jnp.array([0, -0.4, 0])
  )
  found = grouper.groups(layout.flatten(code))
  assert found["yaw"].label == "15-30°"
  assert found["age"].label == "< -1" and found["sex"].label == "-0.5 to 0.5"
  assert found["expression"].label == "neutral"
  strong = code.replace(expression=jnp.full(layout.expression, 3.0))
  assert grouper.groups(layout.flatten(strong))["expression"].label == "strong"


def test_typology_angles_of_published_skin():
  """One albedo of each class, dark to very light."""
  table = np.array(
    [
      *((0.04, 0.02, 0.012), (0.16, 0.075, 0.04), (0.27, 0.14, 0.08)),
      *((0.38, 0.21, 0.14), (0.46, 0.28, 0.2), (0.56, 0.38, 0.31)),
    ]
  )
  angles = groups.typology_angle(table)
  assert (np.diff(angles) > 0).all()
  bands = [
    groups.band(a, groups.ITA_LIMITS, groups.ITA_CLASSES) for a in angles
  ]
  assert [b.rank for b in bands] == sorted(b.rank for b in bands)
  assert bands[0].label == "dark" and bands[-1].label == "very light"


def outcome(name, errors, mean_face, labels=()):
  examples = tuple(
    outcomes.Example(
      f"{k}",
      {"vertex_mm": float(e), "landmark_nme": float("nan")},
      {"vertex_mm": float(m), "landmark_nme": 0.1},
      {"yaw": groups.Band(-ord(labels[k]), labels[k])} if labels else {},
    )
    for k, (e, m) in enumerate(zip(errors, mean_face, strict=True))
  )
  return outcomes.Outcome(name, "Text", examples, ("vertex_mm", "landmark_nme"))


class Targets(html.parser.HTMLParser):
  """What a page refers to."""

  def __init__(self, text):
    super().__init__()
    self.found = []
    self.feed(text)

  def handle_starttag(self, tag, attrs):
    del tag
    self.found += [v for k, v in attrs if k in ("src", "href")]


def test_results_hold_all_examples(encoder, tmp_path):
  first = outcome("synthetic", [1, 2, 3], [2, 2, 2], "baa")
  second = outcome("scans", [4, 5], [8, 10])
  running.write_results(
    tmp_path, encoder, [first, second], {"photos": "no photographs"}
  )
  content = json.loads((tmp_path / "metrics.json").read_text())
  metrics = content["suites"]["scans"]["metrics"]["vertex_mm"]
  assert metrics["encoder"]["value"] == 4.5 and metrics["better_share"] == 1
  assert metrics["gain"]["value"] == 0.5
  assert content["suites"]["photos"]["why"] == "no photographs"
  curve = content["suites"]["synthetic"]["curves"]["vertex_mm"]
  assert curve["limits"][100] == 3.0 and curve["encoder"][34] == 0.3333333
  bands = content["suites"]["synthetic"]["groups"]["yaw"]
  assert list(bands) == ["b", "a"]
  assert bands["a"]["metrics"]["vertex_mm"]["encoder"]["value"] == 2.5
  with (tmp_path / "per_example.csv").open() as file:
    rows = list(csv.DictReader(file))
  assert [row["vertex_mm"] for row in rows] == ["1", "2", "3", "4", "5"]
  assert rows[0]["yaw"] == "b" and rows[3]["yaw"] == ""
  assert rows[0]["landmark_nme"] == ""
  page = (tmp_path / "index.html").read_text()
  assert "photos: no photographs" in page and "yaw" not in page[:200]
  targets = Targets(page).found
  # Two curves and a plot of groups, all inside the page.
  assert len(targets) == 3
  assert all(t.startswith("data:image/png;base64,") for t in targets)
  shown = summary.text_table(second)
  assert "vertices after rigid alignment, mm" in shown
  assert "50 %" in shown and "100 %" in shown


def test_a_suite_that_fails_stops_no_other(encoder, tmp_path, capsys):
  def impossible(*_):
    raise outcomes.SuiteError("no scans: give\n--scans=FOLDER")

  def broken(*_):
    raise RuntimeError("strange")

  good = outcome("synthetic", [1, 2], [2, 2])
  kept = []
  found, skipped, failed = running.run_suites(
    {"a": impossible, "c": lambda *_: good, "b": broken},
    encoder,
    tmp_path,
    keep=lambda found, missing: kept.append((list(found), missing)),
  )
  assert found == [good]
  assert skipped == {"a": "no scans: give --scans=FOLDER"}
  assert failed == {"b": "strange"}
  # What is measured is written before the next suite starts.
  assert kept[1] == ([good], skipped | {"b": "not reached"})
  assert kept[2] == ([good], skipped | failed)
  assert "a: not run: no scans: give --scans=FOLDER" in capsys.readouterr().out


def call(monkeypatch, encoder, **values):
  if not flags.FLAGS.is_parsed():
    flags.FLAGS(["test"])
  monkeypatch.delenv("FACEREC_DATA", raising=False)
  monkeypatch.setattr(trained_encoder, "load", lambda _: encoder)
  with flagsaver.flagsaver(**values):
    evaluate.main()


def test_exit_codes(encoder, tmp_path, monkeypatch):
  places = {"checkpoint": "run", "output": str(tmp_path)}
  with pytest.raises(app.UsageError, match="'x' is none of synthetic, photos"):
    call(monkeypatch, encoder, suites=["x"], **places)
  with pytest.raises(app.UsageError, match="--output is missing"):
    call(monkeypatch, encoder, checkpoint="run")
  with pytest.raises(app.WorkError, match="suite scans: no scans: give"):
    call(monkeypatch, encoder, suites=["scans"], **places)
  good = outcome("synthetic", [1, 2], [2, 2])
  runners = evaluate._RUNNERS | {"synthetic": lambda *_: good}
  monkeypatch.setattr(evaluate, "_RUNNERS", runners)
  # What was not asked for in full is no failure.
  call(monkeypatch, encoder, suites=["synthetic", "photos", "scans"], **places)
  content = json.loads((tmp_path / "metrics.json").read_text())
  assert content["suites"]["photos"]["why"] == (
    "no photographs: give --input=FOLDER"
  )
  assert content["suites"]["synthetic"]["status"] == "measured"


def test_vertex_values_are_means_of_what_was_seen():
  readings = [
    scan_meter.Reading({}, {}, {}, np.array(values))
    for values in ([1.0, np.nan, np.nan], [3.0, 2.0, np.nan])
  ]
  mean = scan_meter.mean_of_vertices(readings)
  np.testing.assert_array_equal(mean, [2.0, 2.0, np.nan])
  assert jax.local_device_count()
