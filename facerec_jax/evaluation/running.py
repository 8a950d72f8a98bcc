"""Runs suites one after another; what each found is kept at once."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
import pathlib

from absl import logging

from facerec_jax import messages
from facerec_jax import trained_encoder
from facerec_jax.evaluation import outcome as outcomes
from facerec_jax.evaluation import page
from facerec_jax.evaluation import summary
from facerec_jax.results import codes


def run_suites(
  runners: Mapping[str, Callable],
  encoder: trained_encoder.TrainedEncoder,
  output: pathlib.Path,
  *,
  keep: Callable[[Sequence[outcomes.Outcome], Mapping[str, str]], None],
) -> tuple[list[outcomes.Outcome], dict[str, str], dict[str, str]]:
  """Runs suites; prints the table of each as soon as it is there.

  Args:
    runners: name -> (encoder, folder of its pictures) -> outcome.
    encoder: a trained one.
    output: gets a folder for each suite.
    keep: called after each suite with the outcomes so far, and with a reason
      for each suite that has none (yet).

  Returns:
    (outcomes, why suites could not run, why suites failed).
  """
  found, skipped, failed = [], {}, {}
  waiting = dict.fromkeys(runners, "not reached")
  for name, runner in runners.items():
    del waiting[name]
    try:
      found.append(runner(encoder, output / name))
    except outcomes.SuiteError as error:
      skipped[name] = messages.one_line(error)
      print(f"{name}: not run: {skipped[name]}\n")
    except Exception as error:  # A suite never stops the others.
      logging.exception("suite %s", name)
      failed[name] = messages.one_line(error)
      print(f"{name}: failed: {failed[name]}\n")
    else:
      print(summary.text_table(found[-1]) + "\n", flush=True)
    keep(found, skipped | failed | waiting)
  return found, skipped, failed


def write_results(
  output: pathlib.Path,
  encoder: trained_encoder.TrainedEncoder,
  found: Sequence[outcomes.Outcome],
  missing: Mapping[str, str],
  *,
  refine: int = 0,
) -> None:
  """Writes metrics.json, per_example.csv and index.html.

  Args:
    output: an existing folder.
    encoder: that was measured.
    found: of the suites that ran.
    missing: suite -> why it has no outcome.
    refine: steps by which its codes were refined.
  """
  facts = {
    "step": int(encoder.state.step),
    "morphable_model": encoder.model.name,
    "encoder": encoder.experiment.config["encoder"]["name"],
    "image_size": encoder.image_size,
    "refinement_steps": refine,
  }
  suites = {o.name: summary.as_json(o) for o in found}
  suites |= {k: {"status": "missing", "why": why} for k, why in missing.items()}
  codes.write_json(output / "metrics.json", {**facts, "suites": suites})
  summary.write_csv(output / "per_example.csv", found)
  page.write_page(
    output,
    found,
    title="Evaluation of an encoder",
    facts=[
      (name.replace("_", " "), str(value)) for name, value in facts.items()
    ],
    skipped=missing,
  )
