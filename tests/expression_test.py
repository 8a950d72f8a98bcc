"""Training the expression network: what it learns, keeps and refuses."""

import json
import types

import fake_model
import jax
import numpy as np
from PIL import Image
import pytest
import tiny_experiment

from configs import expression as expression_config
from facerec_jax import code_expressions
from facerec_jax import config_sections
from facerec_jax import experiment as encoder_experiments
from facerec_jax import expression_data
from facerec_jax import expression_evaluation
from facerec_jax import expression_experiment as experiments
from facerec_jax import expression_scenes
from facerec_jax import expression_training
from facerec_jax import photo_expressions
from facerec_jax import scenes
from facerec_jax import trained_expression
from facerec_jax.face import code_vector
from facerec_jax.model_files import archive
from facerec_jax.model_files import expression_fitting
from facerec_jax.photos import detection
from facerec_jax.photos import labelled_photos
from facerec_jax.recognition import labelled_codes
from facerec_jax.results import codes
from facerec_jax.synthesis import emotion_basis
from facerec_jax.synthesis import emotions
from facerec_jax.training import checkpoint
from facerec_jax.training import config_changes

NoFace = expression_evaluation.NoFaceError
CLASSES = emotions.CLASSES
NAMES = fake_model.action_unit_names()


def make_config(folder, **changes):
  """A training of seconds on a model with action units."""
  path = folder / "units.npz"
  if not path.exists():
    archive.save(path, fake_model.make(num_rings=6, expression_names=NAMES))
  config = expression_config.get_config().to_dict()
  config.update(
    morphable_model=str(path),
    num_steps=400,
    steps_per_call=100,
    batch_size=128,
    log_every=200,
    eval_every=400,
    checkpoint_every=400,
  )
  config["bank"]["exact"] = 7_000
  config["eval"]["num_examples"] = 1_400
  config["optimizer"].update(learning_rate=5e-3, warmup_steps=20)
  config.update(changes)
  return config


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
  """One run: (config, workdir, state, facts)."""
  folder = tmp_path_factory.mktemp("expression")
  config, workdir = make_config(folder), folder / "work"
  return (
    config,
    workdir,
    *expression_training.train(experiments.build(config), workdir),
  )


@pytest.fixture(scope="module")
def recognizer(finished):
  return trained_expression.load(finished[1])


@pytest.fixture(scope="module")
def basis(finished):
  return experiments.build(finished[0]).basis


def test_seconds_of_training_name_nearly_all_expressions(finished):
  lines = (finished[1] / "metrics.jsonl").read_text().splitlines()
  last = [json.loads(line) for line in lines if '"eval"' in line][-1]
  assert last["accuracy"] > 0.96
  assert last["rank_correlation"] > 0.95


def test_expressions_of_a_basis_without_units_are_named(tmp_path):
  # As of Basel's model: modes that mix all movements, and no names.
  acting = fake_model.make_acting("gaussian")
  count = acting.expression.shape[-1]
  mix = np.linalg.qr(np.random.default_rng(0).normal(size=(count, count)))[0]
  model = acting.replace(
    expression=np.asarray(acting.expression) @ mix.astype(np.float32),
    expression_names=(),
  )
  archive.save(tmp_path / "modes.npz", model)
  config = make_config(tmp_path, morphable_model=str(tmp_path / "modes.npz"))
  experiment = experiments.build(config)
  expression_training.train(experiment, tmp_path / "work")
  recognizer = trained_expression.load(tmp_path / "work")
  prototypes = np.asarray(emotion_basis.prototypes(experiment.basis))
  assert np.count_nonzero(np.abs(prototypes) > 1e-3) > 7 * count / 2
  assert np.abs(prototypes).max() <= 3.0
  assert list(recognizer.predict(prototypes).likeliest) == list(range(7))
  result = expression_evaluation.evaluate_codes(
    recognizer, experiment.basis, tmp_path, count=700, seed=5
  )
  assert result["accuracy"] > 0.9
  clear = result["clearly_shown"]
  assert clear["recall"]["neutral"]["count"] == 100
  assert 200 < clear["count"] < 600
  assert clear["accuracy"] > result["accuracy"] - 0.02
  assert "neutral or clearly shown" in expression_evaluation.format_report(
    "codes", result
  )


