"""The comparison of encoders, on the tiny one: files, reuse, wrong names."""

import json
import pathlib
import sys

from absl import flags
from absl.testing import flagsaver
import pytest
import tiny_experiment

from facerec_jax import app
from facerec_jax import experiment as experiments
from facerec_jax import trained_encoder
from facerec_jax.training import checkpoint

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "experiments"))

import compare_encoders


def call(monkeypatch, config, **values):
  if not flags.FLAGS.is_parsed():
    flags.FLAGS(["test"])
  monkeypatch.setattr(app, "read_config", lambda flag: config)
  with flagsaver.flagsaver(**values):
    compare_encoders.main()


def test_one_budget_one_figure(tmp_path, monkeypatch, capsys):
  config = tiny_experiment.config(tmp_path, num_steps=2, sample_every=0)
  places = {"workdir": str(tmp_path / "work"), "encoders": ["tiny"], "faces": 8}
  call(monkeypatch, config, losses=["model_space", "code"], **places)
  folder = tmp_path / "work"
  found = json.loads((folder / "comparison.json").read_text())
  (row,) = found["encoders"]
  assert row[0] == "tiny" and row[2] == "2"
  assert float(row[5]) == pytest.approx(float(row[3]) + float(row[4]), abs=0.02)
  # The config's own loss is not trained twice.
  assert [r[0] for r in found["losses"]] == ["model_space", "code"]
  assert found["losses"][0][1:] == row[1:]
  marks = {
    checkpoint.fingerprint(trained_encoder.load(folder / name).state.params)
    for name in ("tiny", "tiny_code")
  }
  assert len(marks) == 2
  gain = 1 - float(found["losses"][0][5]) / float(found["losses"][1][5])
  shown = float(found["model_space gains over code"].split()[0])
  assert shown == pytest.approx(100 * gain, abs=0.2)
  assert sorted(path.name for path in folder.iterdir()) == [
    *("comparison.json", "encoders.png", "index.html"),
    *("losses.png", "tiny", "tiny_code"),
  ]
  # Again: what is trained is taken as it is.
  metrics = (folder / "tiny" / "metrics.jsonl").read_text()
  call(monkeypatch, {**config, "num_steps": 4}, losses=[], **places)
  again = json.loads((folder / "comparison.json").read_text())
  assert again["encoders"] == [row] and again["losses"] == []
  assert (folder / "tiny" / "metrics.jsonl").read_text() == metrics
  assert "report: " in capsys.readouterr().out


def test_seconds_become_steps(tmp_path):
  config = tiny_experiment.config(tmp_path)
  experiment = experiments.build(config)
  if not flags.FLAGS.is_parsed():
    flags.FLAGS(["test"])
  steps = []
  for seconds in (2.0, 200.0):
    with flagsaver.flagsaver(seconds=seconds):
      fitted = compare_encoders._within(config, experiment)
    steps.append(fitted["num_steps"])
    assert fitted["optimizer"]["warmup_steps"] <= fitted["num_steps"] // 10
  assert config["num_steps"] == 4
  # The machine may be busy, but not that much.
  assert 10 < steps[1] / steps[0] < 1000


def test_wrong_names(tmp_path, monkeypatch):
  config = tiny_experiment.config(tmp_path)
  for values, message in (
    ({"encoders": ["vgg"]}, "--encoders: 'vgg' is none of "),
    ({"losses": ["code", "l3"]}, "--losses: 'l3' is none of model_space, "),
    ({"losses": ["code"]}, "--losses: got 1, wanted two"),
  ):
    with pytest.raises(app.UsageError, match=message):
      call(monkeypatch, config, workdir=str(tmp_path), **values)
