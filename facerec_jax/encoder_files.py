"""Trained encoders in single files: weights, config, and the faces they mean.

A .safetensors file holds parameters and batch statistics by name, what was
measured of the encoder (`Measured`) and, as JSON in its metadata, the config
and what identifies the face model. Reading one executes nothing. `NAMES` come
with the package.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from facerec_jax import config_sections
from facerec_jax import experiment as experiments
from facerec_jax import messages
from facerec_jax import scenes
from facerec_jax import tensor_files
from facerec_jax.face import mirroring
from facerec_jax.face import morphable_model
from facerec_jax.training import checkpoint
from facerec_jax.training import code_prior
from facerec_jax.training import steps

NAMES = ("small",)
SUFFIX = tensor_files.SUFFIX
_FORMAT = "facerec_jax encoder 1"
_FOLDER = pathlib.Path(__file__).parent / "released"
# The built-in face differs a little between machines; codes mean the same faces
# while its landmarks agree to this, mm.
_SAME_FACE = 0.5
_MEASURED = "measured/"


class Measured(NamedTuple):
  """What takes a while to measure.

  Attributes:
    covariance: [n, n] of the encoder's mistakes in the numbers of
      `code_prior.read_part`, positive definite.
    prior: of the codes that it was trained on.
    mirror: of the codes.
  """

  covariance: jax.Array
  prior: code_prior.CodePrior
  mirror: mirroring.Mirror


def path_of(name: str) -> pathlib.Path:
  """The file of a released encoder."""
  return _FOLDER / f"{name}{SUFFIX}"


def save(
  path,
  experiment: experiments.Experiment,
  state: steps.TrainState,
  *,
  measured: Measured | None = None,
  dtype: str = "float16",
) -> None:
  """Writes an encoder.

  Args:
    path: of the file.
    experiment: that it was trained in.
    state: of the training.
    measured: of the encoder, if that is known.
    dtype: of the weights; statistics are kept in float32.

  Raises:
    ValueError: the type cannot hold a weight.
  """
  weights = tensor_files.flat({"params": state.params})
  with np.errstate(over="ignore"):  # Found below.
    tensors = {name: np.asarray(leaf, dtype) for name, leaf in weights.items()}
  for name, leaf in tensors.items():
    if not np.isfinite(leaf).all():
      raise ValueError(f"{name} does not fit into {dtype}; use float32")
  for name, leaf in tensor_files.flat(_statistics(state)).items():
    tensors[name] = np.asarray(leaf, np.float32)
  if measured is not None:
    tree = measured._asdict()
    tree["prior"] = _as_dict(measured.prior)
    tree["mirror"] = dataclasses.asdict(measured.mirror)
    for name, leaf in tensor_files.flat(tree).items():
      tensors[_MEASURED + name] = np.asarray(leaf, np.float32)
  tensor_files.save(
    path,
    tensors,
    {
      "format": _FORMAT,
      "step": str(int(state.step)),
      "config": json.dumps(experiment.config),
      "face": json.dumps(_identify(experiment.model)),
    },
  )


def load(
  path,
) -> tuple[experiments.Experiment, steps.TrainState, Measured | None]:
  """Reads an encoder.

  Args:
    path: of a file that `save` wrote.

  Returns:
    Its experiment, a state without an optimizer's, and what was measured, if
    the file has that.

  Raises:
    CheckpointError: the file is none, is damaged, or was trained on another
      face model than its config names.
  """
  try:
    tensors, facts = tensor_files.load(path, _FORMAT)
    experiment = experiments.build(json.loads(facts["config"]))
    _check_face(experiment.model, json.loads(facts["face"]))
    measured = _pop_measured(experiment, tensors)
    state = _fill(experiment, tensors, int(facts["step"]))
  except (config_sections.ConfigError, *tensor_files.ERRORS) as error:
    raise checkpoint.CheckpointError(
      f"{path} is no usable encoder: {messages.one_line(error)}"
    ) from error
  return experiment, state, measured


def _as_dict(prior):
  fields = dataclasses.asdict(prior)
  return {k: v for k, v in fields.items() if k != "units"} | fields["units"]


def _pop_measured(experiment, tensors):
  """Takes `Measured` out of the arrays of a file."""
  found = {
    name.removeprefix(_MEASURED): tensors.pop(name)
    for name in list(tensors)
    if name.startswith(_MEASURED)
  }
  if not found:
    return None
  layout = experiment.layout
  count = found.get("prior/share", np.zeros(0)).size
  units = {
    "columns": (count, layout.expression),
    "share": (count,),
    "strength": (count,),
    "asymmetry": (),
  }
  shapes = {name: (layout.size,) for name in ("mean", "std", "low", "high")}
  shapes |= {"light": 2 * (layout.illumination,), **units}
  part = code_prior.read_part(layout)
  template = {
    "covariance": np.zeros(2 * (part.stop - part.start,), np.float32),
    "prior": {k: np.zeros(v, np.float32) for k, v in shapes.items()},
    "mirror": {
      k: np.zeros(v, np.float32) for k, v in _mirror_shapes(layout).items()
    },
  }
  tree = tensor_files.fill(template, found, "encoder")
  if not _is_positive_definite(tree["covariance"]):
    raise ValueError(f"{_MEASURED}covariance is not positive definite")
  prior = tree["prior"]
  prior["units"] = code_prior.UnitPrior(**{k: prior.pop(k) for k in units})
  return Measured(
    tree["covariance"],
    code_prior.CodePrior(**prior),
    mirroring.Mirror(**tree["mirror"]),
  )


def _mirror_shapes(layout):
  return {
    "identity": 2 * (layout.identity,),
    "identity_offset": (layout.identity,),
    "expression": 2 * (layout.expression,),
    "albedo": 2 * (layout.albedo,),
    "albedo_offset": (layout.albedo,),
  }


def _is_positive_definite(matrix):
  matrix = np.asarray(matrix, np.float64)
  return (
    np.allclose(matrix, matrix.T) and (np.linalg.eigvalsh(matrix) > 0).all()
  )


def _statistics(state):
  return {
    "batch_stats": state.batch_stats,
    "code_mean": state.code_mean,
    "code_std": state.code_std,
  }


def _fill(experiment, tensors, step):
  template = scenes.state_template(experiment)
  tree = tensor_files.fill(
    {"params": template.params, **_statistics(template)}, tensors, "encoder"
  )
  return steps.TrainState(
    step=jnp.int32(step),
    params=tree["params"],
    batch_stats=tree.get("batch_stats", {}),
    opt_state=(),
    code_mean=tree["code_mean"],
    code_std=tree["code_std"],
  )


def _identify(model: morphable_model.MorphableModel):
  places = np.asarray(model.mean)[np.asarray(model.landmarks)]
  return {
    "name": model.name,
    "modes": [
      getattr(model, group).shape[-1]
      for group in ("identity", "expression", "albedo")
    ],
    "identity_names": list(model.identity_names),
    "expression_names": list(model.expression_names),
    "landmarks": np.round(places, 3).tolist(),
  }


def _check_face(model, wanted):
  got = _identify(model)
  for name in wanted:
    if name != "landmarks" and got[name] != wanted[name]:
      raise ValueError(
        f"the face model's {name} are others than those it was trained with"
      )
  distance = np.abs(np.subtract(got["landmarks"], wanted["landmarks"])).max()
  if not distance < _SAME_FACE:
    raise ValueError(
      f"landmarks of the face model lie {distance:.1f} mm from where they were "
      "in training"
    )