def test_prototypes_are_named_and_their_intensity_grows(recognizer, basis):
  prototypes = np.asarray(emotion_basis.prototypes(basis))
  assert list(recognizer.predict(prototypes).likeliest) == list(range(7))
  strengths = np.linspace(0, 1, 11)
  for index, name in enumerate(CLASSES):
    rows = strengths[:, None] * prototypes[index]
    grades = recognizer.predict(rows).intensity[:, index]
    if name == "neutral":
      assert not grades.any()
      continue
    assert (np.diff(grades) > -0.05).all(), name
    assert grades[0] < 1.0 and grades[-1] > 4.0 and grades.max() <= 5.0


def test_calibration_is_kept_beside_the_checkpoint(finished, recognizer):
  _, workdir, state, facts = finished
  assert json.loads((workdir / trained_expression.FILE).read_text())["step"]
  before, after = facts["calibration"]["before"], facts["calibration"]["after"]
  name = "negative_log_likelihood"
  assert after[name] <= before[name] + 1e-3
  assert recognizer.temperature == pytest.approx(facts["temperature"])
  jax.tree.map(np.testing.assert_array_equal, recognizer.state, state)


def test_predictions_do_not_depend_on_the_order(recognizer, basis):
  rows = labelled_codes.acted(jax.random.key(5), basis, count=50)
  order = np.random.default_rng(0).permutation(50)
  straight = recognizer.predict(rows.codes)
  shuffled = recognizer.predict(rows.codes[order])
  for field in ("probabilities", "intensity"):
    np.testing.assert_allclose(
      getattr(straight, field)[order], getattr(shuffled, field), atol=1e-5
    )
  np.testing.assert_allclose(straight.probabilities.sum(axis=1), 1, atol=1e-5)


def test_description_is_unsure_where_no_class_is_likely():
  probabilities = np.full((2, 7), 0.1)
  probabilities[:, 2] = 0.4, 0.6
  probabilities /= probabilities.sum(axis=1, keepdims=True)
  got = trained_expression.Predictions(probabilities, np.eye(7)[:2] * 3, 0.45)
  assert got.describe(0)["label"] == "unsure"
  assert got.describe(0)["likeliest"] == got.describe(1)["label"] == "fear"
  assert "neutral" not in got.describe(0)["intensities"]
  assert got.describe(0)["intensities"]["anger"] == 3


def test_a_finished_run_and_a_second_one_are_the_same(finished, tmp_path):
  config, workdir, state, _ = finished
  experiment = experiments.build(config)
  again, _ = expression_training.train(experiment, workdir)
  other, _ = expression_training.train(experiment, tmp_path)
  wanted = checkpoint.fingerprint(state)
  assert checkpoint.fingerprint(again) == wanted
  assert checkpoint.fingerprint(other) == wanted


def test_a_folder_of_another_run_is_refused(finished):
  config, workdir, _, _ = finished
  with pytest.raises(
    config_changes.ConfigChangedError, match="batch_size was 128, is 64"
  ):
    expression_training.train(
      experiments.build({**config, "batch_size": 64}), workdir
    )


def test_an_unfinished_training_is_no_recognizer(finished, tmp_path):
  with pytest.raises(checkpoint.CheckpointError, match="holds no checkpoint"):
    trained_expression.load(tmp_path)
  _, workdir, _, _ = finished
  (tmp_path / "checkpoints").symlink_to(workdir / "checkpoints")
  with pytest.raises(checkpoint.CheckpointError, match="has not ended; train"):
    trained_expression.load(tmp_path)
  facts = json.loads((workdir / trained_expression.FILE).read_text())
  (tmp_path / trained_expression.FILE).write_text(
    json.dumps(facts | {"step": 7})
  )
  with pytest.raises(checkpoint.CheckpointError, match="of step 7, the check"):
    trained_expression.load(tmp_path)


def test_codes_of_another_model_are_refused(recognizer):
  other = fake_model.make(num_rings=3, expression_names=NAMES[:9])
  with pytest.raises(ValueError, match=r"numbers of 'fake', got 9 of 'fake'"):
    recognizer.check_model(other)
  with pytest.raises(ValueError, match=r"shape \(2, 3\), wanted \(N, 34\)"):
    recognizer.predict(np.zeros((2, 3)))


@pytest.mark.parametrize(
  "changes, message",
  [
    (dict(extra=1), "config.extra is read by nobody"),
    (dict(bank={"exat": 1}), "config.bank.exat is read by nobody; known: ex"),
    (dict(bank={"exact": 0}), "config.bank: bank: exact, read, imitated are"),
    (dict(bank={"imitated": 9}), "config.bank: .* need read ones to measure"),
    (dict(bank={"read": 99}), "config.bank.read needs an encoder: .*--checkp"),
    (dict(network={"hidden": [0]}), r"config.network: hidden is \[0\], want"),
    (dict(unsure_below=2.0), "config.unsure_below is 2.0, wanted 0 to 1"),
    (dict(encoder="/nowhere"), "config.encoder: /nowhere holds no checkpoint"),
  ],
)
def test_bad_configs_are_refused(tmp_path, changes, message):
  with pytest.raises(config_sections.ConfigError, match=message):
    experiments.build(make_config(tmp_path, **changes))


