"""A report page: one index.html that opens from a file, in any browser.

Pictures and files are linked relatively, or pictures lie inside the page;
styles are inside the page; nothing is loaded from elsewhere.
"""

from __future__ import annotations

import base64
import dataclasses
import importlib.resources
import mimetypes
import os
import pathlib
import urllib.parse

import jinja2


@dataclasses.dataclass(frozen=True)
class Figure:
  """A picture.

  Attributes:
    path: of the image file.
    caption: below it.
  """

  path: str | os.PathLike
  caption: str = ""


@dataclasses.dataclass(frozen=True)
class Table:
  """A table of texts.

  Attributes:
    header: of the columns; the first names the rows.
    rows: each as long as the header.
    caption: above it.
  """

  header: tuple[str, ...]
  rows: tuple[tuple[str, ...], ...]
  caption: str = ""


@dataclasses.dataclass(frozen=True)
class Section:
  """A part of the page.

  Attributes:
    title: its heading.
    text: a paragraph, or "".
    figures: pictures side by side.
    facts: (name, value) rows of a table.
    tables: with several columns.
    files: (label, path) to open or save.
    problems: what went wrong, one line each.
  """

  title: str
  text: str = ""
  figures: tuple[Figure, ...] = ()
  facts: tuple[tuple[str, str], ...] = ()
  tables: tuple[Table, ...] = ()
  files: tuple[tuple[str, str | os.PathLike], ...] = ()
  problems: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Report:
  """A page.

  Attributes:
    title: of the page.
    text: below the title.
    facts: (name, value) rows of a table.
    sections: in order.
    problems: what went wrong, one line each; at the top of the page.
    figure_width: px that figures have at least, where the window has them.
  """

  title: str
  text: str = ""
  facts: tuple[tuple[str, str], ...] = ()
  sections: tuple[Section, ...] = ()
  problems: tuple[str, ...] = ()
  figure_width: int = 240


def write_report(
  path: str | os.PathLike, report: Report, *, embed: bool = False
) -> pathlib.Path:
  """Writes a page.

  Args:
    path: of the html file. Relative paths in the report start at its folder.
    report: what to show; all of its texts are plain text.
    embed: whether pictures lie inside the page, which then needs no other file.

  Returns:
    The path.
  """
  path = pathlib.Path(path)
  folder = path.parent.resolve()

  def link(target):
    target = os.path.relpath(folder / target, folder)
    return urllib.parse.quote(pathlib.PurePath(target).as_posix())

  def picture(target):
    if not embed:
      return link(target)
    kind = mimetypes.guess_type(os.fspath(target))[0]
    data = base64.b64encode((folder / target).read_bytes()).decode()
    return f"data:{kind};base64,{data}"

  environment = jinja2.Environment(
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
  )
  environment.filters.update(link=link, picture=picture)
  templates = importlib.resources.files("facerec_jax.results") / "templates"
  source = (templates / "report.html").read_text("utf-8")
  page = environment.from_string(source).render(report=report, embed=embed)
  path.write_text(page, "utf-8")
  return path
