"""The commands as a user types them: exit codes and one clear line."""

import os
import pathlib
import subprocess
import sys

import commands
import pytest

_ROOT = pathlib.Path(__file__).parent.parent
_CONFIG = f"--config={_ROOT / 'configs' / 'resnet.py'}"


def _run(app, *flags):
  return commands.run(app, *flags, cwd=_ROOT, platform="cpu")


@pytest.mark.parametrize(
  "flags, message",
  [
    ([_CONFIG], "error: --workdir is missing"),
    ([_CONFIG, "--wokdir=x"], "wokdir"),
    ([_CONFIG, "--mode=predict"], "--mode"),
    ([_CONFIG, "stray"], "unknown argument 'stray'"),
    ([_CONFIG + ":huge"], "no variant 'huge'; it has resnet50, resnet18"),
    ([_CONFIG, "--config.sead=1"], "sead"),
    ([_CONFIG, "--config.seed=one"], "seed"),
    (
      [_CONFIG, "--workdir=x", "--num_processes=2"],
      "--coordinator_address is missing: several processes need",
    ),
    (["--config=nowhere.py", "--workdir=x"], "nowhere.py"),
    (["--mode=eval", "--workdir=/nonexistent"], "holds no checkpoint"),
    (
      [_CONFIG, "--config.morphable_model=nothing.npz", "--workdir=x"],
      "nothing.npz",
    ),
  ],
)
def test_wrong_usage_ends_with_one_line_and_code_2(flags, message):
  result = _run("main", *flags)
  assert result.returncode == 2, result.stderr
  last = result.stderr.strip().splitlines()[-1]
  assert last.startswith("error: ") and message in last
  assert "Traceback" not in result.stderr


def test_a_fresh_interpreter_answers_the_same():
  """What forked processes are to show is also true without the fork."""
  fresh = subprocess.run(
    [sys.executable, "-m", "facerec_jax.main", _CONFIG, "stray"],
    cwd=_ROOT,
    capture_output=True,
    text=True,
    env={**os.environ, "JAX_PLATFORMS": "cpu"},
  )
  forked = _run("main", _CONFIG, "stray")
  assert fresh.returncode == forked.returncode == 2
  assert fresh.stderr == forked.stderr and fresh.stdout == forked.stdout


def test_commands_can_be_imported_together():
  """No flag is defined twice: scripts and tests import several of them."""
  folder = _ROOT / "facerec_jax"
  names = [
    f"facerec_jax.{path.stem}"
    for path in folder.glob("*.py")
    if "app.run(main)" in path.read_text()
  ]
  assert len(names) > 5
  subprocess.run(
    [sys.executable, "-c", f"import {', '.join(names)}"],
    check=True,
    cwd=_ROOT,
  )
