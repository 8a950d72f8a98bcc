"""Training the encoders that are released with the package.

Variants, `--config=configs/released.py:VARIANT`:
  small: the default, 112 px; fast on CPUs.
  resnet50: 224 px, for GPUs.
"""

from configs import resnet
from configs import variants


def get_config(variant: str = "small"):
  """Returns the config of a variant."""
  return variants.get_config(__file__, _VARIANTS, variant, _base)


def _base():
  config = resnet.get_config()
  config.bank_size = 262_144
  # Beside the coefficients, what they do: the quick encoder reads landmarks
  # with 4.4 instead of 5.5 % error so.
  config.loss.terms.landmarks = 0.5
  config.loss.terms.vertices = 0.5
  # Photographs differ more than a good camera's.
  config.synthesis.blur = 1.6
  config.synthesis.noise = 0.03
  config.synthesis.gain_spread = 0.08
  config.synthesis.cast_spread = 0.04
  config.synthesis.grey_share = 0.05
  config.prior.center_spread = 0.035
  config.prior.size_spread = 0.08
  config.optimizer.learning_rate = 2e-3
  config.log_every = 500
  config.eval_every = 0
  config.sample_every = 0
  config.checkpoint_every = 2_000
  config.eval.num_examples = 2_048
  return config


def _small(config):
  config.image_size = 112
  config.batch_size = 512
  config.num_steps = 11_000
  config.encoder.name = "small"


def _resnet50(config):
  config.batch_size = 256
  config.num_steps = 4_000
  config.encoder.dtype = "bfloat16"


_VARIANTS = {"small": _small, "resnet50": _resnet50}
