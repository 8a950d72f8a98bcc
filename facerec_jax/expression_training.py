"""One training of an expression network: from codes to a calibrated end."""

from __future__ import annotations

import pathlib

from absl import logging
import jax

from facerec_jax import expression_evaluation
from facerec_jax import expression_experiment as experiments
from facerec_jax import expression_files
from facerec_jax import expression_scenes
from facerec_jax import trained_expression
from facerec_jax.recognition import calibration
from facerec_jax.recognition import labelled_codes
from facerec_jax.recognition import network as networks
from facerec_jax.results import codes as code_files
from facerec_jax.synthesis import emotions
from facerec_jax.training import checkpoint
from facerec_jax.training import config_changes
from facerec_jax.training import loop
from facerec_jax.training import metric_writer
from facerec_jax.training import parallel
from facerec_jax.training import stopping


def train(
  experiment: experiments.ExpressionExperiment, workdir: pathlib.Path
) -> tuple[networks.State, dict | None]:
  """Trains and calibrates, from the newest checkpoint if the folder has one.

  SIGTERM or SIGINT saves and returns early, without calibration.

  Args:
    experiment: what to train.
    workdir: of checkpoints, metrics, expression.json and .safetensors.

  Returns:
    (the final state, what expression.json holds; None if stopped early).

  Raises:
    ConfigChangedError: the checkpoint is of another run.
    CheckpointError: checkpoints are damaged, or cannot be written.
    NotFiniteError: training diverged.
  """
  with stopping.StopRequest() as request:
    checkpointer = checkpoint.Checkpointer(
      workdir,
      keep_latest=experiment.keep_checkpoints,
      best_metric="cross_entropy",
      facts=experiments.facts(experiment),
    )
    _check_run(experiment, checkpointer)
    bank, held_out = expression_scenes.make_banks(experiment)
    examples = labelled_codes.every_row(
      held_out, expression_scenes.held_out_key(experiment)
    )
    state = _first_state(experiment, checkpointer, bank)
    writer = metric_writer.MetricWriter(workdir, resumed_at=int(state.step))
    try:
      final = loop.train(
        state,
        experiment.train_step,
        parallel.replicate((bank, expression_scenes.draw_key(experiment))),
        experiment.schedule,
        checkpointer=checkpointer,
        config=experiment.config,
        writer=writer,
        evaluate=lambda state: _evaluate(experiment, state, examples),
        write_samples=lambda state, step: None,
        batch_size=experiment.batch_size,
        stop=stopping.agreement(request),
      )
    finally:
      writer.close()
      checkpointer.close()
  if int(final.step) < experiment.schedule.num_steps:
    return final, None
  return final, _save_calibration(workdir, experiment, final, examples)


def _check_run(experiment, checkpointer):
  """Before faces are rendered: minutes would be lost."""
  # Only the first process needs to see the folder.
  if parallel.is_first_process() and checkpointer.latest_step is not None:
    config_changes.check(
      checkpointer,
      experiment.config,
      experiments.facts(experiment),
      free_keys=experiments.FREE_KEYS,
    )


def _first_state(experiment, checkpointer, bank):
  """The newest checkpoint's state, or a new one; equal on all processes."""
  if parallel.is_first_process() and checkpointer.latest_step is not None:
    state = checkpointer.restore(expression_scenes.state_template(experiment))
    logging.info("resumed at step %d", int(state.step))
  else:
    state = expression_scenes.initial_state(experiment, bank)
  return parallel.from_first_process(state)


def _evaluate(experiment, replicated, examples):
  answers = trained_expression.answer(
    experiment.network, parallel.unreplicate(replicated), examples.code
  )
  return expression_evaluation.held_out_metrics(*answers, examples)


def _save_calibration(workdir, experiment, state, held_out):
  """Writes expression.json, which is returned, and all in a single file.

  The temperature is fitted on one half of the held-out codes and judged on the
  other.
  """
  logits, _ = trained_expression.answer(
    experiment.network, state, held_out.code
  )
  temperature = calibration.fit_temperature(logits[::2], held_out.label[::2])
  judged = {
    name: _judge(logits[1::2] / divisor, held_out.label[1::2])
    for name, divisor in (("before", 1.0), ("after", temperature))
  }
  content = {
    "step": int(state.step),
    "temperature": temperature,
    "calibration": judged,
    "unsure_below": experiment.unsure_below,
    "morphable_model": experiment.model.name,
    "expressions": len(state.mean),
    "classes": emotions.CLASSES,
    "encoder": experiments.facts(experiment).get("encoder"),
  }
  code_files.write_json(workdir / trained_expression.FILE, content)
  expression_files.save(
    workdir / trained_expression.SINGLE_FILE, experiment.config, content, state
  )
  return content


def _judge(logits, labels):
  return {
    "negative_log_likelihood": float(
      calibration.negative_log_likelihood(logits, labels)
    ),
    "calibration_error": calibration.expected_calibration_error(
      jax.nn.softmax(logits), labels
    ),
  }
