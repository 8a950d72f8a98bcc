"""Training a ResNet encoder: every knob of `facerec_jax.main`, with its unit.

Variants, `--config=configs/resnet.py:VARIANT`:
  resnet50: the default, 224 px, for one or more GPUs or TPUs.
  resnet18: smaller and faster.
  quick: the small CPU network, a few minutes on two cores.
  thesis: the setting of the thesis that this project re-creates: a 231-number
    code of frontal, unlit faces, batches of 32, Adadelta.
"""

import pathlib

from ml_collections import ConfigDict

from configs import variants


def get_config(variant: str = "resnet50") -> ConfigDict:
  """Returns the config of a variant."""
  return variants.get_config(__file__, _VARIANTS, variant, _base)


def with_encoder(file: str, variant: str) -> ConfigDict:
  """The default or the thesis' config with the encoder that a file names."""
  name = pathlib.Path(file).stem
  changes = {name: _resnet50, "thesis": _thesis}
  config = variants.get_config(file, changes, variant, _base)
  config.encoder.name = name
  return config


def _base() -> ConfigDict:
  config = ConfigDict()
  # Root of all randomness: weights, code bank, images.
  config.seed = 0
  # "builtin", or the path of a model archive or of a model to import (Basel,
  # FLAME, ICT-FaceKit, GNM, Surrey; see facerec_jax.import_model).
  config.morphable_model = "builtin"
  # Side of the square images, px.
  config.image_size = 224
  # Images per step over all devices.
  config.batch_size = 128
  # Parts of a device's share of the batch that pass through the encoder in
  # turn, for batches that do not fit into memory at once.
  config.accumulate_steps = 1
  # Steps in a row that are skipped when their loss or gradient is NaN or
  # infinite; one more stops the run. 0: the first one does.
  config.max_skipped_steps = 0
  # Training length, steps.
  config.num_steps = 100_000
  # Steps in one device call. More than 1 gains on GPUs and TPUs, not on CPUs.
  config.steps_per_call = 1

  # Numbers of the code (at most; fewer where the model has fewer). rotation and
  # translation are 3 or 0, illumination 27 or 0.
  config.code = ConfigDict(
    dict(
      identity=80,
      expression=64,
      albedo=80,
      rotation=3,
      translation=3,
      illumination=27,
    )
  )
  # Rows of the code bank: different faces in the training data.
  config.bank_size = 65_536
  config.prior = _prior()
  config.synthesis = _synthesis()

  config.encoder = ConfigDict(
    dict(
      # Of facerec_jax.encoders.ENCODERS.
      name="resnet50",
      # Computation: "float32" or "bfloat16" (parameters stay float32).
      dtype="float32",
      # "batch", or "group": statistics of single images, which do not change
      # between synthetic faces and photographs.
      norm="batch",
      # Share of the old value in BatchNorm's moving statistics.
      momentum=0.9,
      # Compute the inside of every block twice instead of keeping it for the
      # gradient: less memory, more time.
      remat=False,
      # "keras" or "torchvision": agree with that library's network in padding,
      # strides, input scaling ..., as its weights need; "": our own details.
      compatible_with="",
    )
  )
  # An .npz or .safetensors file of weights to start from, under the names of
  # Keras or torchvision (see facerec_jax.encoders.pretrained); "": random ones.
  config.encoder_weights = ""
  config.optimizer = ConfigDict(
    dict(
      # "adam", "adamw" or "adadelta".
      name="adamw",
      # Peak learning rate.
      learning_rate=1e-3,
      # "constant" or "cosine" (to zero at the end).
      schedule="cosine",
      # Linear growth from zero, steps.
      warmup_steps=1000,
      weight_decay=1e-4,
      # Larger gradients are scaled down to this norm; 0: no limit.
      max_gradient_norm=1.0,
    )
  )
  config.loss = ConfigDict(
    dict(
      # Weight of each loss; 1 is the value of always answering the mean code.
      # model_space: squared error of coefficients, weighted by their effect on
      # the face; code: by their standard deviation; vertices: mean distance
      # in the model frame; landmarks: mean distance of the projected points.
      terms=dict(model_space=1.0, code=0.0, vertices=0.0, landmarks=0.0),
      # Weight of each code group inside model_space and code.
      groups=dict(
        identity=1.0,
        expression=1.0,
        albedo=0.5,
        rotation=1.0,
        translation=0.5,
        illumination=0.5,
      ),
    )
  )
  # How often, steps; 0: only at the end.
  config.log_every = 100
  config.sample_every = 5_000
  config.checkpoint_every = 2_500
  config.eval_every = 5_000
  # Checkpoints kept besides the best.
  config.keep_checkpoints = 2
  # Held-out synthetic faces, and the seed that they alone come from.
  config.eval = ConfigDict(dict(num_examples=1024, seed=1_000_003))
  return config


