"""The report page: well-formed, escaped, complete, linked relatively."""

from html import parser
import os
import urllib.parse

import pytest

from facerec_jax.results import report as reports

VOID = {"meta", "img", "link", "br"}


class Page(parser.HTMLParser):
  """Collects tags and text; fails on tags that do not nest."""

  def __init__(self, path):
    super().__init__()
    self.open, self.text, self.targets, self.tags = [], [], [], []
    self.feed(path.read_text("utf-8"))
    assert not self.open

  def handle_starttag(self, tag, attrs):
    self.tags.append(tag)
    self.targets += [v for k, v in attrs if k in ("href", "src")]
    if tag not in VOID:
      self.open.append(tag)

  def handle_endtag(self, tag):
    assert self.open.pop() == tag

  def handle_data(self, data):
    if "style" not in self.open:
      self.text.append(data.strip())


def write(folder, **fields):
  return reports.write_report(
    folder / "index.html", reports.Report(title="Faces", **fields)
  )


def test_everything_is_on_the_page(tmp_path):
  section = reports.Section(
    title="photo.jpg",
    text="one face",
    figures=(reports.Figure("photo/crop.png", "what was read"),),
    facts=(("yaw", "12°"), ("pitch", "-3°")),
    files=(("mesh", "photo/mesh.glb"),),
    problems=("blurred",),
  )
  path = write(
    tmp_path,
    text="Overview",
    facts=(("photographs", "1"),),
    sections=(section,),
    problems=("b.png: damaged",),
  )
  page = Page(path)
  texts = set(page.text)
  assert texts >= {
    *("Faces", "Overview", "photographs", "1", "b.png: damaged"),
    *("photo.jpg", "one face", "what was read", "yaw", "12°", "pitch"),
    *("-3°", "mesh", "blurred"),
  }
  wanted = ["photo/crop.png", "photo/crop.png", "photo/mesh.glb"]
  assert page.targets == wanted


def test_absent_parts_leave_nothing_behind(tmp_path):
  page = Page(write(tmp_path, sections=(reports.Section("empty"),)))
  assert not {"p", "ul", "table", "img", "a", "figure"} & set(page.tags)


def test_texts_are_escaped(tmp_path):
  name = '<script>alert("x")</script>&amp;'
  section = reports.Section(
    title=name,
    figures=(reports.Figure("a.png", name),),
    facts=((name, name),),
    files=((name, f"{name}.obj"),),
    problems=(name,),
  )
  page = Page(write(tmp_path, sections=(section,), problems=(name,)))
  assert "script" not in page.tags
  assert page.text.count(name) == 7


@pytest.mark.parametrize(
  "name", ("with space.png", "a#b?.png", "50%.png", "ä\u4e2d.png", "a:b.png")
)
def test_links_lead_to_the_files(tmp_path, name):
  folder = tmp_path / "out"
  folder.mkdir()
  target = folder / name
  figures = (
    reports.Figure(name),
    reports.Figure(target),
    reports.Figure(target.parent / ".." / "out" / name),
  )
  path = write(folder, sections=(reports.Section("s", figures=figures),))
  targets = Page(path).targets
  assert len(targets) == 6 and len(set(targets)) == 1
  # As a browser resolves it: against the page's own address.
  url = urllib.parse.urljoin(path.as_uri(), targets[0])
  parts = urllib.parse.urlparse(url)
  assert parts.scheme == "file" and not parts.query and not parts.fragment
  assert os.path.samefile(
    os.path.dirname(urllib.parse.unquote(parts.path)), folder
  )
  assert urllib.parse.unquote(parts.path) == str(target)


def test_page_needs_nothing_from_elsewhere(tmp_path):
  text = write(tmp_path).read_text("utf-8")
  assert "http:" not in text and "https:" not in text


def test_tables_and_pictures_inside_the_page(tmp_path):
  (tmp_path / "a b.png").write_bytes(b"picture")
  section = reports.Section(
    title="errors",
    figures=(reports.Figure("a b.png"),),
    tables=(reports.Table(("error", "mm"), (("<shape>", "1.5"),), "All"),),
  )
  path = reports.write_report(
    tmp_path / "index.html",
    reports.Report(title="Faces", sections=(section,), figure_width=480),
    embed=True,
  )
  page = Page(path)
  assert {"error", "mm", "<shape>", "1.5", "All"} <= set(page.text)
  assert page.targets == ["data:image/png;base64,cGljdHVyZQ=="]
  assert "480" in path.read_text() and page.tags.count("td") == 1
