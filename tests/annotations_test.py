"""Points that people placed: both formats, their pixels, bad files."""

import json

import numpy as np
import pytest

from facerec_jax.photos import annotations

POINTS = np.random.default_rng(0).uniform(0, 100, (68, 2))


def write(folder, entry, **content):
  text = json.dumps({"images": [entry], **content})
  (folder / "manifest.json").write_text(text)
  return annotations.read_annotations(folder)


@pytest.mark.parametrize("origin, shift", (("center", 0.5), ("corner", 0.0)))
def test_manifest_says_where_pixels_begin(tmp_path, origin, shift):
  entry = {"file": "a.jpg", "landmarks68": POINTS.tolist()}
  found = write(tmp_path, entry, pixel_origin=origin)["a.jpg"]
  np.testing.assert_allclose(found.landmarks, POINTS + shift)
  assert found.reliable == tuple(range(68)) and not found.groups


def test_manifest_says_what_to_trust_and_group_by(tmp_path):
  entry = {
    "file": "a.jpg",
    "landmarks68_reliable_idx": [36, 45],
    "expression": "smile",
    "groups": {"glasses": True},
  }
  found = write(tmp_path, entry)["a.jpg"]
  assert found.landmarks is None and found.reliable == (36, 45)
  assert found.groups == {"expression": "smile", "glasses": "True"}


def pts(points):
  lines = "\n".join(f"{x} {y}" for x, y in points)
  return f"version: 1\nn_points: {len(points)}\n{{\n{lines}\n}}\n"


def test_points_of_300w_count_from_one(tmp_path):
  for name in ("a [1].jpg", "a [1].pts", "b.png"):
    (tmp_path / name).write_text(pts(POINTS))
  found = annotations.read_annotations(tmp_path)
  assert list(found) == ["a [1].jpg"]
  np.testing.assert_allclose(found["a [1].jpg"].landmarks, POINTS - 0.5)


def test_the_manifest_goes_before(tmp_path):
  (tmp_path / "a.jpg").touch()
  (tmp_path / "a.pts").write_text(pts(POINTS))
  entry = {"file": "a.jpg", "landmarks68": (2 * POINTS).tolist()}
  found = write(tmp_path, entry)["a.jpg"]
  np.testing.assert_allclose(found.landmarks, 2 * POINTS + 0.5)
  entry = {"file": "a.jpg", "expression": "smile"}
  found = write(tmp_path, entry)["a.jpg"]
  np.testing.assert_allclose(found.landmarks, POINTS - 0.5)
  assert found.groups == {"expression": "smile"}


def test_a_folder_without_points(tmp_path):
  assert annotations.read_annotations(tmp_path) == {}


@pytest.mark.parametrize(
  "content, message",
  (
    ("{", "manifest.json: no JSON"),
    ("[]", "manifest.json: not as `facerec_jax.photos.annotations` describes"),
    ('{"images": [{}]}', "KeyError: 'file'"),
    ('{"images": [], "pixel_origin": "middle"}', "KeyError: 'middle'"),
    (
      '{"images": [{"file": "a.jpg", "landmarks68": [[1, 2]]}]}',
      r"a.jpg: got points of shape \(1, 2\), wanted \(68, 2\), finite",
    ),
    (
      '{"images": [{"file": "a.jpg", "landmarks68": [["x", 2]]}]}',
      "a.jpg: landmarks68 are not numbers",
    ),
    (
      '{"images": [{"file": "a.jpg", "landmarks68_reliable_idx": [68]}]}',
      "a.jpg: landmarks68_reliable_idx leaves 0..67",
    ),
  ),
)
def test_bad_manifests_are_named(tmp_path, content, message):
  (tmp_path / "manifest.json").write_text(content)
  with pytest.raises(ValueError, match=message):
    annotations.read_annotations(tmp_path)


def test_bad_points_are_named(tmp_path):
  (tmp_path / "a.jpg").touch()
  for text in ("", pts(POINTS[:5]), pts(POINTS).replace("}", "1 }")):
    (tmp_path / "a.pts").write_text(text)
    with pytest.raises(ValueError, match="a.pts: got points of shape"):
      annotations.read_annotations(tmp_path)
