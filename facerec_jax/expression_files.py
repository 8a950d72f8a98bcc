"""Trained expression networks in single files: weights, config, calibration.

Reading one executes nothing. Two come with the package: trained on what the
released encoder `small` reads, and on such codes after refinement.
"""

from __future__ import annotations

from collections.abc import Mapping
import json
import pathlib
from typing import Any

import numpy as np

from facerec_jax import config_sections
from facerec_jax import expression_experiment as experiments
from facerec_jax import messages
from facerec_jax import tensor_files
from facerec_jax.recognition import network as networks
from facerec_jax.training import checkpoint

SUFFIX = tensor_files.SUFFIX
_FOLDER = pathlib.Path(__file__).parent / "released"
# Of codes that were not refined (False), and that were (True).
RELEASED = {
  False: _FOLDER / f"expression{SUFFIX}",
  True: _FOLDER / f"expression_refined{SUFFIX}",
}
_FORMAT = "facerec_jax expression network 1"


def save(
  path,
  config: Mapping[str, Any],
  facts: Mapping[str, Any],
  state: networks.State,
) -> None:
  """Writes a network.

  Args:
    path: of the file.
    config: of the training.
    facts: as in expression.json.
    state: at the end of the training.
  """
  tensors = {
    name: np.asarray(leaf, np.float32)
    for name, leaf in tensor_files.flat(_tree(state)).items()
  }
  tensor_files.save(
    path,
    tensors,
    {
      "format": _FORMAT,
      "config": json.dumps(config),
      "facts": json.dumps(facts),
    },
  )


def load(
  path,
) -> tuple[dict[str, Any], dict[str, Any], networks.Network, networks.State]:
  """Reads a network.

  Args:
    path: of a file that `save` wrote.

  Returns:
    (config, facts, the network, its state without an optimizer's).

  Raises:
    CheckpointError: the file is none or is damaged.
  """
  try:
    tensors, texts = tensor_files.load(path, _FORMAT)
    config, facts = json.loads(texts["config"]), json.loads(texts["facts"])
    network, template = experiments.saved_network(config, facts["expressions"])
    tree = tensor_files.fill(_tree(template), tensors, "network")
    state = template.replace(step=np.int32(facts["step"]), opt_state=(), **tree)
  except (config_sections.ConfigError, *tensor_files.ERRORS) as error:
    raise checkpoint.CheckpointError(
      f"{path} is no usable expression network: {messages.one_line(error)}"
    ) from error
  return config, facts, network, state


def _tree(state):
  return {"params": state.params, "mean": state.mean, "std": state.std}
