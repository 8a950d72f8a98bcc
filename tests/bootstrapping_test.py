"""Rounds of bootstrapping: resuming, the bank, held-out people, the page."""

import contextlib
import dataclasses
import json

import jax
import numpy as np
import pytest
import tiny_experiment

from configs import bootstrap as bootstrap_config
from facerec_jax import app
from facerec_jax import bootstrap
from facerec_jax import bootstrap_settings as settings
from facerec_jax import config_sections
from facerec_jax import experiment as experiments
from facerec_jax import scenes
from facerec_jax import trained_encoder
from facerec_jax import training_run
from facerec_jax.bootstrapping import guards
from facerec_jax.bootstrapping import learning
from facerec_jax.bootstrapping import page
from facerec_jax.bootstrapping import readings
from facerec_jax.bootstrapping import rounds
from facerec_jax.bootstrapping import summary
from facerec_jax.face import code_vector
from facerec_jax.photos import datasets
from facerec_jax.photos import folders
from facerec_jax.photos import prepared
from facerec_jax.photos import preparing
from facerec_jax.photos import reading as photo_reading
from facerec_jax.synthesis import code_bank
from facerec_jax.training import checkpoint
from facerec_jax.training import config_changes
from facerec_jax.training import loop
from facerec_jax.training import stopping

LENGTH = 4
# Untrained encoders fit nothing.
LAX = dict(
  max_color=9.0,
  max_landmark=9.0,
  warn_spread=0.0,
  stop_spread=0.0,
  warn_offset=90.0,
  stop_offset=99.0,
)


def make_config(start, **changes):
  config = bootstrap_config.get_config("quick").to_dict()
  config.update(num_steps=LENGTH, batch_size=4, log_every=1)
  config.update(checkpoint_every=2)
  config["optimizer"]["warmup_steps"] = 1
  config["bootstrap"].update(
    checkpoint=str(start), photos="-", stage="rerender", rounds=2, guards=LAX
  )
  config["bootstrap"].update(changes)
  return config


@pytest.fixture(scope="module")
def start(tmp_path_factory):
  """A work folder of a training."""
  folder = tmp_path_factory.mktemp("start")
  config = tiny_experiment.config(folder, num_steps=2)
  training_run.train(experiments.build(config), folder / "work")
  return folder / "work"


def build(start, **changes):
  """(experiment, start state)."""
  encoder = trained_encoder.load(start)
  config = bootstrap.merge(
    encoder.experiment.config, make_config(start, **changes)
  )
  return experiments.build(config), encoder.state


@pytest.fixture(scope="module")
def photos(start):
  """Six rendered 'photographs'; the last has no landmarks."""
  experiment, state = build(start)
  scene = scenes.held_out_scene(experiment, state.code_mean, state.code_std)
  examples = jax.device_get(
    jax.jit(experiment.make_batch)(
      scene.seed_key, np.int32(7), np.arange(6), scene.model, scene.bank
    )
  )
  landmarks = np.array(examples.landmarks)
  landmarks[5] = np.nan
  batch = datasets.PhotoBatch(
    images=np.round(255 * examples.image).astype(np.uint8),
    masks=examples.mask,
    landmarks=landmarks,
  )
  return bootstrap.as_photos(
    [f"{i}.png" for i in range(6)],
    [False, False, True, False, True, False],
    batch,
    fingerprint="one",
  )


@contextlib.contextmanager
def counted_compilations():
  """A list that gets the number of programs that each round compiles."""
  real, compiled = learning.learn, []

  def watched(*arguments, **named):
    events = []

    def listen(event, duration, **facts):
      del duration, facts
      if "backend_compile" in event:
        events.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
      return real(*arguments, **named)
    finally:
      compiled.append(len(events))
      jax.monitoring.unregister_event_duration_listener(listen)

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(learning, "learn", watched)
    yield compiled


