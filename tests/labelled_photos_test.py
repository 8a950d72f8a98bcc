"""Labels of folders and manifests, and what is said of those without."""

import json

import pytest

from facerec_jax.photos import labelled_photos


def _touch(root, *names):
  for name in names:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")


def _list(path):
  photos, problems = labelled_photos.list_labelled(path)
  root = path if path.is_dir() else path.parent
  return {str(p.path.relative_to(root)): p.label for p in photos}, problems


def test_folders_named_by_class_in_any_case(tmp_path):
  _touch(tmp_path, "Happy/a.jpg", "SADNESS/b.PNG", "anger/.hidden.jpg")
  _touch(tmp_path, "anger/notes.txt", "anger/deep/c.jpg", "d.jpg", "x/e.jpg")
  photos, problems = _list(tmp_path)
  assert photos == {
    "Happy/a.jpg": "happiness",
    "SADNESS/b.PNG": "sadness",
    "anger/deep/c.jpg": "anger",
  }
  assert problems == ["2 photograph(s) lie in no folder named by a class"]


def test_the_nearest_folder_names_the_class(tmp_path):
  _touch(tmp_path, "neutral/surprise/a.jpg")
  assert _list(tmp_path)[0] == {"neutral/surprise/a.jpg": "surprise"}


def test_of_a_take_the_middle_frame_counts(tmp_path):
  """MUG: subject/class/take/frame; frames in natural order."""
  frames = [f"001/fear/take000/img_{k}.jpg" for k in range(11)]
  _touch(tmp_path, *frames, "002/neutral/take001/img_0000.jpg")
  assert _list(tmp_path)[0] == {
    "001/fear/take000/img_5.jpg": "fear",
    "002/neutral/take001/img_0000.jpg": "neutral",
  }


def test_csv_manifest_with_faults(tmp_path):
  path = tmp_path / "labels.csv"
  path.write_text(
    "\ufeffFile, Expression,who\n"
    "a.jpg,happy,x\n"
    "b.jpg,contempt,x\n"
    ",sad,x\n"
    "c.jpg,,x\n"
    "sub/d.jpg,Surprised\n"
    "a.jpg,joy,x\n"
    "a.jpg,sad,x\n",
    "utf-8",
  )
  photos, problems = _list(path)
  assert photos == {"a.jpg": "happiness", "sub/d.jpg": "surprise"}
  assert problems == [
    "line 3: label 'contempt' is none of anger, disgust, fear, happiness, "
    "neutral, sadness, surprise",
    "line 4: no file",
    "line 5: no label",
    "line 8: a.jpg is sadness here and happiness before",
  ]


@pytest.mark.parametrize(
  "content",
  [
    [{"file": "a.jpg", "expression": "happy"}],
    {"about": "x", "images": [{"path": "a.jpg", "emotion": "happiness"}]},
    {"a.jpg": "smile"},
  ],
)
def test_json_manifests(tmp_path, content):
  (tmp_path / "manifest.json").write_text(json.dumps(content))
  assert _list(tmp_path) == ({"a.jpg": "happiness"}, [])


def test_json_entries_that_are_none(tmp_path):
  path = tmp_path / "m.json"
  path.write_text(json.dumps([3, {"file": "a.jpg", "label": "fear"}]))
  assert _list(path) == ({"a.jpg": "fear"}, ["entry 1: no file"])


@pytest.mark.parametrize(
  "name, text, message",
  [
    ("m.csv", "", "no column file or path; got an empty file"),
    ("m.csv", "file,age\na.jpg,3\n", "no column label or expression; got file"),
    ("m.csv", "file,label\na.jpg,wow\n", "no labelled photograph: line 2: lab"),
    ("m.json", "{", "not a manifest in UTF-8"),
    ("m.json", "3", "wanted a list of objects with file and label"),
    ("m.json", '{"a": [1], "b": [2]}', "wanted a list of objects with file"),
  ],
)
def test_manifests_that_are_none(tmp_path, name, text, message):
  path = tmp_path / name
  path.write_text(text)
  with pytest.raises(labelled_photos.LabelError, match=message):
    labelled_photos.list_labelled(path)


def test_binary_missing_and_empty(tmp_path):
  path = tmp_path / "m.csv"
  path.write_bytes(b"\xff\xfe\x00")
  with pytest.raises(labelled_photos.LabelError, match="not a manifest in UTF"):
    labelled_photos.list_labelled(path)
  with pytest.raises(labelled_photos.LabelError, match="no such manifest or"):
    labelled_photos.list_labelled(tmp_path / "nothing")
  path.unlink()
  with pytest.raises(labelled_photos.LabelError, match="wanted folders named"):
    labelled_photos.list_labelled(tmp_path)