def test_variants_of_the_config():
  hidden = expression_config.get_config("thesis").network.hidden
  assert tuple(hidden) == (64, 64, 32)
  with pytest.raises(ValueError, match="no variant 'x'; it has exact, robust"):
    expression_config.get_config("x")


@pytest.fixture(scope="module")
def encoder_folder(tmp_path_factory):
  """An untrained encoder, for the model of `make_config`."""
  folder = tmp_path_factory.mktemp("encoder")
  make_config(folder)
  config = tiny_experiment.config(
    folder,
    morphable_model=str(folder / "units.npz"),
  )
  experiment = encoder_experiments.build(config)
  ones = np.ones(experiment.layout.size, np.float32)
  state = scenes.initial_state(experiment, 0 * ones, ones)
  checkpointer = checkpoint.Checkpointer(folder / "encoder")
  checkpointer.save(1, state, experiment.config)
  checkpointer.close()
  return folder


def test_read_and_imitated_codes_train_and_judge(
  encoder_folder, tmp_path, monkeypatch
):
  made, make_banks = [], expression_scenes.make_banks

  def keep_banks(experiment):
    made.append(make_banks(experiment))
    return made[-1]

  monkeypatch.setattr(expression_scenes, "make_banks", keep_banks)
  config = make_config(
    encoder_folder,
    encoder=str(encoder_folder / "encoder"),
    bank=dict(exact=70, read=128, imitated=70),
    num_steps=100,
  )
  config["eval"]["num_examples"] = 70
  experiment = experiments.build(config)
  expression_training.train(experiment, tmp_path)
  ((bank, held_out),) = made
  assert bank.rows.codes.shape == (268, len(NAMES))
  np.testing.assert_array_equal(bank.rows.noise, [0.0] * 198 + [1.0] * 70)
  assert bank.noise_root.any()
  np.testing.assert_array_equal(held_out.noise_root, bank.noise_root)
  recognizer = trained_expression.load(tmp_path / "expression.safetensors")
  assert recognizer.knows(experiment.encoder)
  result = expression_evaluation.evaluate_faces(
    recognizer, experiment.basis, experiment.encoder, tmp_path, count=64, seed=3
  )
  assert np.sum(result["confusion"]) == 64
  assert (tmp_path / "faces.png").exists()
  seen = []

  def fit(photo, square, points, flat):
    seen.append((photo.shape, square.side, points.shape))
    return types.SimpleNamespace(flat=np.full_like(flat, len(seen)))

  read = expression_data.read_faces(
    experiment.encoder,
    bank.rows.codes[:3],
    jax.random.key(0),
    types.SimpleNamespace(fit=fit),
  )
  np.testing.assert_array_equal(read, [[i] * len(NAMES) for i in (1, 2, 3)])
  size = experiment.encoder.image_size
  assert set(seen) == {((size, size, 3), size, (68, 2))}


def test_an_encoder_of_another_model_is_refused(encoder_folder):
  config = make_config(
    encoder_folder,
    encoder=str(encoder_folder / "encoder"),
    morphable_model="builtin",
  )
  with pytest.raises(
    config_sections.ConfigError,
    match=r"morphable_model is 'builtin', but the encoder reads '/.*units.npz'",
  ):
    experiments.build(config)