@pytest.fixture(scope="module")
def finished(start, photos, tmp_path_factory):
  """(experiment, start state, workdir, readings) of an uninterrupted run."""
  workdir = tmp_path_factory.mktemp("run")
  experiment, state = build(start)
  return (
    experiment,
    state,
    workdir,
    rounds.run(experiment, state, photos, workdir),
  )


def final_state(workdir):
  return trained_encoder.load(workdir).state


def test_three_readings_of_all_photographs(finished, photos):
  experiment, state, workdir, found = finished
  assert len(found) == 3
  for reading in found:
    assert reading.codes.shape == (6, experiment.layout.size)
    assert np.isfinite(reading.color).all()
    np.testing.assert_array_equal(
      np.isnan(reading.landmark), [False] * 5 + [True]
    )
    np.testing.assert_array_equal(reading.kept, ~photos.held_out)
    assert {len(v) for v in reading.synthetic.values()} == {8}
  encoder = trained_encoder.TrainedEncoder(experiment, state)
  images = photos.photo.image.astype(np.float32) / 255
  np.testing.assert_allclose(
    found[0].codes, encoder.predict(images), rtol=1e-4, atol=1e-4
  )
  last = trained_encoder.load(workdir)
  np.testing.assert_allclose(
    found[2].codes, last.predict(images), rtol=1e-4, atol=1e-4
  )
  assert int(last.state.step) == 2 * LENGTH


def test_codes_are_clipped_into_the_prior(finished):
  experiment, _, _, found = finished
  bank = scenes.make_bank(experiment, experiment.seed)
  part = experiment.layout.slices["identity"]
  inside = found[0].bank[:, part]
  assert (inside >= bank.centers[:, part].min(axis=0) - 1e-6).all()
  assert (inside <= bank.centers[:, part].max(axis=0) + 1e-6).all()


@pytest.mark.parametrize("calls", [LENGTH, LENGTH + 3])
def test_interrupted_and_resumed_is_uninterrupted(
  finished, photos, tmp_path, monkeypatch, calls
):
  experiment, state, workdir, _ = finished
  real = loop.train
  left = [calls]

  def breaks(state, step, *rest, **named):
    def counted(*arguments):
      if left[0] == 0:
        raise KeyboardInterrupt
      left[0] -= 1
      return step(*arguments)

    return real(state, counted, *rest, **named)

  with monkeypatch.context() as patch:
    patch.setattr(loop, "train", breaks)
    with pytest.raises(KeyboardInterrupt):
      rounds.run(experiment, state, photos, tmp_path)
  rounds.run(experiment, state, photos, tmp_path)
  assert checkpoint.fingerprint(final_state(tmp_path)) == (
    checkpoint.fingerprint(final_state(workdir))
  )


def test_stopped_by_a_signal_and_resumed_is_uninterrupted(
  finished, photos, tmp_path, monkeypatch
):
  experiment, state, workdir, whole = finished
  asked = []

  def agreement(request):
    del request
    return lambda: len(asked) > LENGTH or asked.append(1)

  with monkeypatch.context() as patch:
    patch.setattr(stopping, "agreement", agreement)
    found = rounds.run(experiment, state, photos, tmp_path)
  # In the second round, after one step more than the first has.
  assert len(found) == 2
  assert int(final_state(tmp_path).step) == LENGTH + 1
  found = rounds.run(experiment, state, photos, tmp_path)
  np.testing.assert_array_equal(found[2].codes, whole[2].codes)
  assert checkpoint.fingerprint(final_state(tmp_path)) == (
    checkpoint.fingerprint(final_state(workdir))
  )


def test_another_config_is_refused(start, photos, finished):
  experiment, state = build(start, prior_share=0.25)
  with pytest.raises(
    config_changes.ConfigChangedError,
    match="bootstrap.prior_share was 0.5, is 0.25",
  ):
    rounds.run(experiment, state, photos, finished[2])


