"""Training the expression network: every knob of `facerec_jax.expression`.

Variants, `--config=configs/expression.py:VARIANT`:
  exact: the default; learns from codes as the emotions define them.
  robust: learns from codes as an encoder reads them (--checkpoint, by default
    the released one); one of the released networks is trained so, see
    facerec_jax/released/expression.md.
  refined: the same with codes fitted to their images (--refine of other
    commands); the other released network.
  thesis: the layers of the thesis that this project re-creates, exact codes.
"""

from ml_collections import ConfigDict

from configs import variants


def get_config(variant: str = "exact") -> ConfigDict:
  """Returns the config of a variant."""
  return variants.get_config(__file__, _VARIANTS, variant, _base)


def _base() -> ConfigDict:
  config = ConfigDict()
  # Root of all randomness: weights, codes, draws.
  config.seed = 0
  # As in configs/resnet.py; with an encoder, its own.
  config.morphable_model = "builtin"
  # Numbers of the expression code (at most; fewer where the model has fewer).
  config.expression = 64
  # What --checkpoint names: the encoder that reads rendered faces; empty: none.
  config.encoder = ""
  # Codes per step over all devices.
  config.batch_size = 512
  # Training length, steps.
  config.num_steps = 4_000
  # Steps in one device call.
  config.steps_per_call = 100
  # Where codes come from (facerec_jax.expression_data.BankSettings): rows of
  # exact codes, of codes read from rendered faces, and of codes that imitate
  # the reading with `noise` times its noise. Read codes are fitted to their
  # images by `refine` steps, one to three seconds a face on a CPU.
  config.bank = ConfigDict(
    dict(exact=32_768, read=0, imitated=0, noise=1.0, weak_share=0.25, refine=0)
  )
  # Width of each hidden layer.
  config.network = ConfigDict(dict(hidden=(128, 128)))
  # As in configs/resnet.py.
  config.optimizer = ConfigDict(
    dict(
      name="adamw",
      learning_rate=2e-3,
      schedule="cosine",
      warmup_steps=100,
      weight_decay=1e-3,
      max_gradient_norm=1.0,
    )
  )
  # Of the squared error of intensities beside the cross entropy.
  config.intensity_weight = 3.0
  # Faces whose likeliest class is less probable are called "unsure".
  config.unsure_below = 0.5
  # How often, steps; 0: only at the end.
  config.log_every = 500
  config.eval_every = 1_000
  config.checkpoint_every = 1_000
  # Checkpoints kept besides the best.
  config.keep_checkpoints = 1
  # Held-out codes of the same kinds, and the seed that they alone come from.
  config.eval = ConfigDict(dict(num_examples=7_000, seed=1_000_003))
  return config


def _exact(config):
  del config


def _robust(config):
  config.encoder = "small"
  config.bank.exact = 0
  config.bank.read = 2_048
  config.bank.imitated = 14_336
  # The mistakes of an encoder teach more than their noise: learn them by heart
  # less.
  config.optimizer.weight_decay = 1e-2
  config.eval.num_examples = 3_584


def _refined(config):
  _robust(config)
  config.bank.refine = 100
  # Photographs are read and fitted worse than rendered faces.
  config.bank.noise = 1.5
  config.eval.num_examples = 2_048


def _thesis(config):
  config.network.hidden = (64, 64, 32)


_VARIANTS = {
  "exact": _exact,
  "robust": _robust,
  "refined": _refined,
  "thesis": _thesis,
}
