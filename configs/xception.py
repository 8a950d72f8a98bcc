"""Training an Xception encoder: configs/resnet.py with another network.

Variants: `xception` is the default, on 224 px for one or more GPUs or TPUs;
`thesis` is the thesis' setting.
"""

from ml_collections import ConfigDict

from configs import resnet


def get_config(variant: str = "xception") -> ConfigDict:
  """Returns the config of a variant."""
  return resnet.with_encoder(__file__, variant)
