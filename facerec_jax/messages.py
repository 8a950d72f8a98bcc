"""What errors tell people."""

from __future__ import annotations


def one_line(error: BaseException) -> str:
  """The text of an error as one line; its kind where it has none."""
  return " ".join(str(error).split()) or type(error).__name__