def _prior() -> ConfigDict:
  """Ranges of random codes (facerec_jax.synthesis.priors.Prior)."""
  return ConfigDict(
    dict(
      # Multiply coefficients and angles.
      identity_scale=1.0,
      albedo_scale=1.0,
      expression_scale=1.0,
      rotation_scale=1.0,
      # Shares of (nearly) neutral faces and of acted emotions; the rest are
      # random expressions. For models with action units.
      neutral_share=0.3,
      emotion_share=0.35,
      # Shares of poses with yaw to +-60 and to +-90 degrees; the rest is
      # near-frontal.
      wide_share=0.15,
      profile_share=0.0,
      # Standard deviations of the position (share of the width) and the size
      # of the face.
      center_spread=0.025,
      size_spread=0.06,
      # Standard deviation of the logarithm of exposure, and the share of
      # differences in skin tone that exposure makes up.
      exposure_spread=0.3,
      exposure_adaptation=0.25,
    )
  )


def _synthesis() -> ConfigDict:
  """From codes to images (facerec_jax.synthesis.synthesis.Options)."""
  return ConfigDict(
    dict(
      # Cut the face out by the hull of its landmarks, without mouth interior;
      # photographs are then treated alike (and need landmarks).
      face_mask=False,
      # Random backgrounds, and the shares of faces with hair behind and
      # shoulders below them; without background they stand before black.
      background=True,
      hair_share=0.7,
      body_share=0.7,
      # Perspective, degrees: median, standard deviation of the logarithm,
      # limits.
      field_of_view=22.0,
      field_of_view_spread=0.4,
      field_of_view_limits=(8.0, 60.0),
      # Largest blur, px at 224 px.
      blur=1.2,
      # Standard deviations of the logarithm of gain and of each channel's gain.
      gain_spread=0.04,
      cast_spread=0.02,
      # Largest standard deviation of sensor noise, sRGB in [0, 1].
      noise=0.02,
      # Share of images without colour.
      grey_share=0.03,
      # Samples along each side of a pixel: 2 smooths outlines.
      supersampling=1,
      # "auto": a kernel ("pallas") on NVIDIA GPUs, "xla" elsewhere.
      rasterizer="auto",
    )
  )


def _resnet50(config):
  del config


def _resnet18(config):
  config.encoder.name = "resnet18"
  config.batch_size = 256


def _quick(config):
  config.image_size = 64
  config.batch_size = 32
  config.num_steps = 800
  config.bank_size = 16_384
  config.encoder.name = "small"
  config.optimizer.learning_rate = 2e-3
  config.optimizer.warmup_steps = 40
  config.log_every = 40
  config.sample_every = 0
  config.checkpoint_every = 400
  config.eval_every = 0
  config.eval.num_examples = 256


def _thesis(config):
  config.code = ConfigDict(
    dict(
      identity=64,
      expression=64,
      albedo=100,
      rotation=3,
      translation=0,
      illumination=0,
    )
  )
  config.prior.rotation_scale = 0.0
  config.batch_size = 32
  config.optimizer.name = "adadelta"
  config.optimizer.learning_rate = 1.0
  config.optimizer.schedule = "constant"
  config.optimizer.warmup_steps = 0
  config.optimizer.weight_decay = 0.0


_VARIANTS = {
  "resnet50": _resnet50,
  "resnet18": _resnet18,
  "quick": _quick,
  "thesis": _thesis,
}
