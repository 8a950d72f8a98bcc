"""Tests of the command that shows a face model."""

import commands
import fake_model
import numpy as np
from PIL import Image
import pytest

from facerec_jax.model_files import archive
from facerec_jax.results import people

_PEOPLE = 10


@pytest.fixture(scope="module")
def model():
  return fake_model.make(num_rings=8)


def run(tmp_path, *flags):
  return commands.run("show_model", *flags, cwd=tmp_path)


def test_every_sheet_is_written(tmp_path):
  # Every mode is a picture or two.
  model = fake_model.make(num_rings=8, identity=1, expression=2, albedo=1)
  archive.save(tmp_path / "model.npz", model)
  result = run(
    tmp_path, "--output=new/sheets", "--model=model.npz", f"--people={_PEOPLE}"
  )
  assert result.returncode == 0, result.stderr
  wanted = {"views", "landmarks", "identity", "expression", "albedo", "people"}
  written = {path.stem for path in (tmp_path / "new/sheets").iterdir()}
  assert written >= wanted
  for path in (tmp_path / "new/sheets").iterdir():
    # Faces on dark grey.
    assert np.asarray(Image.open(path)).std() > 10, path.name


def test_people_differ_and_depend_on_their_number_alone(model):
  few = people.people_sheet(model, 2, seed=3)
  more = people.people_sheet(model, _PEOPLE, seed=3)
  # Two rows, the second shorter; the margins are the sheet's own.
  height = more.shape[0] // 2
  assert (
    np.abs(few.astype(int)[:height] - more[:height, : few.shape[1]]).max() <= 2
  )
  half = few.shape[1] // 2
  assert np.abs(few[:, :half].astype(int) - few[:, half : 2 * half]).mean() > 2
  other = people.people_sheet(model, 2, seed=4)
  assert np.abs(few.astype(int) - other).mean() > 2


def test_bad_input_gets_one_line(tmp_path):
  for flags, message in (
    ([], "--output is missing"),
    (["--output=x", "--model=none.npz"], "face model 'none.npz'"),
  ):
    result = run(tmp_path, *flags)
    assert result.returncode == 2, result.stderr
    assert message in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr
