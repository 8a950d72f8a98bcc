"""A trained expression network, calibrated and ready to name expressions."""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import functools
import json
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from facerec_jax import expression_experiment as experiments
from facerec_jax import expression_files
from facerec_jax import trained_encoder
from facerec_jax.face import morphable_model
from facerec_jax.recognition import labelled_codes
from facerec_jax.recognition import network as networks
from facerec_jax.synthesis import emotions
from facerec_jax.training import checkpoint

# Written when a training ends: the calibration, and what the codes are.
FILE = "expression.json"
# All of the training in one file, beside it.
SINGLE_FILE = f"expression{expression_files.SUFFIX}"
UNSURE = "unsure"


@dataclasses.dataclass(frozen=True, eq=False)
class Predictions:
  """What codes show; the classes are those of `emotions.CLASSES`.

  Attributes:
    probabilities: [N, 7], calibrated.
    intensity: [N, 7] FACS grade of each emotion, 0 (none) to 5 (E); that of
      neutral is 0.
    unsure_below: smallest probability of a class that is named.
  """

  probabilities: np.ndarray
  intensity: np.ndarray
  unsure_below: float

  @property
  def likeliest(self) -> np.ndarray:
    """[N] index of the likeliest class, however unlikely."""
    return self.probabilities.argmax(axis=1)

  @property
  def is_unsure(self) -> np.ndarray:
    """[N] whether the likeliest class is too unlikely to be named."""
    return self.probabilities.max(axis=1) < self.unsure_below

  def describe(self, index: int) -> dict:
    """One prediction by names, for JSON: label, probabilities, intensity."""
    best = self.likeliest[index]
    named = emotions.CLASSES[best]
    others = [n for n in emotions.CLASSES if n != "neutral"]
    grades = dict(zip(emotions.CLASSES, self.intensity[index], strict=True))
    return {
      "label": UNSURE if self.is_unsure[index] else named,
      "likeliest": named,
      "probability": self.probabilities[index, best],
      "intensity": self.intensity[index, best],
      "probabilities": dict(
        zip(emotions.CLASSES, self.probabilities[index], strict=True)
      ),
      "intensities": {name: grades[name] for name in others},
    }


def format_description(face: Mapping[str, Any]) -> str:
  """What `Predictions.describe` says, for people."""
  text = face["label"]
  if text != face["likeliest"]:
    text += f", perhaps {face['likeliest']}"
  text += f" {100 * face['probability']:.0f} %"
  if face["likeliest"] != "neutral":
    text += f", intensity {face['intensity']:.1f} of 5"
  return text


@dataclasses.dataclass(frozen=True, eq=False)
class TrainedExpression:
  """Names the expression of codes.

  Attributes:
    network: codes -> answers.
    state: of the network.
    temperature: that divides the logits.
    unsure_below: smallest probability of a class that is named.
    model_name: of the morphable model that the codes belong to.
    encoder: fingerprint of the parameters of the encoder whose readings it
      learned from; None: exact codes alone.
    config: of the training.
  """

  network: networks.Network
  state: networks.State
  temperature: float
  unsure_below: float
  model_name: str
  encoder: str | None
  config: Mapping[str, Any]

  @property
  def refine_steps(self) -> int:
    """Steps by which the codes that it learned from were refined."""
    return self.config["bank"].get("refine", 0)

  @property
  def size(self) -> int:
    """Ke, numbers of an expression code."""
    return len(self.state.mean)

  def check_model(self, model: morphable_model.MorphableModel) -> None:
    """Refuses codes of another face model.

    Raises:
      ValueError: the model's codes are not those of the training.
    """
    count = model.expression.shape[-1]
    if (model.name, count) != (self.model_name, self.size):
      raise ValueError(
        f"the expression network reads {self.size} numbers of "
        f"{self.model_name!r}, got {count} of {model.name!r}; train one for "
        "this model"
      )

  def knows(self, encoder: trained_encoder.TrainedEncoder) -> bool:
    """Whether it learned from what this very encoder reads."""
    return self.encoder == checkpoint.fingerprint(encoder.state.params)

  def predict(self, codes) -> Predictions:
    """Names the expressions of codes [N, Ke].

    Raises:
      ValueError: codes of another length.
    """
    codes = jnp.asarray(codes)
    if codes.ndim != 2 or codes.shape[1] != self.size:
      raise ValueError(
        f"expression codes have shape {codes.shape}, wanted (N, {self.size})"
      )
    logits, intensity = answer(self.network, self.state, codes)
    grades = networks.grade(intensity)
    grades[:, labelled_codes.NEUTRAL] = 0.0
    return Predictions(
      probabilities=np.asarray(jax.nn.softmax(logits / self.temperature)),
      intensity=grades,
      unsure_below=self.unsure_below,
    )


@functools.partial(jax.jit, static_argnums=0)
def answer(network, state, codes):
  """Logits and intensities of codes [N, Ke], each [N, 7]."""
  return networks.apply(network, state, codes)


def released(*, refined: bool) -> TrainedExpression:
  """The released network for codes that were refined, or that were not."""
  return load(expression_files.RELEASED[refined])


def load(source) -> TrainedExpression:
  """Loads an expression network with its calibration.

  Args:
    source: the work folder of a training that has ended, or a file of
      `expression_files.save`.

  Raises:
    CheckpointError: there is no usable network.
  """
  path = pathlib.Path(source)
  if path.suffix == expression_files.SUFFIX:
    config, facts, network, state = expression_files.load(path)
  else:
    config, facts, network, state = _load_newest(path)
  return TrainedExpression(
    network=network,
    state=state,
    temperature=facts["temperature"],
    unsure_below=facts["unsure_below"],
    model_name=facts["morphable_model"],
    encoder=facts["encoder"],
    config=config,
  )


def find(
  name: str, encoder: trained_encoder.TrainedEncoder, *, refined: bool = False
) -> TrainedExpression | None:
  """The network that a user wants for an encoder.

  Args:
    name: as for `load`; "none"; or "auto", a released one for the encoder
      whose readings it learned from, and none for others.
    encoder: whose codes are to be named.
    refined: whether they will be refined.

  Returns:
    The network, or None.

  Raises:
    CheckpointError: there is no usable network.
    ValueError: it is for another face model.
  """
  if name == "none":
    return None
  if name != "auto":
    recognizer = load(name)
    recognizer.check_model(encoder.model)
    return recognizer
  recognizer = released(refined=refined)
  return recognizer if recognizer.knows(encoder) else None


def _load_newest(workdir):
  advice = (
    "train one to its end with python -m facerec_jax.expression "
    f"--workdir={workdir}"
  )
  if not checkpoint.exists(workdir):
    raise checkpoint.CheckpointError(f"{workdir} holds no checkpoint; {advice}")
  facts = _read_facts(workdir / FILE, advice)
  checkpointer = checkpoint.Checkpointer(workdir)
  try:
    config = checkpointer.restore_config()
    network, template = experiments.saved_network(config, facts["expressions"])
    state = checkpointer.restore(template)
  finally:
    checkpointer.close()
  if int(state.step) != facts["step"]:
    raise checkpoint.CheckpointError(
      f"{workdir / FILE} is of step {facts['step']}, the checkpoint of "
      f"{int(state.step)}; {advice}"
    )
  return config, facts, network, state


def _read_facts(path, advice) -> Mapping:
  try:
    return json.loads(path.read_text("utf-8"))
  except (OSError, ValueError) as error:
    raise checkpoint.CheckpointError(
      f"{path} is missing or damaged: this training has not ended; {advice}"
    ) from error
