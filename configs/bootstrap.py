"""Adapting an encoder to photographs: `facerec_jax.bootstrap`.

All that is not named here stays as the start was trained: face model, code,
encoder, images, losses. None means the same.

Variants, `--config=configs/bootstrap.py:VARIANT`:
  default: rendered faces of the codes that are read from the photographs,
    mixed with faces of the prior.
  self_supervised: learns from the photographs themselves, through the renderer,
    with such faces mixed in.
  quick: self_supervised with short rounds, for a start of configs/resnet.py's
    `quick` on a CPU.
  thesis: the setting of the thesis that this project re-creates: 5,000
    photographs, noise of 0.2 standard deviations, rotation as it was read, two
    samples of each photograph.
"""

from ml_collections import ConfigDict
from ml_collections import config_dict

from configs import variants


def get_config(variant: str = "default") -> ConfigDict:
  """Returns the config of a variant."""
  return variants.get_config(__file__, _VARIANTS, variant, _base)


def _base() -> ConfigDict:
  config = ConfigDict()
  # Length of a round, steps.
  config.num_steps = 4_000
  config.batch_size = config_dict.placeholder(int)
  config.bank_size = config_dict.placeholder(int)
  config.log_every = 100
  config.checkpoint_every = 1_000
  config.eval_every = 0
  config.keep_checkpoints = config_dict.placeholder(int)
  config.optimizer = ConfigDict(
    dict(
      # A fifth of the start's: what it knows is to be kept.
      learning_rate=2e-4,
      # In every round anew.
      schedule="cosine",
      warmup_steps=100,
    )
  )
  config.bootstrap = ConfigDict(
    dict(
      # Work folder of facerec_jax.main (or of an earlier bootstrapping).
      checkpoint="",
      # Folder of facerec_jax.prepare_photos.
      photos="",
      # "rerender" or "self_supervised".
      stage="rerender",
      rounds=3,
      # Share of the people whose photographs only judge.
      held_out_share=0.25,
      # Share of the code bank that comes from the prior.
      prior_share=0.5,
      # Noise around the codes read, standard deviations of the prior.
      scales=dict(
        identity=0.3,
        expression=0.2,
        albedo=0.3,
        rotation=0.2,
        translation=0.2,
        illumination=0.2,
      ),
      # Noisy copies of each code that last for a round; 0: fresh noise always.
      copies=0,
      # Move codes into the range of the prior before use.
      clip=True,
      # Fit each code to its photograph before use, steps; 0: as read.
      refine_steps=0,
      # Against collapse; see bootstrapping.settings.Guards.
      guards=dict(
        max_color=0.25,
        max_landmark=0.25,
        warn_spread=0.5,
        stop_spread=0.1,
        warn_offset=1.5,
        stop_offset=4.0,
      ),
      # How photographs are compared; see training.self_supervision.Objective.
      objective=dict(
        color_noise=0.06,
        pixels=300.0,
        landmark_noise=0.008,
        landmarks=68.0,
        prior=1.0,
      ),
      # Weights of "self_supervised"; see training.photo_steps.FineTuning.
      fine_tuning=dict(
        photo=1.0,
        flip=1.0,
        synthetic=1.0,
        frozen_statistics=True,
        # Few photographs are learned by heart; see photo_augmentation.
        augmentation=dict(
          shift=0.02, scale=0.05, angle=0.05, gain=0.15, cast=0.04
        ),
      ),
    )
  )
  return config


def _default(config):
  del config


def _self_supervised(config):
  config.bootstrap.stage = "self_supervised"


def _quick(config):
  config.bootstrap.stage = "self_supervised"
  config.num_steps = 60
  config.batch_size = 16
  config.log_every = 20
  config.checkpoint_every = 60
  config.optimizer.learning_rate = 5e-4
  config.optimizer.warmup_steps = 5


def _thesis(config):
  # 5,000 photographs x 2 samples / 32 images, four times over.
  config.num_steps = 1_250
  config.batch_size = 32
  config.bank_size = 10_000
  config.checkpoint_every = 250
  config.log_every = 50
  config.optimizer.learning_rate = 1.0
  config.optimizer.schedule = "constant"
  config.optimizer.warmup_steps = 0
  config.bootstrap.prior_share = 0.0
  config.bootstrap.copies = 2
  config.bootstrap.scales = ConfigDict(
    dict(
      identity=0.2,
      expression=0.2,
      albedo=0.2,
      rotation=0.0,
      translation=0.0,
      illumination=0.0,
    )
  )


_VARIANTS = {
  "default": _default,
  "self_supervised": _self_supervised,
  "quick": _quick,
  "thesis": _thesis,
}
