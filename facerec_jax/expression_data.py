"""Expression codes to learn from and to judge by: exact, or as read from faces.

Rendering and reading happen here, once per set; training draws from the rows.
"""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import tqdm

from facerec_jax import framed_faces
from facerec_jax import refining
from facerec_jax.recognition import labelled_codes
from facerec_jax.recognition import reading_errors
from facerec_jax.synthesis import code_bank
from facerec_jax.synthesis import emotion_basis
from facerec_jax.synthesis import priors
from facerec_jax.synthesis import synthesis
from facerec_jax.trained_encoder import TrainedEncoder

# Faces rendered and read at once.
_CHUNK = 64
# What a set's key is folded with.
_EXACT, _READ, _IMITATED, _FACES, _IMAGES, _MISTAKES = range(6)


@dataclasses.dataclass(frozen=True)
class BankSettings:
  """How many codes of which kind, and how they are drawn.

  Attributes:
    exact: codes as the emotions define them.
    read: codes that the encoder read from rendered faces.
    imitated: exact codes, changed as the encoder changes codes on average, with
      noise of the covariance of its mistakes; both measured on the read ones.
    noise: multiplies that noise.
    weak_share: of faces weaker than the emotions' own range, from rest on.
    refine: steps by which read codes are fitted to their images.
  """

  exact: int = 32_768
  read: int = 0
  imitated: int = 0
  noise: float = 1.0
  weak_share: float = 0.25
  refine: int = 0

  def __post_init__(self):
    sizes = (self.exact, self.read, self.imitated)
    if any(not isinstance(s, int) or s < 0 for s in sizes) or not sum(sizes):
      raise ValueError(
        f"bank: exact, read, imitated are {sizes}, wanted whole numbers >= 0, "
        "one of them above"
      )
    if self.imitated and not self.read:
      raise ValueError("bank: imitated codes need read ones to measure on")
    if self.noise < 0 or not 0 <= self.weak_share <= 1:
      raise ValueError(
        f"bank: noise is {self.noise}, wanted 0 or more; weak_share is "
        f"{self.weak_share}, wanted 0 to 1"
      )
    if not isinstance(self.refine, int) or self.refine < 0:
      raise ValueError(
        f"bank: refine is {self.refine!r}, wanted a whole number >= 0"
      )

  @property
  def total(self) -> int:
    """Number of rows."""
    return self.exact + self.read + self.imitated

  def scaled(self, total: int) -> BankSettings:
    """The same mixture with about as many rows as given, each part at least 7.

    Seven, so that every class occurs.
    """
    sizes = {
      name: max(round(total * value / self.total), labelled_codes.NUM_CLASSES)
      for name in ("exact", "read", "imitated")
      if (value := getattr(self, name))
    }
    return dataclasses.replace(self, **sizes)


def make_bank(
  key,
  basis: emotion_basis.EmotionBasis,
  settings: BankSettings,
  *,
  encoder: TrainedEncoder | None = None,
  errors: reading_errors.ReadingErrors | None = None,
) -> tuple[labelled_codes.Bank, reading_errors.ReadingErrors | None]:
  """Makes a bank of labelled codes.

  Args:
    key: randomness.
    basis: the model's action units.
    settings: what it holds.
    encoder: that reads; needed for read codes.
    errors: of the encoder, measured before; None measures them.

  Returns:
    (the bank, the errors if codes are imitated or were given).

  Raises:
    ValueError: there is no encoder to read with, or too few faces to measure.
  """

  def acted(use, count):
    return labelled_codes.acted(
      jax.random.fold_in(key, use),
      basis,
      count=count,
      weak_share=settings.weak_share,
    )

  parts = []
  if settings.exact:
    parts.append(acted(_EXACT, settings.exact))
  if settings.read:
    if encoder is None:
      raise ValueError("bank: read codes need an encoder's checkpoint")
    true = acted(_READ, settings.read)
    refiner = refining.create(encoder, settings.refine)
    read = read_faces(encoder, true.codes, key, refiner)
    parts.append(true.replace(codes=read))
    if settings.imitated and errors is None:
      errors = reading_errors.fit(true.codes, parts[-1].codes)
  root = jnp.zeros((basis.low.size, basis.low.size))
  if settings.imitated:
    rows = acted(_IMITATED, settings.imitated)
    parts.append(reading_errors.imitate(errors, rows, settings.noise))
    root = errors.noise_root
  return labelled_codes.Bank(labelled_codes.join(parts), root), errors


def read_faces(
  encoder: TrainedEncoder,
  expressions,
  key,
  refiner: refining.Refiner | None = None,
) -> jax.Array:
  """Renders faces with given expressions, and reads the expressions back.

  People, poses, light, backgrounds and camera are drawn as in the encoder's
  own training.

  Args:
    encoder: reads.
    expressions: [N, Ke] coefficients.
    key: of everything else.
    refiner: of the encoder's codes, or None.

  Returns:
    [N, Ke].
  """
  count = len(expressions)
  # Chunks of one size need one program, however many faces there are.
  rows = np.resize(np.arange(count), -(-count // _CHUNK) * _CHUNK)
  read = [
    _read_chunk(
      encoder, expressions[chunk], jax.random.fold_in(key, index), refiner
    )
    for index, chunk in enumerate(
      tqdm.tqdm(
        rows.reshape(-1, _CHUNK), unit_scale=_CHUNK, unit="img", disable=None
      )
    )
  ]
  return jnp.concatenate(read)[:count]


def _read_chunk(encoder, expressions, key, refiner):
  experiment = encoder.experiment
  bank = priors.make_bank(
    jax.random.fold_in(key, _FACES),
    encoder.model,
    encoder.layout,
    camera=encoder.camera,
    size=_CHUNK,
    prior=experiment.prior,
    expressions=expressions,
  )
  shown = _examples(
    jax.random.split(jax.random.fold_in(key, _IMAGES), _CHUNK),
    bank.centers,
    encoder.model,
    layout=encoder.layout,
    image_size=encoder.image_size,
    options=experiment.options,
  )
  read = refining.read(encoder, shown.image, refiner)
  if refiner is not None:
    seed = jax.random.bits(jax.random.fold_in(key, _MISTAKES))
    read = framed_faces.refine(
      refiner, np.asarray(shown.image), shown.landmarks, read, seed=int(seed)
    )
  return jnp.asarray(read)[:, encoder.layout.slices["expression"]]


@functools.partial(jax.jit, static_argnames=("layout", "image_size", "options"))
def _examples(keys, centers, model, *, layout, image_size, options):
  """Example i shows code i: a bank of its own for every face."""

  def one(key, center):
    bank = code_bank.CodeBank(center[None], jnp.zeros_like(center))
    return synthesis.synthesize(
      key,
      model,
      bank,
      layout=layout,
      image_size=image_size,
      options=options,
    )

  return jax.vmap(one)(keys, centers)
