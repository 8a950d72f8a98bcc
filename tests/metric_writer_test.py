import json

import numpy as np
from tensorboardX import record_writer
from tensorboardX.proto import event_pb2

from facerec_jax.training import metric_writer


def _events(folder):
  """Reads the event file's records by hand: length, crc, payload, crc."""
  (path,) = (folder / "tensorboard").glob("events*")
  data, found = path.read_bytes(), []
  while data:
    length = int.from_bytes(data[:8], "little")
    payload = data[12 : 12 + length]
    crc = int.from_bytes(data[12 + length : 16 + length], "little")
    assert crc == record_writer.masked_crc32c(payload)
    found.append(event_pb2.Event.FromString(payload))
    data = data[16 + length :]
  return found


def test_writes_lines_and_events(tmp_path):
  writer = metric_writer.MetricWriter(tmp_path)
  writer.scalars(7, "train", {"loss": np.float32(0.5), "model_space/x": 2})
  writer.image(7, "faces", np.zeros((8, 8, 3), np.uint8))
  writer.close()
  (line,) = (tmp_path / "metrics.jsonl").read_text().splitlines()
  wanted = {"step": 7, "kind": "train", "loss": 0.5, "model_space/x": 2.0}
  assert json.loads(line) == wanted
  values = {
    value.tag: value for e in _events(tmp_path) for value in e.summary.value
  }
  assert values["train/loss"].simple_value == 0.5
  assert values["faces"].image.width == 8


def test_a_resumed_run_appends(tmp_path):
  for step in (1, 2):
    writer = metric_writer.MetricWriter(tmp_path)
    writer.scalars(step, "train", {"loss": step})
    writer.scalars(step, "eval", {"error": 10 * step})
    writer.close()
  assert metric_writer.last_scalars(tmp_path, "train") == {"loss": 2.0}
  assert metric_writer.last_scalars(tmp_path, "eval") == {"error": 20.0}
  assert metric_writer.last_scalars(tmp_path, "none") == {}
  assert metric_writer.last_scalars(tmp_path / "nowhere", "train") == {}
