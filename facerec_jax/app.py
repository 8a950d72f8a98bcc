"""What every command shares: flags, starting JAX, errors -> exit codes."""

from __future__ import annotations

from collections.abc import Callable
import functools
import logging as py_logging
import os
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
_DISTRIBUTED = flags.DEFINE_bool(
  "distributed",
  False,
  "Several processes work together, and SLURM, a TPU pod or MPI says which; "
  "elsewhere give --coordinator_address, --num_processes and --process_id.",
)
_COORDINATOR = flags.DEFINE_string(
  "coordinator_address", None, "HOST:PORT of the first of several processes."
)
_NUM_PROCESSES = flags.DEFINE_integer(
  "num_processes", None, "Number of processes.", lower_bound=1
)
_PROCESS_ID = flags.DEFINE_integer(
  "process_id", None, "Number of this process, from 0.", lower_bound=0
)


class UsageError(Exception):
  """What the user asked for is wrong: exit code 2."""


class WorkError(Exception):
  """The work failed: exit code 1."""


# Apps share these flags: one definition each, whoever is imported first.
@functools.cache
def define_config(default: str | None = None):
  """Defines --config=FILE[:VARIANT]; call at import of an app."""
  if "config" in flags.FLAGS:
    # An app is alone in its process; whoever imports several (tests) gets the
    # default of the last.
    delattr(flags.FLAGS, "config")
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
def define_mode(**meanings: str):
  """Defines --mode, the first by default; call at import of an app."""
  if "mode" in flags.FLAGS:
    # As --config: the last of several apps counts.
    delattr(flags.FLAGS, "mode")
  return flags.DEFINE_enum(
    "mode",
    next(iter(meanings)),
    list(meanings),
    " ".join(f"{name}: {meaning}." for name, meaning in meanings.items()),
  )


@functools.cache
def define_checkpoint():
  """Defines --checkpoint=DIR; call at import of an app."""
  return flags.DEFINE_string(
    "checkpoint",
    None,
    "Encoder: the work folder of a training, a file of facerec_jax.export, or "
    "the name of a released one; by default small, which is released.",
  )


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
    try:
      _start_jax()
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
  print(f"error: {text}", file=sys.stderr, flush=True)
  if jax.distributed.is_initialized():
    # An orderly exit would wait for the other processes, which wait for this.
    os._exit(code)
  sys.exit(code)


def _start_jax():
  folder = _CACHE.value
  if folder is None:
    folder = builtin.cache_folder() / "compiled"
  if folder:
    jax.config.update("jax_compilation_cache_dir", str(folder))
    # Small programs, too: start-up has dozens of them.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
  _join_processes()
  devices = jax.local_devices()
  logging.info(
    "%d %s device(s): %s", len(devices), devices[0].platform, devices
  )


def _join_processes():
  """Connects to the other processes, where there are some.

  Raises:
    UsageError: the flags do not say which processes.
    WorkError: they cannot be reached.
  """
  values = {
    "coordinator_address": _COORDINATOR.value,
    "num_processes": _NUM_PROCESSES.value,
    "process_id": _PROCESS_ID.value,
  }
  missing = [name for name, value in values.items() if value is None]
  if len(missing) == len(values) and not _DISTRIBUTED.value:
    return
  if missing and not _DISTRIBUTED.value:
    raise UsageError(
      f"--{missing[0]} is missing: several processes need "
      f"{', '.join(f'--{name}' for name in values)}, or --distributed where "
      "the cluster knows them"
    )
  try:
    jax.distributed.initialize(**values)
  except ValueError as error:
    raise UsageError(f"--distributed: {error}") from error
  except RuntimeError as error:
    raise WorkError(f"processes do not meet: {error}") from error
  index, count = jax.process_index(), jax.process_count()
  logging.info("process %d of %d", index, count)
  if index:
    # All know the same; the first one tells it.
    logging.set_verbosity(logging.WARNING)


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
