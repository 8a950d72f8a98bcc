"""Lowers functions for CUDA on machines without a GPU."""

import contextlib

import jax
from jax import export

TRITON = "__gpu$xla.gpu.triton"


def export_for_cuda(function, *args):
  """The exported program of a jitted function; args are shapes or arrays."""
  check = export.DisabledSafetyCheck.custom_call(TRITON)
  with _no_gpu():
    return export.export(function, platforms=["cuda"], disabled_checks=[check])(
      *args
    )


def _no_gpu():
  """Stands in for a GPU where JAX (0.12) wants to know which to lower for."""
  if not hasattr(jax.sharding, "AbstractDevice"):
    return contextlib.nullcontext()
  device = jax.sharding.AbstractDevice("NVIDIA H200", None, "gpu")
  mesh = jax.sharding.AbstractMesh((1,), ("gpu",), abstract_device=device)
  return jax.sharding.use_abstract_mesh(mesh)
