r"""Exports a trained encoder for use elsewhere.

python -m facerec_jax.export --checkpoint=DIR --output=DIR

writes encoder.safetensors (weights in half precision, with the config: what
--checkpoint of the other commands reads) and two programs that need JAX alone,
without Flax or this package: code.stablehlo, images -> codes, and
vertices.stablehlo, images -> faces in mm.
"""

from __future__ import annotations

from collections.abc import Callable
import pathlib

from absl import flags
import jax
from jax import export
import jax.numpy as jnp

from facerec_jax import app
from facerec_jax import encoder_files
from facerec_jax import trained_encoder
from facerec_jax.face import morphable_model
from facerec_jax.training import checkpoint

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")

_CHECKPOINT = app.define_checkpoint()
_OUTPUT = app.define_output()
_PLATFORMS = flags.DEFINE_list(
  "platforms",
  ["cpu"],
  f"Where the programs are to run: {', '.join(PLATFORMS)}.",
)
_DTYPE = flags.DEFINE_enum(
  "dtype", "float16", ["float16", "float32"], "Of the weights in the file."
)


def main() -> None:
  """The app."""
  output = pathlib.Path(app.required("output", _OUTPUT.value))
  try:
    encoder = trained_encoder.load(
      app.required("checkpoint", _CHECKPOINT.value)
    )
    output.mkdir(parents=True, exist_ok=True)
  except (OSError, checkpoint.CheckpointError) as error:
    raise app.UsageError(error) from error
  try:
    encoder_files.save(
      output / f"encoder{encoder_files.SUFFIX}",
      encoder.experiment,
      encoder.state,
      measured=encoder_files.Measured(
        encoder.error_covariance, encoder.prior, encoder.mirror
      ),
      dtype=_DTYPE.value,
    )
    for name, function in programs(encoder).items():
      data = serialize(encoder, function, _PLATFORMS.value)
      (output / f"{name}.stablehlo").write_bytes(data)
  except (OSError, ValueError) as error:
    raise app.WorkError(error) from error
  for path in sorted(output.iterdir()):
    print(f"{path.stat().st_size / 2**20:7.1f} MiB  {path}")


def programs(encoder: trained_encoder.TrainedEncoder) -> dict[str, Callable]:
  """What an encoder's programs compute from images [B, S, S, 3] in [0, 1].

  Args:
    encoder: a trained one.

  Returns:
    code: flat codes [B, D]; vertices: [B, V, 3] mm, model frame.
  """

  def faces(images):
    codes = jax.vmap(encoder.layout.unflatten)(encoder.predict(images))
    return jax.vmap(morphable_model.vertices, (None, 0, 0))(
      encoder.model, codes.identity, codes.expression
    )

  return {"code": encoder.predict, "vertices": faces}


def serialize(
  encoder: trained_encoder.TrainedEncoder,
  function: Callable,
  platforms: list[str],
) -> bytes:
  """Compiles a function of images to StableHLO; the batch size stays open.

  Args:
    encoder: whose image size counts.
    function: of images [B, S, S, 3].
    platforms: where it is to run.

  Returns:
    What `jax.export.deserialize` reads, in this and later versions of JAX.

  Raises:
    ValueError: an unknown platform.
  """
  unknown = [name for name in platforms if name not in PLATFORMS]
  if unknown or not platforms:
    raise ValueError(
      f"export: platform {''.join(unknown[:1])!r} is none of "
      f"{', '.join(PLATFORMS)}"
    )
  (batch,) = export.symbolic_shape("batch")
  size = encoder.image_size
  images = jax.ShapeDtypeStruct((batch, size, size, 3), jnp.float32)
  exported = export.export(jax.jit(function), platforms=platforms)(images)
  return bytes(exported.serialize())


if __name__ == "__main__":
  app.run(main)
