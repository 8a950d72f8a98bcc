"""What every command shares: flags, starting JAX, errors -> exit codes."""

from __future__ import annotations

from collections.abc import Callable
import functools
import logging as py_logging
import pathlib
import sys

from absl import app as absl_app
from absl import flags
from absl import logging
import jax
from ml_collections import config_flags

from facerec_jax.model_files import builtin

_CACHE = flags.DEFINE_string(
  "compilation_cache",
  None,
  "Folder that keeps compiled programs between runs; by default inside "
  "$XDG_CACHE_HOME or ~/.cache. Empty: none.",
)


class UsageError(Exception):
  """What the user asked for is wrong: exit code 2."""


class WorkError(Exception):
  """The work failed: exit code 1."""


# Apps share these flags: one definition each, whoever is imported first.
@functools.cache
def define_config(default: str | None = None):
  """Defines --config=FILE[:VARIANT]; call at import of an app."""
  return config_flags.DEFINE_config_file(
    "config",
    default,
    "Config file and variant, such as configs/resnet.py:quick; single values "
    "are overridden by --config.name=value.",
    lock_config=True,
  )


@functools.cache
def define_workdir():
  """Defines --workdir=DIR; call at import of an app."""
  return flags.DEFINE_string(
    "workdir", None, "Folder for checkpoints, metrics and sample images."
  )


@functools.cache
def define_checkpoint():
  """Defines --checkpoint=DIR; call at import of an app."""
  return flags.DEFINE_string("checkpoint", None, "Work folder of a training.")


@functools.cache
def define_output():
  """Defines --output=DIR; call at import of an app."""
  return flags.DEFINE_string("output", None, "Folder for the results.")


def run(main: Callable[[], None]) -> None:
  """Parses flags, starts JAX and runs an app.

  A `UsageError` (or a flag error) ends with one line and exit code 2, a
  `WorkError` with one line and exit code 1.

  Args:
    main: the app; it reads its flags itself.
  """

  def guarded(_):
    _start_jax()
    try:
      main()
    except UsageError as error:
      _fail(error, 2)
    except WorkError as error:
      _fail(error, 1)

  absl_app.run(guarded, flags_parser=_parse)


def _parse(argv):
  logging.set_verbosity(logging.INFO)
  logging.get_absl_handler().addFilter(_is_ours_or_serious)
  try:
    left = flags.FLAGS(argv)
    if len(left) > 1:
      raise UsageError(f"unknown argument {left[1]!r}; flags start with --")
  except (
    flags.Error,
    UsageError,
    # What config files and overrides raise.
    AttributeError,
    KeyError,
    TypeError,
    ValueError,
    OSError,
  ) as error:
    _fail(error, 2)
  return left


def _is_ours_or_serious(record):
  """Libraries narrate every checkpoint and back end; keep their warnings."""
  ours = "facerec_jax" in pathlib.PurePath(record.pathname).parts
  return ours or record.levelno > py_logging.INFO


def _fail(error, code):
  message = str(error.args[0] if error.args else error)
  if "Traceback" in message:
    # A config file that raised: its own last line says what was wrong.
    message = message.strip().splitlines()[-1].partition(": ")[2]
  text = " ".join(message.split())
  print(f"error: {text}", file=sys.stderr)
  sys.exit(code)


def _start_jax():
  folder = _CACHE.value
  if folder is None:
    folder = builtin.cache_folder() / "compiled"
  if folder:
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
  devices = jax.local_devices()
  logging.info(
    "%d %s device(s): %s", len(devices), devices[0].platform, devices
  )


def required(name: str, value):
  """Returns a flag's value.

  Raises:
    UsageError: it was not given.
  """
  if value is None:
    raise UsageError(f"--{name} is missing")
  return value


def read_config(flag: flags.FlagHolder) -> dict:
  """The config of a flag as nested dicts, as checkpoints store it.

  Raises:
    UsageError: the file cannot be loaded.
  """
  try:
    return flag.value.to_dict()
  except OSError as error:
    reason = str(error).strip().splitlines()[-1].strip()
    raise UsageError(f"--config: {reason}") from error