def test_a_new_round_compiles_nothing(start, photos, tmp_path):
  experiment, state = build(start, rounds=3)
  # Other tests have compiled the same programs.
  jax.clear_caches()
  with counted_compilations() as compiled:
    rounds.run(experiment, state, photos, tmp_path)
  assert len(compiled) == 3 and compiled[0] > 0 and compiled[2] == 0


def test_the_second_stage_learns_from_photographs(start, photos, tmp_path):
  experiment, state = build(start, stage="self_supervised", rounds=1)
  found = rounds.run(experiment, state, photos, tmp_path)
  lines = [
    json.loads(line)
    for line in (tmp_path / "metrics.jsonl").read_text().splitlines()
  ]
  terms = [line for line in lines if line["kind"] == "train"]
  assert {"photo", "flip", "synthetic/loss"} <= set(terms[0])
  assert not np.array_equal(found[0].codes, found[1].codes)


def test_refined_codes_fit_better(start, photos):
  experiment, state = build(start, refine_steps=6)
  context = learning.create_context(experiment, state, photos)
  reading = readings.read(experiment, state, photos, context.fitting)
  raw = dataclasses.replace(
    experiment,
    bootstrap=dataclasses.replace(experiment.bootstrap, refine_steps=0),
  )
  plain = readings.read(raw, state, photos, context.fitting)
  np.testing.assert_allclose(reading.codes, plain.codes, atol=1e-5)
  assert not np.allclose(reading.bank, plain.bank)


def test_other_photographs_are_refused(finished, photos):
  experiment, state, workdir, _ = finished
  other = photos._replace(fingerprint="another")
  with pytest.raises(readings.ReadingError, match="made of other photographs"):
    rounds.run(experiment, state, other, workdir)


def test_damaged_reading(finished, photos, tmp_path):
  del finished
  path = tmp_path / "round_0.npz"
  path.write_bytes(b"PK\x03\x04 no archive")
  with pytest.raises(readings.ReadingError, match=r"round_0.npz: damaged"):
    readings.load(path, photos)


def test_readings_come_back_from_their_file(finished, photos, tmp_path):
  reading = finished[3][1]
  path = tmp_path / "rounds" / "round_1.npz"
  readings.save(path, reading, photos)
  again = readings.load(path, photos)
  for field in ("codes", "color", "landmark", "bank", "kept"):
    np.testing.assert_array_equal(
      getattr(again, field), getattr(reading, field)
    )
  for name in readings.SYNTHETIC:
    np.testing.assert_array_equal(
      again.synthetic[name], reading.synthetic[name]
    )


def test_photographs_that_do_not_fit_are_left_out(start, photos, tmp_path):
  strict = {**LAX, "max_color": 0.0}
  experiment, state = build(start, guards=strict)
  with pytest.raises(
    rounds.NothingFitsError, match="after round 0 the rendering fits none of 4"
  ):
    rounds.run(experiment, state, photos, tmp_path)


def test_the_bank_holds_codes_and_prior(finished):
  experiment, _, _, found = finished
  prior = scenes.make_bank(experiment, experiment.seed)
  bank = learning.make_bank(experiment, prior, found[0], 0)
  assert bank.centers.shape == prior.centers.shape
  rows = np.asarray(bank.centers)
  kept = found[0].bank[found[0].kept]
  count = sum((rows == code).all(axis=1).sum() for code in kept)
  assert count == len(rows) // 2
  unused = found[0].bank[~found[0].kept]
  assert not any((rows == code).all(axis=1).any() for code in unused)
  in_prior = (rows[:, None] == np.asarray(prior.centers)[None]).all(-1).any(-1)
  assert in_prior.sum() == len(rows) // 2
  part = experiment.layout.slices["rotation"]
  _, std = code_bank.statistics(prior)
  np.testing.assert_allclose(bank.scales[part], 0.2 * std[part], rtol=1e-6)


