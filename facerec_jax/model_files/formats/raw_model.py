"""What a reader gives: a face model as its file has it, checked."""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses

import numpy as np

# More than any face model has; what claims more is damaged or hostile.
MAX_VERTICES = 500_000
MAX_TRIANGLES = 1_000_000
MAX_MODES = 2_000
MAX_BYTES = 2 << 30


class FormatError(ValueError):
  """A file is not the face model that it should be; one line says why."""


@dataclasses.dataclass(frozen=True)
class RawModel:
  """A face model in the units, the frame and the colours of its file.

  Attributes:
    name: of the model.
    format: name of the reader.
    mean: [V, 3] neutral mean, file units.
    identity: [V, 3, Ki] per standard deviation.
    triangles: [T, 3].
    expression: [V, 3, Ke] per standard deviation or blendshape weight.
    expression_kind: "gaussian" or "blendshape".
    identity_names: Ki names, or empty.
    expression_names: Ke names, or empty.
    albedo_mean: [V, 3] in [0, 1], or None.
    albedo: [V, 3, Ka] per standard deviation; of no columns without albedo.
    color_space: "srgb" or "linear".
    corner_uv: [T, 3, 2] texture coordinates of the triangles' corners, v up; or
      None.
    uv: [V, 2] the same at vertices, once seams are split; or None.
    occlusion: [V] share of the sky that a vertex sees, or None.
    landmarks: iBUG index (0-67) -> vertex, as published.
    region: [V] index into `region_names`, or None.
    region_names: our own names of parts.
    licence: one line.
    link: where the model comes from.
    notes: what was left out or assumed, one line each.
  """

  name: str
  format: str
  mean: np.ndarray
  identity: np.ndarray
  triangles: np.ndarray
  expression: np.ndarray
  expression_kind: str = "gaussian"
  identity_names: tuple[str, ...] = ()
  expression_names: tuple[str, ...] = ()
  albedo_mean: np.ndarray | None = None
  albedo: np.ndarray | None = None
  color_space: str = "srgb"
  corner_uv: np.ndarray | None = None
  uv: np.ndarray | None = None
  occlusion: np.ndarray | None = None
  landmarks: Mapping[int, int] = dataclasses.field(default_factory=dict)
  region: np.ndarray | None = None
  region_names: tuple[str, ...] = ("skin",)
  licence: str = ""
  link: str = ""
  notes: tuple[str, ...] = ()

  @property
  def per_vertex(self) -> dict[str, np.ndarray]:
    """The arrays whose first axis is V, without those that are absent."""
    names = (
      "mean",
      "identity",
      "expression",
      "albedo_mean",
      "albedo",
      "region",
      "uv",
      "occlusion",
    )
    values = {name: getattr(self, name) for name in names}
    return {name: v for name, v in values.items() if v is not None}


def empty_basis(num_vertices: int) -> np.ndarray:
  """[V, 3, 0]."""
  return np.zeros((num_vertices, 3, 0), np.float32)


def checked(model: RawModel) -> RawModel:
  """Returns the model if it is sound.

  Raises:
    FormatError: a shape, an index or a number that no face model has.
  """
  num, count = len(model.mean), len(model.triangles)
  if not 4 <= num <= MAX_VERTICES or not 1 <= count <= MAX_TRIANGLES:
    raise FormatError(f"{num} vertices and {count} triangles are no face model")
  shapes = {
    "mean": (num, 3),
    "identity": (num, 3, -1),
    "expression": (num, 3, -1),
    "triangles": (count, 3),
    "albedo_mean": (num, 3),
    "albedo": (num, 3, -1),
    "corner_uv": (count, 3, 2),
    "region": (num,),
    "uv": (num, 2),
    "occlusion": (num,),
  }
  for name, shape in shapes.items():
    value = getattr(model, name)
    if value is not None:
      check_shape(name, value, shape)
  for name in ("mean", "identity", "expression", "albedo_mean", "albedo"):
    value = getattr(model, name)
    if value is not None and not np.isfinite(value).all():
      raise FormatError(f"{name} holds NaN or infinity")
  check_indices("triangles", model.triangles, num)
  check_indices("landmarks", np.array(list(model.landmarks.values())), num)
  check_indices("landmark numbers", np.array(list(model.landmarks)), 68)
  return model


def check_shape(name: str, value: np.ndarray, shape: tuple[int, ...]) -> None:
  """Compares a shape; -1 stands for any length up to `MAX_MODES`.

  Raises:
    FormatError: it differs.
  """
  fits = value.ndim == len(shape) and all(
    got == want or (want == -1 and got <= MAX_MODES)
    for got, want in zip(value.shape, shape, strict=True)
  )
  if not fits:
    wanted = str(shape).replace("-1", f"at most {MAX_MODES}")
    raise FormatError(f"{name} has shape {value.shape}, wanted {wanted}")


def check_indices(name: str, value: np.ndarray, limit: int) -> None:
  """Compares indices with what they point into.

  Raises:
    FormatError: one is out of range.
  """
  if value.size and (value.min() < 0 or value.max() >= limit):
    raise FormatError(
      f"{name}: indices {value.min()}..{value.max()}, wanted 0..{limit - 1}"
    )


def check_size(name: str, shape: tuple[int, ...], itemsize: int) -> None:
  """Refuses an array before anything is allocated for it.

  Raises:
    FormatError: the shape claims more than `MAX_BYTES`, or is none.
  """
  size = itemsize
  for length in shape:
    size *= int(length)
  if size > MAX_BYTES or any(length < 0 for length in shape):
    raise FormatError(
      f"{name} claims {size / 2**30:.1f} GiB {tuple(shape)}, wanted at most "
      f"{MAX_BYTES / 2**30:.0f} GiB"
    )
