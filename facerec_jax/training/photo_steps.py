"""Training steps of an encoder on photographs, of which nobody knows the code.

The second kind of step beside `steps`: same loop, same `parallel.parallelize`,
(state, scene, examples) -> (state, metrics).
"""

from __future__ import annotations

from collections.abc import Callable
import dataclasses

from flax import linen as nn
from flax import struct
import jax
import jax.numpy as jnp
import optax

from facerec_jax.face import code_vector
from facerec_jax.face import landmarks
from facerec_jax.face import mirroring
from facerec_jax.training import losses
from facerec_jax.training import parallel
from facerec_jax.training import photo_augmentation
from facerec_jax.training import self_supervision
from facerec_jax.training import steps


@struct.dataclass
class PhotoScene:
  """Constants of the steps: replicated once, never changed.

  Attributes:
    fitting: of the objective.
    mirror: of the model.
    photos: all of them, with a leading axis; bytes take a quarter of floats.
    seed_key: root of all randomness.
    synthetic: of the synthetic faces that are mixed in, or None.
  """

  fitting: self_supervision.FittingScene
  mirror: mirroring.Mirror
  photos: self_supervision.Photo
  seed_key: jax.Array
  synthetic: steps.Scene | None = None


@struct.dataclass
class Examples:
  """One device's examples of a step.

  Attributes:
    photos: with a batch axis.
    synthetic: `synthesis.Example` with a batch axis, or None.
  """

  photos: self_supervision.Photo
  synthetic: object = None


@dataclasses.dataclass(frozen=True)
class FineTuning:
  """Knobs of the step; hashable.

  Attributes:
    photo: weight of the objective of the photographs, in nats per number of the
      code.
    flip: weight of the distance between the code of the flipped photograph and
      the mirrored code, in variances of the training codes.
    synthetic: weight of the loss of the synthetic faces, if there are any.
    frozen_statistics: BatchNorm keeps the statistics of its training: few
      photographs have poor ones.
    augmentation: of the photographs.
  """

  photo: float = 1.0
  flip: float = 1.0
  synthetic: float = 1.0
  frozen_statistics: bool = True
  augmentation: photo_augmentation.Augmentation = photo_augmentation.NONE


DEFAULT = FineTuning()


def flip_photo(photo: self_supervision.Photo) -> self_supervision.Photo:
  """The mirrored photograph, without batch axes."""
  size = photo.image.shape[1]
  points = photo.landmarks[jnp.array(landmarks.MIRROR)]
  return photo._replace(
    image=photo.image[:, ::-1],
    mask=photo.mask[:, ::-1],
    landmarks=points.at[:, 0].set(size - points[:, 0]),
  )


def make_examples(
  scene: PhotoScene,
  step,
  *,
  local_batch: int,
  make_synthetic: Callable | None = None,
  augmentation: photo_augmentation.Augmentation = photo_augmentation.NONE,
) -> Examples:
  """Draws this device's examples; runs under `parallel.parallelize`.

  Photographs are drawn with replacement, every second one mirrored, then
  augmented, as a function of (seed, step, global index).

  Args:
    scene: constants.
    step: [] integer.
    local_batch: photographs per device.
    make_synthetic: (steps.Scene, step) -> synthetic examples, such as
      `experiment.make_examples`; used where the scene has a synthetic one.
    augmentation: of the photographs.

  Returns:
    The examples.
  """
  step_key = jax.random.fold_in(scene.seed_key, step)
  count = scene.photos.image.shape[0]

  def draw(index):
    row_key, flip_key, augmentation_key = jax.random.split(
      jax.random.fold_in(step_key, index), 3
    )
    row = jax.random.randint(row_key, (), 0, count)
    photo = jax.tree.map(lambda values: values[row], scene.photos)
    mirrored = jax.random.bernoulli(flip_key)
    photo = jax.tree.map(
      lambda a, b: jnp.where(mirrored, a, b), flip_photo(photo), photo
    )
    return photo_augmentation.augment(augmentation_key, photo, augmentation)

  photos = jax.vmap(draw)(parallel.global_indices(local_batch))
  synthetic = None
  if make_synthetic is not None and scene.synthetic is not None:
    synthetic = make_synthetic(scene.synthetic, step)
  return Examples(photos=photos, synthetic=synthetic)