def test_fixed_copies_differ_between_rounds(start, finished):
  experiment, _ = build(start, copies=2, prior_share=0.0)
  prior = scenes.make_bank(experiment, experiment.seed)
  first, same, second = (
    learning.make_bank(experiment, prior, finished[3][0], number)
    for number in (0, 0, 1)
  )
  assert not first.scales.any()
  # Four photographs, two copies each.
  assert len(np.unique(np.asarray(first.centers), axis=0)) == 8
  np.testing.assert_array_equal(first.centers, same.centers)
  assert not np.allclose(first.centers, second.centers)


def test_mix_refuses_nothing():
  prior = code_bank.create(np.zeros((8, 3)))
  with pytest.raises(ValueError, match="no codes to mix with the prior"):
    code_bank.mix(prior, np.zeros((0, 3)), scales=np.zeros(3), prior_share=0.5)
  whole = code_bank.mix(
    prior, np.zeros((0, 3)), scales=np.zeros(3), prior_share=1.0
  )
  np.testing.assert_array_equal(whole.centers, prior.centers)


def test_page_and_table(finished, photos):
  experiment, state, workdir, found = finished
  path = page.write(workdir, experiment, state, photos, found)
  text = path.read_text()
  for word in ("2 held-out photographs", "3 adapted", "8 synthetic", "round 2"):
    assert word in text
  assert (workdir / "sheets" / "held_out.png").exists()
  table = list(summary.errors(found, photos))
  # 4 photographs are adapted to, one of them without landmarks.
  counts = {row.examples: row.values.shape[1] for row in table}
  assert counts["3 adapted photographs"] == 3
  assert counts["4 adapted photographs"] == 4
  assert "gain" in summary.format_table(table)
  content = json.loads((workdir / "report.json").read_text())
  assert len(content[0]["means"]) == 3


def test_gain_is_of_pairs():
  before = np.array([1.0, 2.0, 3.0, 4.0])
  table = summary.Errors("x", "color", np.stack([before, 0.9 * before]))
  gain = table.gain
  # Whatever is drawn, each pair gains a tenth.
  np.testing.assert_allclose([gain.value, gain.low, gain.high], 0.1, atol=1e-6)


_LAYOUT = code_vector.CodeLayout(4, 2, 0, 3, 0, 0)


def test_statistics_of_codes():
  rng = np.random.default_rng(0)
  mean, std = np.full(9, 2.0), np.full(9, 0.5)
  codes = mean + std * rng.normal(size=(5000, 9))
  same = guards.measure(codes, mean, std, _LAYOUT)
  assert set(same.spread) == {"identity", "expression", "rotation"}
  assert all(abs(v - 1) < 0.05 for v in same.spread.values())
  assert all(v < 0.05 for v in same.offset.values())
  narrow = guards.measure(mean + 0.2 * (codes - mean), mean, std, _LAYOUT)
  assert all(abs(v - 0.2) < 0.02 for v in narrow.spread.values())
  moved = guards.measure(codes + 1.5, mean, std, _LAYOUT)
  assert all(abs(v - 3) < 0.05 for v in moved.offset.values())


def _check(spread, offset, count=10):
  start = guards.Statistics({"identity": 1.0}, {"identity": 0.0})
  now = guards.Statistics({"identity": spread}, {"identity": offset})
  guards.check(now, start, settings.Guards(), count=count, number=2)


def test_guards_stop():
  with pytest.raises(
    guards.CollapseError,
    match="after round 2: the spread of identity is 0.05 of the start's, below",
  ):
    _check(0.05, 0.0)
  with pytest.raises(
    guards.CollapseError, match="mean of identity lies 5.00 standard deviations"
  ):
    _check(1.0, 5.0)


def test_guards_warn(caplog):
  with caplog.at_level("WARNING", logger="absl"):
    _check(0.4, 2.0)
  assert len(caplog.records) == 2
  caplog.clear()
  _check(0.6, 1.0)
  # The spread of two photographs says nothing.
  _check(0.05, 0.0, count=2)
  assert not caplog.records


