"""A config that trains in seconds: fake model, tiny network, small images."""

from fake_model import make

from configs import resnet
from facerec_jax.model_files import archive


def config(folder, **changes):
  """The `quick` config made tiny.

  Args:
    folder: where the model's archive is written.
    **changes: of top-level keys.

  Returns:
    A plain nested dict.
  """
  path = folder / "model.npz"
  if not path.exists():
    archive.save(path, make(num_rings=6))
  tiny = resnet.get_config("quick").to_dict()
  tiny.update(
    morphable_model=str(path),
    image_size=32,
    batch_size=4,
    num_steps=4,
    bank_size=64,
    log_every=1,
    checkpoint_every=2,
  )
  tiny["encoder"].update(name="tiny")
  tiny["optimizer"].update(warmup_steps=1)
  tiny["eval"].update(num_examples=8)
  tiny.update(changes)
  return tiny
