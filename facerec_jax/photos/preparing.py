"""Preparing many photographs: in processes, once each, whatever fails."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence
from concurrent import futures
from concurrent.futures import process
import dataclasses
import multiprocessing
import os
import pathlib

from absl import logging
import jax
import tqdm

from facerec_jax import messages
from facerec_jax.photos import folders
from facerec_jax.photos import prepared
from facerec_jax.photos import reading

DONE = "prepared"
NO_FACE = "no face"
UNREADABLE = "unreadable"
FAILED = "failed"
# Photographs handed to each process at a time: few, so that little is done
# twice when one of them kills its process.
_AHEAD = 4


@dataclasses.dataclass(frozen=True)
class Outcome:
  """What became of a photograph.

  Attributes:
    source: the photograph.
    status: `DONE`, `NO_FACE`, `UNREADABLE` or `FAILED`.
    message: why not `DONE`, or "".
    digest: SHA-256 of the file, or "".
    file: what `prepared.load` reads, where there is one.
    is_new: whether it was prepared now.
  """

  source: folders.Source
  status: str
  message: str = ""
  digest: str = ""
  file: pathlib.Path | None = None
  is_new: bool = False


def prepare_all(
  sources: Sequence[folders.Source],
  settings: prepared.Settings,
  cache: str | os.PathLike,
  *,
  num_workers: int | None = None,
) -> list[Outcome]:
  """Prepares photographs, or takes what the cache holds of them.

  The cache is keyed by the content of a file and the fingerprint of the
  settings; what is in it survives any interruption.

  Args:
    sources: photographs.
    settings: how.
    cache: folder of the prepared ones; made where it is missing.
    num_workers: processes; None for one per core, 0 for this process alone.

  Returns:
    Outcomes in the order of the sources.

  Raises:
    ValueError: the settings name no landmark model.
  """
  folder = pathlib.Path(cache) / settings.fingerprint()
  folder.mkdir(parents=True, exist_ok=True)
  if num_workers is None:
    num_workers = min(len(os.sched_getaffinity(0)), len(sources))
  work = (
    _in_this_process(sources, settings, folder)
    if num_workers == 0
    else _in_processes(sources, settings, folder, num_workers)
  )
  outcomes = {}
  for outcome in tqdm.tqdm(
    work, total=len(sources), unit="photo", mininterval=1.0, disable=None
  ):
    outcomes[outcome.source] = outcome
    if outcome.status != DONE:
      name, status = outcome.source.name, outcome.status
      logging.warning("%s: %s, %s", name, status, outcome.message)
  return [outcomes[source] for source in sources]


def _in_this_process(sources, settings, folder):
  for source in sources:
    yield prepare_one(source, settings, folder)


def _in_processes(sources, settings, folder, num_workers) -> Iterator[Outcome]:
  pool = _pool(num_workers)
  step = num_workers * _AHEAD
  try:
    for start in range(0, len(sources), step):
      chunk = sources[start : start + step]
      tasks = {
        pool.submit(prepare_one, source, settings, folder): source
        for source in chunk
      }
      orphans = []
      for task in futures.as_completed(tasks):
        try:
          yield task.result()
        except process.BrokenProcessPool:
          orphans.append(tasks[task])
      if orphans:
        pool.shutdown()
        yield from _one_by_one(orphans, settings, folder)
        pool = _pool(num_workers)
  finally:
    pool.shutdown(cancel_futures=True)


def _one_by_one(sources, settings, folder):
  """One of these photographs kills the process that reads it: which?"""
  for source in sources:
    with _pool(1) as pool:
      try:
        yield pool.submit(prepare_one, source, settings, folder).result()
      except process.BrokenProcessPool:
        yield Outcome(source, FAILED, "the process that read it died")


def _pool(num_workers):
  return futures.ProcessPoolExecutor(
    num_workers,
    # A fork of a process that runs JAX may hang.
    mp_context=multiprocessing.get_context("spawn"),
    initializer=_start_worker,
  )


def _start_worker():
  # Masks are small: they are no reason to take an accelerator.
  jax.config.update("jax_platforms", "cpu")


def prepare_one(
  source: folders.Source, settings: prepared.Settings, folder: pathlib.Path
) -> Outcome:
  """Prepares one photograph into a folder; never raises for a bad one.

  Args:
    source: the photograph.
    settings: how.
    folder: of the prepared ones of these settings.
  """
  try:
    digest = prepared.file_digest(source.path)
    file = folder / f"{digest}.npz"
    is_new = not _is_usable(file)
    if is_new:
      prepared.save(file, _prepare_or_none(source, settings))
    if prepared.load(file) is None:
      return Outcome(source, NO_FACE, "no face was found", digest)
  except reading.PhotoError as error:
    return Outcome(source, UNREADABLE, messages.one_line(error))
  except Exception as error:  # A photograph never stops the others.
    logging.exception("%s", source.path)
    return Outcome(source, FAILED, messages.one_line(error))
  return Outcome(source, DONE, "", digest, file, is_new)


def _prepare_or_none(source, settings):
  try:
    return prepared.read_and_prepare(source.path, settings)
  except prepared.NoFaceError:
    return None


def _is_usable(file):
  try:
    prepared.load(file)
  except ValueError:
    return False
  return True
