"""Job scripts, with stand-ins for the commands of the clusters."""

import json
import os
import pathlib
import shlex
import signal
import subprocess
import time

import pytest
import yaml

_JOBS = pathlib.Path(__file__).parent.parent / "experiments" / "jobs"
_GIVEN = ["configs/resnet.py:quick", "runs/my dir", "--config.note=a 'b' $(c)"]
_FLAGS = [f"--config={_GIVEN[0]}", f"--workdir={_GIVEN[1]}", _GIVEN[2]]
_PRINTS_ARGUMENTS = """#!/usr/bin/env python3
import json, sys
print(json.dumps(sys.argv[1:]))
"""


def _stand_in(folder, name, text=_PRINTS_ARGUMENTS):
  path = folder / name
  path.write_text(text)
  path.chmod(0o755)


def _environment(folder, **values):
  path = f"{folder}{os.pathsep}{os.environ['PATH']}"
  return {**os.environ, "PATH": path, **values}


def _run(script, folder, *arguments, **values):
  result = subprocess.run(
    ["bash", str(_JOBS / script), *arguments],
    env=_environment(folder, **values),
    capture_output=True,
    text=True,
  )
  assert result.returncode == 0, result.stderr
  return result.stdout


def test_slurm_passes_everything_on(tmp_path):
  _stand_in(tmp_path, "srun")
  arguments = json.loads(_run("slurm.sh", tmp_path, *_GIVEN, VENV="/env"))
  program = arguments.index("/env/bin/python")
  assert arguments[program:] == [
    *("/env/bin/python", "-m", "facerec_jax.main", "--distributed"),
    *_FLAGS,
  ]


def test_dry_run_prints_the_same_command(tmp_path):
  _stand_in(tmp_path, "srun")
  printed = _run("slurm.sh", tmp_path, *_GIVEN, DRY_RUN="1")
  assert shlex.split(printed)[0] == "srun"
  run = json.loads(_run("slurm.sh", tmp_path, *_GIVEN))
  assert shlex.split(printed)[1:] == run


def test_slurm_saves_and_queues_again_before_the_time_limit(tmp_path):
  log = tmp_path / "log"
  saves = (
    "#!/usr/bin/env bash\n"
    f"trap 'sleep 0.2; echo saved >> {log}; exit 0' TERM\n"
    f"echo $$ > {tmp_path}/pid; touch {tmp_path}/started\n"
    "while true; do sleep 0.05; done\n"
  )
  _stand_in(tmp_path, "srun", saves)
  # Of --signal=TERM JOB: to the tasks of the job.
  _stand_in(
    tmp_path,
    "scancel",
    f'#!/bin/sh\necho scancel "$@" >> {log}\nkill $(cat {tmp_path}/pid)\n',
  )
  _stand_in(tmp_path, "scontrol", f'#!/bin/sh\necho scontrol "$@" >> {log}\n')
  job = subprocess.Popen(
    ["bash", str(_JOBS / "slurm.sh"), *_GIVEN],
    env=_environment(tmp_path, SLURM_JOB_ID="7"),
  )
  while not (tmp_path / "started").exists():
    time.sleep(0.01)
  job.send_signal(signal.SIGUSR1)
  assert job.wait(30) == 0
  assert log.read_text().splitlines() == [
    "scancel --signal=TERM 7",
    "saved",
    "scontrol requeue 7",
  ]


def test_slurm_reports_failure(tmp_path):
  _stand_in(tmp_path, "srun", "#!/bin/sh\nexit 2\n")
  job = subprocess.run(
    ["bash", str(_JOBS / "slurm.sh"), *_GIVEN], env=_environment(tmp_path)
  )
  assert job.returncode == 2


def test_tpu_pod_runs_on_all_workers(tmp_path):
  _stand_in(tmp_path, "gcloud")
  place = {"TPU": "pod", "ZONE": "here", "VENV": ""}
  arguments = json.loads(_run("tpu_pod.sh", tmp_path, *_GIVEN, **place))
  assert arguments[-4:-1] == ["pod", "--zone=here", "--worker=all"]
  command = shlex.split(arguments[-1].removeprefix("--command="))
  assert command[:4] == ["cd", "facerec_jax", "&&", "exec"]
  assert command[-4:] == ["--distributed", *_FLAGS]


def test_kubernetes_applies_a_job_set(tmp_path):
  _stand_in(tmp_path, "kubectl", "#!/bin/sh\ncat\n")
  text = _run(
    "kubernetes.sh", tmp_path, *_GIVEN, IMAGE="me/image:1", NODES="4", NAME="me"
  )
  job_set = yaml.safe_load(text)
  (workers,) = job_set["spec"]["replicatedJobs"]
  job = workers["template"]["spec"]
  assert job["parallelism"] == job["completions"] == 4
  (container,) = job["template"]["spec"]["containers"]
  assert container["image"] == "me/image:1"
  # As Kubernetes starts it: $$( stands for $(.
  _stand_in(tmp_path, "python")
  command = [
    part.replace("$$(", "$(")
    for part in container["command"] + container["args"]
  ]
  output = subprocess.check_output(
    command, env=_environment(tmp_path, JOB_COMPLETION_INDEX="3")
  )
  assert json.loads(output) == [
    *("-m", "facerec_jax.main"),
    "--coordinator_address=me-workers-0-0.me:8476",
    *("--num_processes=4", "--process_id=3"),
    *_FLAGS,
  ]


@pytest.mark.parametrize("script", ["slurm.sh", "tpu_pod.sh", "kubernetes.sh"])
def test_missing_arguments_end_with_usage(script):
  result = subprocess.run(
    ["bash", str(_JOBS / script), "config"], capture_output=True, text=True
  )
  assert result.returncode == 2
  assert result.stderr.startswith("usage: ")
