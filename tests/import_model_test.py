"""Tests of the command that imports face models, and of its pictures."""

import commands
import fake_model
import model_writers as writers
import numpy as np
from PIL import Image
import pytest

from facerec_jax.model_files import archive
from facerec_jax.results import model_sheets


def run(tmp_path, *flags):
  return commands.run("import_model", *flags, cwd=tmp_path)


def test_bad_input_gets_one_line(tmp_path):
  (tmp_path / "a.txt").write_text("hello")
  cases = [
    (["--input=a.txt", "--output=b.bin"], "wanted a name that ends in .npz"),
    (["--input=a.txt", "--output=b.npz"], "a.txt: not recognised as one of"),
  ]
  for flags, message in cases:
    result = run(tmp_path, *flags)
    assert result.returncode == 2, result.stderr
    assert message in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr


def test_card_and_archive(tmp_path):
  model = writers.plain(fake_model.make(num_rings=20))
  writers.write_statismo(tmp_path / "shapes.h5", model)
  marks = {str(k): int(v) for k, v in enumerate(model.landmarks)}
  (tmp_path / "marks.json").write_text(str(marks).replace("'", '"'))
  result = run(
    tmp_path,
    "--input=shapes.h5",
    "--output=out/model.npz",
    "--landmarks=marks.json",
    "--uv=none",
    "--identity_modes=2",
  )
  assert result.returncode == 0, result.stderr
  assert "landmarks:   68 published" in result.stdout
  assert "expression:  none" in result.stdout
  assert "identity:    2 of 4 modes" in result.stdout
  loaded = archive.load(tmp_path / "out/model.npz")
  assert loaded.identity.shape == (len(model.mean), 3, 2)
  assert (
    archive.load_provenance(tmp_path / "out/model.npz").format == "statismo"
  )


@pytest.fixture(scope="module")
def sheets(tmp_path_factory):
  patch = pytest.MonkeyPatch()
  patch.setattr(model_sheets, "_SIZE", 40)
  patch.setattr(model_sheets, "_LARGE", 240)
  model = fake_model.make(num_rings=8, identity=2, expression=2, albedo=2)
  folder = tmp_path_factory.mktemp("sheets")
  files = model_sheets.write_sheets(
    folder,
    model,
    derived_landmarks=(3,),
    expressions=[("some", np.array([1.0, -1.0]))],
  )
  patch.undo()
  return {path.name: np.asarray(Image.open(path)) for path in files}


def test_sheets_of_all_bases(sheets):
  assert sorted(sheets) == [
    "albedo.png", "expression.png", "expressions.png", "identity.png",
    "landmarks.png", "views.png",
  ]  # fmt: skip


def test_derived_landmarks_have_their_colour(sheets):
  picture = sheets["landmarks.png"].astype(int)
  yellow = (np.abs(picture - [255, 255, 0]).sum(axis=2) == 0).sum()
  cyan = (np.abs(picture - [80, 255, 255]).sum(axis=2) == 0).sum()
  assert yellow > 20 * cyan > 0