def encoder_images(
  photos: self_supervision.Photo, *, face_mask: bool
) -> jax.Array:
  """What the encoder sees of photographs, [B, S, S, 3]."""
  images = self_supervision.as_float(photos.image)
  if face_mask:
    images = jnp.where(photos.mask[..., None], images, 0.0)
  return images


def update(
  state: steps.TrainState,
  scene: PhotoScene,
  examples: Examples,
  *,
  encoder: nn.Module,
  optimizer: optax.GradientTransformation,
  layout: code_vector.CodeLayout,
  face_mask: bool,
  objective: self_supervision.Objective = self_supervision.DEFAULT,
  tuning: FineTuning = DEFAULT,
  loss: losses.Loss | None = None,
) -> tuple[steps.TrainState, dict[str, jax.Array]]:
  """Learns from one batch; runs under `parallel.parallelize`.

  Args:
    state: before the step.
    scene: constants.
    examples: of this device.
    encoder: images -> outputs.
    optimizer: gradients -> updates.
    layout: of the codes.
    face_mask: whether the encoder reads faces cut out by their mask.
    objective: of the photographs.
    tuning: weights.
    loss: of the synthetic faces; None if there are none.

  Returns:
    (state after the step, metrics averaged over devices).
  """

  def loss_of(params):
    codes, batch_stats = _read(
      state, params, examples, encoder, face_mask, tuning
    )
    total, metrics = _losses(
      state, scene, examples, codes, layout, objective, tuning, loss
    )
    return total, (metrics, batch_stats)

  gradient, (metrics, batch_stats) = jax.grad(loss_of, has_aux=True)(
    state.params
  )
  gradient, metrics = parallel.mean((gradient, metrics))
  updates, opt_state = optimizer.update(gradient, state.opt_state, state.params)
  metrics = {**metrics, "gradient_norm": optax.tree.norm(gradient)}
  state = state.replace(
    step=state.step + 1,
    params=optax.apply_updates(state.params, updates),
    batch_stats=batch_stats,
    opt_state=opt_state,
  )
  return state, metrics


def _read(state, params, examples, encoder, face_mask, tuning):
  """Codes of photographs, of their mirror images, of synthetic faces."""
  images = encoder_images(examples.photos, face_mask=face_mask)
  parts = [images, images[:, :, ::-1]]
  if examples.synthetic is not None:
    parts.append(examples.synthetic.image)
  variables = {"params": params, "batch_stats": state.batch_stats}
  images = jnp.concatenate(parts)
  if tuning.frozen_statistics:
    output = encoder.apply(variables, images, train=False)
    batch_stats = state.batch_stats
  else:
    output, mutated = encoder.apply(
      variables, images, train=True, mutable=["batch_stats"]
    )
    batch_stats = mutated.get("batch_stats", {})
  codes = state.code_mean + state.code_std * output
  ends = [len(parts[0]), 2 * len(parts[0])]
  return jnp.split(codes, ends), batch_stats


def _losses(state, scene, examples, codes, layout, objective, tuning, loss):
  seen, mirrored, synthetic = codes

  def fit(photo, flat):
    return self_supervision.energy(
      scene.fitting, photo, flat, layout=layout, objective=objective
    )

  energy, terms = jax.vmap(fit)(examples.photos, seen)
  energy = energy.mean() / layout.size
  metrics = {f"photo/{name}": value.mean() for name, value in terms.items()}
  wanted = jax.vmap(
    lambda flat: layout.flatten(
      mirroring.mirror_code(scene.mirror, layout.unflatten(flat))
    )
  )(seen)
  flip = jnp.square((mirrored - wanted) / state.code_std).mean()
  total = tuning.photo * energy + tuning.flip * flip
  metrics |= {"photo": energy, "flip": flip}
  if examples.synthetic is not None:
    value, terms = losses.total_loss(
      loss,
      scene.synthetic.space,
      synthetic,
      examples.synthetic.code,
      layout=layout,
    )
    total = total + tuning.synthetic * value
    metrics |= {f"synthetic/{name}": v for name, v in terms.items()}
  return total, metrics | {"loss": total}
