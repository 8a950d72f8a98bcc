"""Checkpoints: the newest and the best, with the config that made them.

Only the first process writes. A checkpoint is complete or not there: orbax
renames it when all of it is on disk. What is read is held against the SHA-256
that was taken when it was saved.
"""

from __future__ import annotations

from collections.abc import Mapping
import functools
import hashlib
import json
import pathlib
import shutil
from typing import Any

from absl import logging
import jax
import numpy as np
import orbax.checkpoint as ocp

from facerec_jax.training import checkpoint_shapes

_FOLDER = "checkpoints"
# What reading a damaged file or writing to a full disk raises in orbax and
# tensorstore.
_STORAGE_ERRORS = (OSError, ValueError, KeyError, TypeError, RuntimeError)


class CheckpointError(Exception):
  """A work folder holds no usable checkpoint, or takes none."""


class Checkpointer:
  """Saves and restores the state of a training in its work folder."""

  def __init__(
    self,
    workdir,
    *,
    keep_latest: int = 2,
    best_metric: str = "vertex_mm",
    facts: Mapping[str, str] | None = None,
  ):
    """Names the folder; nothing is read or created before it is used.

    Args:
      workdir: the folder.
      keep_latest: number of newest checkpoints kept.
      best_metric: smaller is better; the best one is kept besides.
      facts: what a config does not say about a run, such as the fingerprint of
        its face model; saved with every checkpoint.
    """
    self._folder = pathlib.Path(workdir).absolute() / _FOLDER
    self._keep_latest = keep_latest
    self._best_metric = best_metric
    self._facts = dict(facts or {})
    self._damaged = set()

  @functools.cached_property
  def _manager(self):
    self._folder.mkdir(parents=True, exist_ok=True)
    policy = ocp.checkpoint_managers
    # Every process for itself: readers need no other, and one alone writes.
    process = jax.process_index()
    alone = ocp.options.MultiprocessingOptions(
      primary_host=process,
      active_processes={process},
      barrier_sync_key_prefix=f"process{process}",
    )
    options = ocp.CheckpointManagerOptions(
      create=False,
      multiprocessing_options=alone,
      # max_to_keep with best_fn would delete the newest steps.
      preservation_policy=policy.AnyPreservationPolicy(
        [
          policy.LatestN(self._keep_latest),
          policy.BestN(
            get_metric_fn=lambda metrics: (
              -metrics.get(self._best_metric, float("inf"))
            ),
            n=1,
            keep_checkpoints_without_metrics=False,
          ),
        ]
      ),
    )
    return ocp.CheckpointManager(self._folder, options=options)

  def save(
    self,
    step: int,
    state: Any,
    config: Mapping[str, Any],
    metrics: Mapping[str, float] | None = None,
  ) -> None:
    """Writes one checkpoint; returns when it is complete on disk.

    All processes may call it; the first one writes.

    Args:
      step: finished steps.
      state: pytree of arrays, of one device.
      config: plain values, saved as JSON beside the state.
      metrics: of an evaluation at this step, or None.

    Raises:
      CheckpointError: it cannot be written; what was there is intact.
    """
    if jax.process_index():
      return
    while self._damaged:
      self._manager.delete(self._damaged.pop())
    if self._manager.latest_step() == step:
      return
    # Of a killed run: this one alone writes here.
    self._remove_unfinished()
    state = jax.device_get(state)
    info = {
      "state_sha256": fingerprint(state),
      "config_sha256": fingerprint(json.dumps(config, sort_keys=True)),
      "facts": self._facts,
    }
    try:
      self._manager.save(
        step,
        args=ocp.args.Composite(
          state=ocp.args.StandardSave(state),
          config=ocp.args.JsonSave(config),
          info=ocp.args.JsonSave(info),
        ),
        metrics=None if metrics is None else dict(metrics),
      )
      self._manager.wait_until_finished()
    except _STORAGE_ERRORS as error:
      self._remove_unfinished()
      raise CheckpointError(
        f"step {step} cannot be saved in {self._folder}: {_line(error)}; "
        "earlier checkpoints are intact: make room and run the same command "
        "again"
      ) from error
    logging.info("saved step %d in %s", step, self._folder)

  def _remove_unfinished(self):
    for path in self._folder.glob("*.orbax-checkpoint-tmp*"):
      shutil.rmtree(path, ignore_errors=True)

  @property
  def latest_step(self) -> int | None:
    """Step of the newest checkpoint, None where there is none."""
    steps = self.all_steps
    return steps[-1] if steps else None

  @property
  def all_steps(self) -> list[int]:
    """Steps of all checkpoints, growing."""
    return sorted(self._manager.all_steps()) if self._folder.is_dir() else []

  def restore(self, template: Any, step: int | None = None) -> Any:
    """Reads a state.

    Args:
      template: a state of the same structure, shapes and types.
      step: which one, None for the newest that can be read.

    Returns:
      The state.

    Raises:
      CheckpointError: there is none, or it does not fit the template.
    """
    return self._newest_readable(
      lambda step: self._read_state(step, template), step
    )

  def _read_state(self, step, template):
    wrong = checkpoint_shapes.differences(
      self._folder / str(step) / "state", template
    )
    if wrong:
      raise CheckpointError(
        f"checkpoint {self._folder}/{step} does not fit this config: {wrong}"
      )
    state = self._read(step, state=ocp.args.StandardRestore(template))
    self._verify(step, "state_sha256", state)
    return state

  def _read_config(self, step):
    config = self._read(step, config=ocp.args.JsonRestore())
    self._verify(step, "config_sha256", json.dumps(config, sort_keys=True))
    return config

  def _verify(self, step, name, value):
    wanted = self._read_info(step).get(name)
    if wanted and fingerprint(value) != wanted:
      raise ValueError(f"{name} is not what it was when it was saved")

  def restore_config(self, step: int | None = None) -> dict[str, Any]:
    """Reads the config that a checkpoint was made with.

    Args:
      step: which one, None for the newest that can be read.

    Raises:
      CheckpointError: there is no checkpoint.
    """
    return self._newest_readable(self._read_config, step)

  def restore_facts(self, step: int | None = None) -> dict[str, str]:
    """Reads the facts that were saved with a checkpoint, where it has some."""
    return self._newest_readable(self._read_info, step).get("facts", {})

  def _read_info(self, step):
    # Checkpoints of the first version have none.
    if not (self._folder / str(step) / "info").exists():
      return {}
    return self._read(step, info=ocp.args.JsonRestore())

  def _read(self, step, **item):
    (name,) = item
    restored = self._manager.restore(step, args=ocp.args.Composite(**item))
    return restored[name]

  def _newest_readable(self, read, step):
    steps = self.all_steps[::-1] if step is None else [step]
    if not steps:
      raise CheckpointError(
        f"no checkpoint in {self._folder}; train one with "
        "python -m facerec_jax.main --config=... --workdir=..."
      )
    reasons = []
    for tried in steps:
      try:
        result = read(tried)
      except _STORAGE_ERRORS as error:
        reasons.append(_line(error))
        continue
      for bad, reason in zip(steps, reasons, strict=False):
        if bad not in self._damaged:
          logging.warning(
            "checkpoint %s/%d is damaged (%s); step %d is used instead",
            self._folder,
            bad,
            reason,
            tried,
          )
        self._damaged.add(bad)
      return result
    raise CheckpointError(
      f"checkpoint {self._folder}/{steps[0]} is damaged: {reasons[0]}"
    )

  def close(self) -> None:
    """Releases the folder."""
    if "_manager" in self.__dict__:
      self._manager.close()


def _line(error):
  """The first line of what an error says."""
  return str(error).strip().partition("\n")[0] or type(error).__name__


def exists(workdir) -> bool:
  """Whether a work folder has checkpoints, without creating anything."""
  folder = pathlib.Path(workdir) / _FOLDER
  return folder.is_dir() and any(
    path.name.isdigit() for path in folder.iterdir()
  )


def fingerprint(tree: Any) -> str:
  """SHA-256 over names, shapes and bytes of a pytree's leaves."""
  digest = hashlib.sha256()
  for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
    values = np.asarray(leaf)
    header = f"{jax.tree_util.keystr(path)} {values.shape} {values.dtype}\n"
    digest.update(header.encode())
    digest.update(np.ascontiguousarray(values).tobytes())
  return digest.hexdigest()