@pytest.mark.parametrize(
  "changes, message",
  [
    (dict(stage="magic"), "stage 'magic' is none of rerender, self_supervised"),
    (dict(rounds=0), "rounds is 0, wanted a whole number >= 1"),
    (dict(prior_share=1.5), "prior_share is 1.5, wanted 0 to 1"),
    (dict(held_out_share=1), "held_out_share is 1: no photograph to adapt to"),
    (dict(scales={"nose": 1}), "scales: 'nose' is none of identity"),
    (dict(scales={"albedo": -1}), "scales: albedo is -1, wanted 0 or more"),
    (dict(guards={"x": 1}), "config.bootstrap.guards.x is read by nobody"),
    (dict(typo=1), "config.bootstrap.typo is read by nobody"),
    (dict(objective={"pixels": -1}), "objective: pixels is -1"),
  ],
)
def test_bad_settings(start, changes, message):
  with pytest.raises(config_sections.ConfigError, match=message):
    build(start, **changes)


@pytest.mark.parametrize("name", ["default", "quick", "thesis"])
def test_variants_build(start, name):
  config = bootstrap_config.get_config(name).to_dict()
  config["bootstrap"]["checkpoint"] = str(start)
  merged = bootstrap.merge(
    trained_encoder.load(start).experiment.config, config
  )
  assert experiments.build(merged).bootstrap.rounds == 3


def test_merge():
  start = {"a": 1, "b": {"c": 2, "d": 3}, "bootstrap": {"old": 1}}
  changes = {"a": None, "b": {"c": 4}, "bootstrap": {"new": 1}}
  assert bootstrap.merge(start, changes) == {
    "a": 1,
    "b": {"c": 4, "d": 3},
    "bootstrap": {"new": 1},
  }


def test_what_is_missing_is_named(start, tmp_path):
  with pytest.raises(app.UsageError, match="no section bootstrap"):
    bootstrap.set_up({"seed": 0})
  with pytest.raises(app.UsageError, match="bootstrap.photos is missing"):
    bootstrap.set_up(make_config(start, photos=""))
  with pytest.raises(photo_reading.PhotoError, match="no prepared photographs"):
    bootstrap.set_up(make_config(start, photos=str(tmp_path)))


def test_from_a_data_set(start, photos, tmp_path):
  """Prepared photographs arrive as the encoder wants them."""
  del photos
  rng = np.random.default_rng(0)
  outcomes = []
  for index in range(4):
    image = rng.uniform(size=(64, 64, 3))
    photo = prepared.PreparedPhoto(
      image=prepared.encode_png(image),
      mask=prepared.encode_png(np.ones((64, 64), bool)),
      landmarks=np.full((68, 2), np.nan if index == 2 else 32, np.float32),
      square=np.zeros(3, np.float32),
      box=np.zeros(4, np.float32),
      score=1.0,
      detector="dlib",
      num_faces=1,
    )
    file = tmp_path / f"{index}.npz"
    prepared.save(file, photo)
    outcomes.append(_outcome(file, index))
  folder = datasets.write(tmp_path, outcomes, prepared.Settings(image_size=64))
  _, _, loaded = bootstrap.set_up(
    make_config(start, photos=str(folder), held_out_share=0.5)
  )
  assert loaded.photo.image.shape == (4, 32, 32, 3)
  np.testing.assert_array_equal(loaded.photo.trust, [1, 1, 0, 1])
  np.testing.assert_array_equal(loaded.photo.landmarks[0], np.full((68, 2), 16))
  # Two people with two photographs each.
  assert loaded.held_out.sum() == 2
  assert loaded.held_out[0] == loaded.held_out[1]


def _outcome(file, index):
  source = folders.Source(file, f"{index}.png", "face", f"person{index // 2}")
  return preparing.Outcome(source, preparing.DONE, "", str(index), file)
