"""One round of learning: the bank, the stage's step, the loop."""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from facerec_jax import experiment as experiments
from facerec_jax import scenes
from facerec_jax.bootstrapping import readings
from facerec_jax.face import mirroring
from facerec_jax.synthesis import code_bank
from facerec_jax.training import checkpoint
from facerec_jax.training import code_prior
from facerec_jax.training import loop
from facerec_jax.training import metric_writer
from facerec_jax.training import parallel
from facerec_jax.training import photo_steps
from facerec_jax.training import self_supervision
from facerec_jax.training import steps

# What the seed of a run is folded with; below are the uses of its training.
_IMAGES, _COPIES = 11, 12


@dataclasses.dataclass(frozen=True, eq=False)
class Context:
  """What all rounds share.

  Attributes:
    experiment: with `bootstrap` settings; its schedule is of one round.
    photos: N photographs.
    prior: bank of the start's training.
    fitting: scene of the objective of photographs.
    held_out: scene of held-out synthetic faces.
    judge: state -> errors of these faces, see `readings.synthetic_errors`.
  """

  experiment: experiments.Experiment
  photos: readings.Photos
  prior: code_bank.CodeBank
  fitting: self_supervision.FittingScene
  held_out: steps.Scene
  judge: Callable[[steps.TrainState], dict[str, np.ndarray]]

  @functools.cached_property
  def mirror(self) -> mirroring.Mirror:
    """Of the face model; measured on the host, for the second stage."""
    return mirroring.create(self.experiment.model)


def create_context(
  experiment: experiments.Experiment,
  start: steps.TrainState,
  photos: readings.Photos,
) -> Context:
  """Draws the prior's bank and the held-out faces."""
  prior = scenes.make_bank(experiment, experiment.seed)
  held_out = scenes.held_out_scene(experiment, start.code_mean, start.code_std)
  return Context(
    experiment=experiment,
    photos=photos,
    prior=prior,
    fitting=self_supervision.FittingScene(
      model=experiment.model,
      camera=experiment.camera,
      prior=code_prior.measure(experiment.model, experiment.layout, prior),
    ),
    held_out=held_out,
    judge=_Judge(experiment, held_out),
  )


class _Judge:
  """Errors of synthetic faces; those of the last state are remembered."""

  def __init__(self, experiment, scene):
    self._experiment, self._scene = experiment, scene
    self._step, self._errors = None, None

  def __call__(self, state):
    if int(state.step) != self._step:
      self._errors = readings.synthetic_errors(
        self._experiment, state, self._scene
      )
      self._step = int(state.step)
    return self._errors


def begin(
  experiment: experiments.Experiment, state: steps.TrainState
) -> steps.TrainState:
  """Each round has a schedule of learning rates, and momenta, of its own."""
  return state.replace(opt_state=experiment.optimizer.init(state.params))


def make_bank(
  experiment: experiments.Experiment,
  prior: code_bank.CodeBank,
  reading: readings.Reading,
  number: int,
) -> code_bank.CodeBank:
  """The bank of a round, as large as the prior's.

  Args:
    experiment: with `bootstrap` settings.
    prior: bank of the prior.
    reading: before the round.
    number: of the round, from 0.
  """
  settings, layout = experiment.bootstrap, experiment.layout
  _, std = code_bank.statistics(prior)
  scales = jnp.zeros(layout.size)
  for group, scale in settings.scales:
    part = layout.slices[group]
    scales = scales.at[part].set(scale * std[part])
  codes = reading.bank[reading.kept]
  if settings.copies:
    key = jax.random.fold_in(_key(experiment, _COPIES), number)
    codes = code_bank.perturb(key, codes, scales=scales, copies=settings.copies)
    scales = jnp.zeros_like(scales)
  return code_bank.mix(
    prior, codes, scales=scales, prior_share=settings.prior_share
  )


def learn(
  context: Context,
  state: steps.TrainState,
  reading: readings.Reading,
  number: int,
  *,
  checkpointer: checkpoint.Checkpointer,
  writer: metric_writer.MetricWriter,
  stop: Callable[[], bool],
) -> steps.TrainState:
  """Takes the steps of a round, or those that are left of it.

  Args:
    context: of the run.
    state: of the encoder, of one device.
    reading: before the round.
    number: of the round, from 0.
    checkpointer: saves states.
    writer: of metrics.
    stop: whether to stop before the end.

  Returns:
    The state after the round, or where it was stopped.
  """
  experiment = context.experiment
  schedule = experiment.schedule
  if int(state.step) == number * schedule.num_steps:
    state = begin(experiment, state)
  bank = make_bank(experiment, context.prior, reading, number)
  scene = context.held_out.replace(
    bank=bank, seed_key=_key(experiment, _IMAGES)
  )
  step, constants = _stage(context, scene)
  return loop.train(
    state,
    step,
    (parallel.replicate(constants),),
    dataclasses.replace(schedule, num_steps=(number + 1) * schedule.num_steps),
    checkpointer=checkpointer,
    config=experiment.config,
    writer=writer,
    evaluate=lambda state: {
      name: float(values.mean())
      for name, values in context.judge(parallel.unreplicate(state)).items()
    },
    # The pictures of a run are those of its report.
    write_samples=lambda state, step: None,
    batch_size=experiment.batch_size,
    stop=stop,
  )


def _stage(context, scene):
  """The step of the configured stage, and its constants."""
  experiment = context.experiment
  if experiment.bootstrap.stage == "rerender":
    return experiment.train_step, scene
  photos = context.photos
  adapted = jax.tree.map(
    lambda leaf: jnp.asarray(leaf[~photos.held_out]), photos.photo
  )
  constants = photo_steps.PhotoScene(
    fitting=context.fitting,
    mirror=context.mirror,
    photos=adapted,
    seed_key=_key(experiment, _IMAGES),
    synthetic=scene,
  )
  return photo_train_step(experiment), constants


def photo_train_step(experiment: experiments.Experiment) -> Callable:
  """The step of the second stage; of equal settings one object, one program."""
  settings = experiment.bootstrap
  return steps.train_step(
    make_examples=parallel.bind(
      photo_steps.make_examples,
      local_batch=parallel.local_batch_size(experiment.batch_size),
      make_synthetic=experiment.make_examples,
      augmentation=settings.fine_tuning.augmentation,
    ),
    update=parallel.bind(
      photo_steps.update,
      encoder=experiment.encoder,
      optimizer=experiment.optimizer,
      layout=experiment.layout,
      face_mask=experiment.options.face_mask,
      objective=settings.objective,
      tuning=settings.fine_tuning,
      loss=experiment.loss,
    ),
    steps_per_call=experiment.schedule.steps_per_call,
  )


def _key(experiment, use):
  return jax.random.fold_in(jax.random.key(experiment.seed), use)