def test_photographs_are_named_and_faults_are_told(
  recognizer, basis, tmp_path, monkeypatch
):
  """The detector and the encoder are given; files and counts are ours."""
  prototypes = np.asarray(emotion_basis.prototypes(basis))
  shown = {"a.png": "happiness", "b.png": "anger", "c.png": None}
  for number, name in enumerate(shown):
    photo = np.full((60, 60, 3), 40 * number, np.uint8)
    Image.fromarray(photo).save(tmp_path / name)
  by_color = {40 * n: label for n, label in enumerate(shown.values())}

  def detect(photo, **_):
    label = by_color[int(photo[0, 0, 0])]
    return [detection.Face((0, 0, 60, 60), 1.0, "dlib")] if label else []

  def read_code(encoder, photo, face, *, refiner, recognizer):
    assert refiner is None
    label = by_color[int(photo[0, 0, 0])]
    code = code_vector.CodeLayout(0, len(NAMES), 0).neutral()
    code = code.replace(expression=prototypes[CLASSES.index(label)])
    shown = recognizer.predict(np.asarray(code.expression)[None]).describe(0)
    return types.SimpleNamespace(code=code, shown=shown)

  monkeypatch.setattr(photo_expressions.detection, "detect_faces", detect)
  monkeypatch.setattr(
    photo_expressions.reconstruction, "reconstruct", read_code
  )
  model = fake_model.make(num_rings=3, expression_names=NAMES)
  reader = photo_expressions.Reader(
    types.SimpleNamespace(model=model), recognizer
  )
  labelled = [
    labelled_photos.LabelledPhoto(tmp_path / name, label)
    for name, label in (
      ("a.png", "happiness"),
      ("b.png", "sadness"),
      ("c.png", "fear"),
      ("gone.png", "fear"),
    )
  ]
  results = [
    expression_evaluation.evaluate_photos(reader, photos, tmp_path)
    for photos in (labelled, labelled[::-1])
  ]
  np.testing.assert_array_equal(
    results[0]["confusion"], results[1]["confusion"]
  )
  result = results[0]
  assert result["without_face"] == 2 and result["count"] == 2
  happy, angry, sad = map(CLASSES.index, ("happiness", "anger", "sadness"))
  assert result["confusion"][happy, happy] == 1
  assert result["confusion"][sad, angry] == 1
  messages = [record["message"] for record in result["photos"]]
  assert messages[:3] == ["", "", "no face was found"]
  assert "gone.png" in messages[3]
  lines = [photo_expressions.format_lines(r) for r in result["photos"]]
  assert lines[0].startswith("a.png: happiness ")
  assert "of 5" in lines[0] and lines[2] == "c.png: no face was found"
  files = photo_expressions.write(tmp_path / "out", result["photos"])
  assert len(files[1].read_text().splitlines()) == 3
  with pytest.raises(NoFace, match="no face was read in 2 photographs; "):
    expression_evaluation.evaluate_photos(reader, labelled[2:], tmp_path)


class _Always:
  """A network of the same codes that gives one answer."""

  def __init__(self, label, network):
    self.model_name, self.size, self._label = (
      network.model_name,
      network.size,
      label,
    )

  def predict(self, codes):
    del codes
    return types.SimpleNamespace(describe=lambda _: {"label": self._label})


def test_codes_on_disk_are_named_without_an_encoder(
  recognizer, basis, tmp_path
):
  fear = CLASSES.index("fear")
  code = code_vector.CodeLayout(0, len(NAMES), 0).neutral()
  code = code.replace(expression=emotion_basis.prototypes(basis)[fear])
  model = fake_model.make(num_rings=3, expression_names=NAMES)
  for index, count in enumerate((len(NAMES), 9)):
    folder = tmp_path / f"photo/face_{index}"
    folder.mkdir(parents=True)
    cut = code.replace(expression=code.expression[:count])
    codes.write_code(folder, model, cut, facts={})
  (tmp_path / "refined").mkdir()
  codes.write_code(
    tmp_path / "refined", model, code, facts={"refinement": {"steps": 1}}
  )
  (tmp_path / "broken").mkdir()
  (tmp_path / "broken/code.json").write_text("{}")
  recognizers = {False: recognizer, True: _Always("disgust", recognizer)}
  broken, good, other, refined = [
    code_expressions.read(recognizers, path)
    for path in code_expressions.list_codes(tmp_path)
  ]
  assert refined["faces"][0]["label"] == "disgust"
  assert good["faces"][0]["label"] == "fear" and not good["message"]
  name = "photo/face_0/code.json: fear"
  assert photo_expressions.format_lines(good, str(tmp_path)).startswith(name)
  assert (
    "9 expression numbers of 'fake', but the network reads 34"
    in (other["message"])
  )
  assert (
    "no code that facerec_jax.reconstruct wrote (KeyError"
    in (broken["message"])
  )
  missing = code_expressions.read(recognizers, tmp_path / "x.json")
  assert "FileNotFoundError" in missing["message"] and not missing["faces"]


def test_the_bases_are_drawn(tmp_path):
  model = fake_model.make(num_rings=4, expression=3)
  basis = expression_fitting.emotion_units(model)
  path = expression_evaluation.draw_bases(tmp_path / "a.png", model, basis)
  # Seven emotions and three columns, in two rows.
  with Image.open(path) as picture:
    assert picture.width > 7 * 256 and picture.height > 2 * 256
