"""Commands as a user starts them, each in a process of its own.

The processes are forks of one that has imported what all commands import, which
takes longer than most of what they are asked for here.
"""

import multiprocessing
import os
import pathlib
import runpy
import subprocess
import sys
import tempfile

import jax

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
  ["facerec_jax.app", "facerec_jax.trained_encoder", "cv2"]
)


def run(
  command, *flags, cwd=None, platform=None
) -> subprocess.CompletedProcess:
  """Runs `python -m facerec_jax.COMMAND FLAGS`.

  Args:
    command: name of the module.
    *flags: its arguments.
    cwd: the folder that it runs in; by default this one.
    platform: of JAX, such as "cpu"; by default the best there is.

  Returns:
    Exit status and what it wrote, as text.
  """
  with tempfile.TemporaryDirectory() as folder:
    outputs = [pathlib.Path(folder) / name for name in ("out", "err")]
    process = _CONTEXT.Process(
      target=_command,
      args=(command, list(flags), cwd or os.getcwd(), platform, outputs),
    )
    process.start()
    process.join()
    texts = [path.read_text("utf-8") for path in outputs]
  return subprocess.CompletedProcess(
    [command, *flags], process.exitcode, *texts
  )


def _command(command, flags, cwd, platform, outputs):
  """In the new process: what the interpreter does for -m."""
  os.chdir(cwd)
  jax.config.update("jax_platforms", platform)
  for number, path in enumerate(outputs, start=1):
    with open(path, "wb") as file:
      os.dup2(file.fileno(), number)
  sys.argv = [command, *flags]
  runpy.run_module(
    f"facerec_jax.{command}", run_name="__main__", alter_sys=True
  )
