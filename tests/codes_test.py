"""code.json and code.npz: complete, equal, readable, written in one piece."""

import json
import math
import string

from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
import jax.numpy as jnp
import numpy as np
import pytest

from facerec_jax.face import code_vector
from facerec_jax.results import codes
from tests import fake_model

LAYOUT = code_vector.CodeLayout(5, 4, 3)


def write(folder, model, **facts):
  flat = jnp.linspace(-1, 1, LAYOUT.size) * 1.2345678
  code = LAYOUT.unflatten(flat)
  codes.write_code(folder, model, code, facts=facts)
  text = (folder / "code.json").read_text("utf-8")
  return code, json.loads(text), np.load(folder / "code.npz")


def test_both_files_hold_every_group(tmp_path):
  points = np.arange(136.0).reshape(68, 2)
  code, content, arrays = write(
    tmp_path, fake_model.make(num_rings=3), landmarks68=points, detector="haar"
  )
  assert content["morphable_model"] == "fake"
  assert content["detector"] == "haar"
  assert content["units"].keys() == set(code_vector.GROUPS)
  for name in code_vector.GROUPS:
    wanted = np.asarray(getattr(code, name))
    np.testing.assert_array_equal(arrays[name], wanted)
    np.testing.assert_allclose(content[name], wanted, rtol=1e-6)
  np.testing.assert_array_equal(arrays["landmarks68"], points)
  np.testing.assert_array_equal(content["landmarks68"], points)
  assert set(arrays) == {
    *code_vector.GROUPS,
    "landmarks68",
    codes.FIELD_OF_VIEW,
  }


def test_units_follow_the_kind_of_model(tmp_path):
  _, content, _ = write(tmp_path, fake_model.make(num_rings=3))
  assert content["units"]["expression"] == "standard deviations"
  assert content["units"]["translation"].startswith("millimetres")
  assert content["units"]["rotation"].startswith("radians: pitch")
  names = ("a", "b", "c", "d", "e")
  model = fake_model.make(num_rings=3, expression_names=names)
  _, content, _ = write(tmp_path, model)
  assert content["units"]["expression"] == "blendshape weights, 0 to 1"
  # The layout holds four of the model's five.
  assert content["expression_names"] == ["a", "b", "c", "d"]


def test_a_file_may_say_what_camera_took_its_photograph(tmp_path):
  _, content, arrays = write(tmp_path, fake_model.make(num_rings=3))
  assert content[codes.FIELD_OF_VIEW] == pytest.approx(22)
  assert arrays[codes.FIELD_OF_VIEW] == pytest.approx(22)
  content = {codes.FIELD_OF_VIEW: 12.5}
  assert codes.field_of_view("a", content) == pytest.approx(math.radians(12.5))
  assert codes.field_of_view("a", {}) == pytest.approx(math.radians(22))
  for wrong in (0, -3.0, 180, "wide", None):
    with pytest.raises(
      codes.CodeFileError,
      match=f"^a: field_of_view_degrees is {wrong!r}, wanted 0 to 180$",
    ):
      codes.field_of_view("a", {codes.FIELD_OF_VIEW: wrong})


def test_what_is_not_finite_becomes_null(tmp_path):
  path = tmp_path / "a.json"
  codes.write_json(path, {"x": math.nan, "y": np.array([1.5, np.inf])})
  assert json.loads(path.read_text()) == {"x": None, "y": [1.5, None]}


def test_numbers_of_a_list_share_a_line(tmp_path):
  path = tmp_path / "a.json"
  codes.write_json(path, {"x": np.zeros((2, 3)), "n": np.int32(3)})
  lines = [line.strip() for line in path.read_text().splitlines()]
  assert lines.count("[0.0, 0.0, 0.0]") == 1
  assert lines.count("[0.0, 0.0, 0.0],") == 1
  assert '"n": 3' in lines


texts = st.text(string.printable + 'ä[]{}"\\')
values = st.recursive(
  st.none() | st.booleans() | st.integers() | texts,
  lambda children: st.lists(children) | st.dictionaries(texts, children),
  max_leaves=20,
)


@settings(max_examples=100, deadline=None)
@given(content=values)
def test_any_content_is_read_back(tmp_path_factory, content):
  path = tmp_path_factory.mktemp("json") / "a.json"
  codes.write_json(path, content)
  assert json.loads(path.read_text("utf-8")) == content


def test_a_failed_writing_leaves_the_old_file(tmp_path):
  path = tmp_path / "a.json"
  codes.write_json(path, {"good": 1})
  with pytest.raises(TypeError):
    codes.write_json(path, {"bad": object()})
  assert json.loads(path.read_text()) == {"good": 1}
