"""Training an Xception encoder: configs/resnet.py with another network.

Its variants are those of configs/resnet.py: `xception` is the default, on 224 px
for one or more GPUs or TPUs; `thesis` is the thesis' setting.
"""

from ml_collections import ConfigDict

from configs import resnet


def get_config(variant: str = "resnet50") -> ConfigDict:
  """Returns the config of a variant of configs/resnet.py."""
  config = resnet.get_config(variant)
  config.encoder.name = "xception"
  return config
