"""Shared set-up of the tests: compilation cache, data folder, tiny model."""

from importlib import metadata
import os
import pathlib

# Tests compile much and run little: LLVM's optimisation was half of their time,
# the MLIR fusion emitters half of the rest (later versions have no others, and
# end at a flag that they don't know). Read when JAX starts; inherited by the
# processes that tests start.
os.environ["XLA_FLAGS"] = " ".join(
  (
    os.environ.get("XLA_FLAGS", ""),
    "--xla_backend_optimization_level=0",
    "--xla_cpu_use_fusion_emitters=false"
    if metadata.version("jaxlib").startswith("0.10.")
    else "",
  )
)

import jax
import pytest

CACHE = pathlib.Path(__file__).parent.parent / ".cache" / "jax"


def pytest_configure(config):
  """Keeps compiled programs between runs: most of the tests' time."""
  del config
  jax.config.update("jax_compilation_cache_dir", str(CACHE))
  jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


@pytest.fixture(scope="session")
def data_folder() -> pathlib.Path:
  """The folder of measured data, where the environment names one."""
  folder = os.environ.get("FACEREC_DATA")
  if not folder:
    pytest.skip("needs photographs and scans: set FACEREC_DATA to their folder")
  return pathlib.Path(folder)
