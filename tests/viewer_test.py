"""The 3D page in a real browser: it draws, turns, morphs and relights."""

import io
import re

import jax.numpy as jnp
import numpy as np
from PIL import Image
import pytest

from facerec_jax.face import code_vector
from facerec_jax.model_files.builtin import expression as builtin_expression
from facerec_jax.render import color
from facerec_jax.render import illumination
from facerec_jax.results import atlas as atlases
from facerec_jax.results import face_mesh
from facerec_jax.results import unit_labels
from facerec_jax.results import viewer
from tests import browser as browsers
from tests import fake_model

NAMES = ("AU12_L", "AU12_R", "AU26")
SKIN = (200, 120, 90)


def write(folder, *, chart=True, title="A & <b>"):
  model = fake_model.make(num_rings=6, expression_names=NAMES, chart=chart)
  neutral = code_vector.CodeLayout(5, 3, 3).neutral()
  light = illumination.directional_light(
    jnp.array([0.0, 0.0, 1.0]), jnp.full(3, 2.0)
  )
  code = neutral.replace(
    expression=jnp.array([0.5, 0.0, 0.0]),
    illumination=light + illumination.ambient_light(jnp.full(3, 0.5)),
  )
  texture = np.full((32, 32, 3), SKIN, np.uint8) if chart else None
  mesh = face_mesh.of_face(model, atlases.create(model), code, texture)
  path = folder / "viewer.html"
  presets = {"grin": np.array([1.0, 1.0, 0.0])}
  return viewer.write_viewer(path, mesh, code, title=title, presets=presets)


def test_page_needs_nothing_else(tmp_path):
  page = write(tmp_path).read_text("utf-8")
  assert "A &amp; &lt;b&gt;" in page and "<b>" not in page
  # No address of another file or machine.
  assert not re.search(r"""(?:src|href)\s*=\s*["'](?!data:)""", page)
  assert "http" not in page.replace("data:image/jpeg", "")


def test_labels_are_for_people():
  assert unit_labels.label("AU12_L") == "lip corner up, left"
  assert unit_labels.label("AD34") == "cheeks puffed"
  assert unit_labels.label("jawOpen_x") == "jawOpen x"
  source = "".join(str(v) for v in vars(builtin_expression).values())
  for unit in set(re.findall(r"A[UD]\d\d", source)):
    assert unit_labels.label(unit) != unit


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
  program = browsers.find()
  if program is None:
    pytest.skip("needs Chromium: apt-get install chromium")
  folder = tmp_path_factory.mktemp("profile")
  with browsers.Browser(program, folder) as running:
    yield running


def shoot(browser):
  """What the canvas shows, [H, W, 3], without the controls beside it."""
  width = browser.run("document.querySelector('canvas').clientWidth")
  image = Image.open(io.BytesIO(browser.screenshot())).convert("RGB")
  return np.asarray(image)[:, :width].astype(int)


def slide(browser, name, value):
  return browser.run(
    f"""(() => {{
      const input = document.querySelector('label[title="{name}"] input');
      input.value = {value};
      input.dispatchEvent(new Event("input"));
      return input.value;
    }})()"""
  )


def middle(picture):
  height, width = picture.shape[:2]
  rows, columns = height // 2, width // 2
  return np.median(
    picture[rows - 60 : rows - 20, columns - 20 : columns + 20], axis=(0, 1)
  )


def test_face_looks_as_photographed_and_changes(tmp_path, browser):
  path = write(tmp_path)
  assert browser.open(path) == "ready"
  first = shoot(browser)
  # The texture's own colour, whatever light it was photographed in.
  np.testing.assert_allclose(middle(first), SKIN, atol=3)
  # It stands out from the ground on all sides.
  face = np.abs(first - first[2, 2]).sum(axis=-1) > 30
  assert 0.1 < face.mean() < 0.7 and not face[0].any() and not face[:, 0].any()
  # A slider moves the mouth; back at its start the picture is the same.
  assert float(slide(browser, "AU26", 1)) == 1
  assert np.abs(shoot(browser) - first).max() > 30
  slide(browser, "AU26", 0)
  np.testing.assert_array_equal(shoot(browser), first)
  # Half of the photograph's light is half of the linear colour.
  slide(browser, "ambient", 0.5)
  linear = 0.5 * np.asarray(color.srgb_to_linear(np.array(SKIN) / 255))
  wanted = 255 * np.asarray(color.linear_to_srgb(linear))
  np.testing.assert_allclose(middle(shoot(browser)), wanted, atol=3)
  slide(browser, "ambient", 1)
  # The mouse turns the face.
  browser.drag((200, 300), (300, 300))
  turned = shoot(browser)
  assert np.abs(turned - first).max() > 30
  assert not browser.problems


def test_address_presets_and_surfaces(tmp_path, browser):
  path = write(tmp_path)
  browser.open(path, "#preset=grin&look=2&lamp=1&yaw=30")
  read = "document.querySelector('label[title=\"%s\"] input').value"
  assert float(browser.run(read % "AU12_R")) == 1
  assert float(browser.run(read % "lamp")) == 1
  red, green, blue = middle(shoot(browser))
  assert red == green == blue
  buttons = browser.run(
    "[...document.querySelectorAll('#presets button')].map(b => {"
    "b.click(); return b.textContent})"
  )
  assert buttons == ["as photographed", "expressionless", "grin"]
  assert not browser.problems


def test_model_without_chart_shows_its_colours(tmp_path, browser):
  assert browser.open(write(tmp_path, chart=False)) == "ready"
  looks = browser.run(
    "[...document.getElementById('look').options].map(o => o.value)"
  )
  assert looks == ["1", "2"]
  red, _, blue = middle(shoot(browser))
  assert red > blue + 10
  assert not browser.problems


def test_what_fails_is_said(tmp_path, browser):
  path = write(tmp_path)
  page = path.read_text("utf-8").replace('id="arrays">', 'id="arrays">AAAA')
  path.write_text(page, "utf-8")
  assert browser.open(path) == "failed"
  problem = browser.run("document.getElementById('problem').textContent")
  assert problem
