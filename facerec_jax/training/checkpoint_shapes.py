"""Whether what a checkpoint holds has the shapes that a program wants."""

from __future__ import annotations

import pathlib
from typing import Any

import orbax.checkpoint as ocp

_SHOWN = 3


def differences(folder: pathlib.Path, template: Any) -> str:
  """Compares names and shapes, without reading values.

  To let orbax find out would leave files open that it had begun to read.

  Args:
    folder: of a saved pytree.
    template: pytree of arrays or shapes.

  Returns:
    Such as "params.w is (3, 2), wanted (4, 2)"; empty if there are none.

  Raises:
    OSError, ValueError: the folder cannot be read.
  """
  handler = ocp.StandardCheckpointHandler()
  saved = _shapes(handler.metadata(folder).tree)
  handler.close()
  wanted = _shapes(template)
  wrong = [
    f"{name} is {saved.get(name, 'absent')}, "
    f"wanted {wanted.get(name, 'absent')}"
    for name in sorted({*saved, *wanted})
    if saved.get(name) != wanted.get(name)
  ]
  more = len(wrong) - _SHOWN
  return "; ".join(wrong[:_SHOWN]) + (f"; {more} more" if more > 0 else "")


def _shapes(tree):
  return {
    ".".join(path): leaf.shape
    for path, leaf in ocp.tree.to_flat_dict(tree).items()
  }
