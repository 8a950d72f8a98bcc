"""Checkpoints: the newest and the best, with the config that made them."""

from __future__ import annotations

from collections.abc import Mapping
import hashlib
import pathlib
from typing import Any

from absl import logging
import jax
import numpy as np
import orbax.checkpoint as ocp

_FOLDER = "checkpoints"


class CheckpointError(Exception):
  """A work folder holds no usable checkpoint."""


class Checkpointer:
  """Saves and restores the state of a training in its work folder."""

  def __init__(
    self, workdir, *, keep_latest: int = 2, best_metric: str = "vertex_mm"
  ):
    """Opens the checkpoints of a work folder (created where missing).

    Args:
      workdir: the folder.
      keep_latest: number of newest checkpoints kept.
      best_metric: smaller is better; the best one is kept besides.
    """
    policy = ocp.checkpoint_managers
    self._manager = ocp.CheckpointManager(
      pathlib.Path(workdir).absolute() / _FOLDER,
      options=ocp.CheckpointManagerOptions(
        # max_to_keep with best_fn would delete the newest steps.
        preservation_policy=policy.AnyPreservationPolicy(
          [
            policy.LatestN(keep_latest),
            policy.BestN(
              get_metric_fn=lambda metrics: (
                -metrics.get(best_metric, float("inf"))
              ),
              n=1,
              keep_checkpoints_without_metrics=False,
            ),
          ]
        ),
      ),
    )

  def save(
    self,
    step: int,
    state: Any,
    config: Mapping[str, Any],
    metrics: Mapping[str, float] | None = None,
  ) -> None:
    """Writes one checkpoint; returns when it is complete on disk.

    Args:
      step: finished steps.
      state: pytree of arrays, of one device.
      config: plain values, saved as JSON beside the state.
      metrics: of an evaluation at this step, or None.
    """
    if self._manager.latest_step() == step:
      return
    self._manager.save(
      step,
      args=ocp.args.Composite(
        state=ocp.args.StandardSave(state), config=ocp.args.JsonSave(config)
      ),
      metrics=None if metrics is None else dict(metrics),
    )
    self._manager.wait_until_finished()
    logging.info("saved step %d in %s", step, self._manager.directory)

  @property
  def latest_step(self) -> int | None:
    """Step of the newest checkpoint, None where there is none."""
    return self._manager.latest_step()

  def restore(self, template: Any, step: int | None = None) -> Any:
    """Reads a state.

    Args:
      template: a state of the same structure, shapes and types.
      step: which one, None for the newest.

    Returns:
      The state.

    Raises:
      CheckpointError: there is none, or it does not fit the template.
    """
    step = self._step(step)
    try:
      restored = self._manager.restore(
        step, args=ocp.args.Composite(state=ocp.args.StandardRestore(template))
      )
    except (ValueError, KeyError, TypeError) as error:
      raise CheckpointError(
        f"checkpoint {self._manager.directory}/{step} does not fit this "
        f"config: {str(error).splitlines()[0]}"
      ) from error
    return restored["state"]

  def restore_config(self, step: int | None = None) -> dict[str, Any]:
    """Reads the config that a checkpoint was made with.

    Raises:
      CheckpointError: there is no checkpoint.
    """
    restored = self._manager.restore(
      self._step(step), args=ocp.args.Composite(config=ocp.args.JsonRestore())
    )
    return restored["config"]

  def close(self) -> None:
    """Releases the folder."""
    self._manager.close()

  def _step(self, step):
    latest = self._manager.latest_step()
    if latest is None:
      raise CheckpointError(
        f"no checkpoint in {self._manager.directory}; train one with "
        "python -m facerec_jax.main --config=... --workdir=..."
      )
    return latest if step is None else step


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
