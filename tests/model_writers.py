"""Writes a model in the layouts of other projects, as their files have them.

`Plain` is what all of them share; the readers must give it back.
"""

import copyreg
import dataclasses
import json
import pickle
import sys
import types

import numpy as np

from facerec_jax.render import color


@dataclasses.dataclass
class Plain:
  """A model in NumPy arrays: bases per standard deviation, mm, sRGB."""

  mean: np.ndarray
  identity: np.ndarray
  expression: np.ndarray
  albedo_mean: np.ndarray
  albedo: np.ndarray
  triangles: np.ndarray
  landmarks: np.ndarray


def plain(model, *, identity=4, expression=3, albedo=2):
  """The first columns of a `MorphableModel`, made orthogonal."""
  mean = np.asarray(model.albedo_mean)
  srgb = np.asarray(color.linear_to_srgb(mean))
  slope = np.where(
    srgb <= 0.04045, 1 / 12.92, 2.4 / 1.055 * ((srgb + 0.055) / 1.055) ** 1.4
  )
  colors = np.asarray(model.albedo)[..., :albedo] / slope[..., None]
  return Plain(
    mean=np.asarray(model.mean, np.float64),
    identity=_orthogonal(np.asarray(model.identity)[..., :identity]),
    expression=_orthogonal(np.asarray(model.expression)[..., :expression]),
    albedo_mean=srgb,
    albedo=_orthogonal(colors),
    triangles=np.asarray(model.triangles),
    landmarks=np.asarray(model.landmarks),
  )


def _orthogonal(basis):
  flat = basis.reshape(-1, basis.shape[-1]).astype(np.float64)
  u, s, _ = np.linalg.svd(flat, full_matrices=False)
  return (u * s).reshape(basis.shape)


def write_linear(group, mean, basis):
  """Statismo's `model`: unit columns and variances."""
  flat = basis.reshape(-1, basis.shape[-1])
  deviation = np.linalg.norm(flat, axis=0)
  group["model/mean"] = mean.ravel().astype(np.float32)
  group["model/pcaBasis"] = (flat / deviation).astype(np.float32)
  group["model/pcaVariance"] = (deviation**2).astype(np.float32)
  group["model/noiseVariance"] = np.zeros(1, np.float32)


def write_basel(path, model, names=None):
  """Basel 2017 and 2019; half of the mean is the expressions' mean."""
  import h5py

  shift = 0.02 * model.mean
  with h5py.File(path, "w") as file:
    shape = file.create_group("shape")
    write_linear(shape, model.mean - shift, model.identity)
    write_linear(file.create_group("expression"), shift, model.expression)
    write_linear(file.create_group("color"), model.albedo_mean, model.albedo)
    shape["representer/cells"] = model.triangles.T.astype(np.int32)
    shape["representer/points"] = model.mean.T.astype(np.float32)
    if names:
      entries = [
        {"id": name, "coordinates": model.mean[model.landmarks[k]].tolist()}
        for name, k in names.items()
      ]
      text = json.dumps(entries).encode()
      file["metadata/landmarks/json"] = np.array([text], f"S{len(text)}")


def write_statismo(path, model, *, scaled=False):
  """A plain statismo file; `scaled`: columns as long as their deviation."""
  import h5py

  with h5py.File(path, "w") as file:
    write_linear(file, model.mean, model.identity)
    file["representer/cells"] = model.triangles.T.astype(np.int32)
    if scaled:
      length = np.sqrt(file["model/pcaVariance"][()])
      file["model/pcaBasis"][...] *= length


def write_basel_2009(path, model):
  """01_MorphableModel.mat: micrometres, clockwise, counted from 1."""
  from scipy import io

  def unit(basis):
    flat = basis.reshape(-1, basis.shape[-1])
    length = np.linalg.norm(flat, axis=0)
    return (flat / length).astype(np.float32), length.reshape(-1, 1)

  shape_pc, shape_ev = unit(1000 * model.identity)
  tex_pc, tex_ev = unit(255 * model.albedo)
  io.savemat(
    path,
    {
      "shapeMU": (1000 * model.mean).reshape(-1, 1).astype(np.float32),
      "shapePC": shape_pc,
      "shapeEV": shape_ev,
      "texMU": (255 * model.albedo_mean).reshape(-1, 1).astype(np.float32),
      "texPC": tex_pc,
      "texEV": tex_ev,
      "tl": (model.triangles[:, ::-1] + 1).astype(np.float64),
    },
  )


def write_basel_2009_expressions(folder, model, index):
  """Exp_Pca.bin, std_exp.txt and BFM_exp_idx.mat for some vertices."""
  from scipy import io

  deviation = np.arange(1, model.expression.shape[-1] + 1, dtype=np.float64)
  modes = np.moveaxis(1000 * model.expression[index] / deviation, -1, 0)
  with open(folder / "Exp_Pca.bin", "wb") as file:
    file.write(np.int32(len(modes)).tobytes())
    file.write(np.zeros(3 * len(index), np.float32).tobytes())
    file.write(modes.astype(np.float32).tobytes())
  np.savetxt(folder / "std_exp.txt", deviation[None])
  io.savemat(folder / "BFM_exp_idx.mat", {"trimIndex": index[:, None] + 1.0})


def flame_arrays(model, jaw_weight):
  """FLAME's arrays, metres; the jaw's hinge lies between two jaw points."""
  num = len(model.mean)
  weights = np.zeros((num, 5))
  weights[:, 2], weights[:, 1] = jaw_weight, 1 - jaw_weight
  regressor = np.zeros((5, num))
  a, b = model.landmarks[[2, 14]]
  regressor[:, a], regressor[:, b] = 0.5, 0.5
  return {
    "v_template": model.mean / 1000,
    "shapedirs": np.concatenate(
      [
        np.pad(
          model.identity / 1000,
          ((0, 0), (0, 0), (0, 300 - model.identity.shape[-1])),
        ),
        model.expression / 1000,
      ],
      axis=2,
    ),
    "posedirs": np.zeros((num, 3, 36)),
    "J_regressor": regressor,
    "kintree_table": np.array([[-1, 0, 1, 1, 1], [0, 1, 2, 3, 4]]),
    "weights": weights,
    "f": model.triangles.astype(np.uint32),
  }


def write_flame(path, arrays, *, protocol=2, chumpy=False):
  """A pickle as Python 2 wrote it: chumpy arrays and sparse matrices."""
  from scipy import sparse

  content = dict(arrays)
  content["J_regressor"] = sparse.csc_matrix(arrays["J_regressor"])
  if chumpy:
    with _module("chumpy.ch", "Ch") as kind:
      content["shapedirs"] = kind(arrays["shapedirs"])
      path.write_bytes(pickle.dumps(content, protocol))
    return
  path.write_bytes(pickle.dumps(content, protocol))


class _module:
  """A class of a module that is not installed, while it is pickled."""

  def __init__(self, module, name):
    self._names = [
      ".".join(module.split(".")[: k + 1]) for k in range(module.count(".") + 1)
    ]
    self._kind = type(
      name,
      (),
      {
        "__module__": module,
        "__init__": lambda self, x: setattr(self, "x", x),
        "__reduce__": lambda self: (
          copyreg._reconstructor,
          (type(self), object, None),
          {"x": self.x, "_dirty": True},
        ),
      },
    )

  def __enter__(self):
    for name in self._names:
      sys.modules[name] = types.ModuleType(name)
    setattr(sys.modules[self._names[-1]], self._kind.__name__, self._kind)
    return self._kind

  def __exit__(self, *_):
    for name in self._names:
      del sys.modules[name]


def write_obj(path, points, triangles=(), uv=(), faces_uv=()):
  """An OBJ file."""
  lines = [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in points]
  lines += [f"vt {u:.6f} {v:.6f}" for u, v in uv]
  for corner, place in zip(triangles, faces_uv, strict=True):
    pairs = zip(corner, place, strict=True)
    lines.append("f " + " ".join(f"{a + 1}/{b + 1}" for a, b in pairs))
  path.write_text("\n".join(["# written by a test", *lines, ""]))


def write_ict_folder(folder, model, names):
  """The folder of OBJ files, cm."""
  folder.mkdir()
  points = model.mean / 10
  uv = points[:, :2] / 40 + 0.5
  write_obj(
    folder / "generic_neutral_mesh.obj",
    points,
    model.triangles,
    uv,
    model.triangles,
  )
  for k in range(model.identity.shape[-1]):
    write_obj(
      folder / f"identity{k:03d}.obj", points + model.identity[..., k] / 10
    )
  for k, name in enumerate(names):
    write_obj(folder / f"{name}.obj", points + model.expression[..., k] / 10)


def write_ict_npz(path, model, names):
  """The model as one file, cm, half precision."""
  np.savez_compressed(
    path,
    neutral=(model.mean / 10).astype(np.float32),
    identity=np.moveaxis(model.identity / 10, -1, 0).astype(np.float32),
    expression=np.moveaxis(model.expression / 10, -1, 0).astype(np.float32),
    triangles=model.triangles.astype(np.int32),
    expression_names=np.array(names),
  )


def write_gnm(path, model, groups):
  """gnm_head.npz: metres, unicode names, groups of vertices."""
  num = len(model.mean)
  members = np.zeros((len(groups), num), np.float32)
  for row, index in enumerate(groups.values()):
    members[row, index] = 1
  np.savez_compressed(
    path,
    version=np.array("3.0"),
    template_vertex_positions=(model.mean / 1000).astype(np.float32),
    vertex_identity_basis=np.moveaxis(model.identity / 1000, -1, 0),
    expression_basis=np.moveaxis(model.expression / 1000, -1, 0),
    identity_names=np.array(
      [f"head_{k}" for k in range(model.identity.shape[-1])]
    ),
    expression_names=np.array(
      [f"lower_face_{k}" for k in range(model.expression.shape[-1])]
    ),
    triangles=model.triangles.astype(np.int32),
    triangle_uvs=(model.mean[model.triangles][..., :2] / 500 + 0.5).astype(
      np.float32
    ),
    vertex_groups=members,
    vertex_group_names=np.array(list(groups), str),
  )


def write_gnm_landmarks(path, model):
  """head_sparse_68.txt with its jaw points in their own order."""
  order = list(range(68))
  order[2:7] = order[2:7][::-1]
  rows = [f"{model.landmarks[k]} 1 0 0 0 0" for k in order]
  path.write_text("\n".join(rows) + "\n")


def write_surrey(path, blendshape_path, model, names):
  """eos' binary, by eos itself."""
  import eos

  def pca(mean, basis):
    flat = basis.reshape(-1, basis.shape[-1])
    length = np.linalg.norm(flat, axis=0)
    return eos.morphablemodel.PcaModel(
      mean.ravel().astype(np.float32),
      (flat / length).astype(np.float32),
      (length**2).astype(np.float32),
      model.triangles.tolist(),
    )

  place = model.mean[:, :2] / 500 + 0.5
  eos.morphablemodel.save_model(
    eos.morphablemodel.MorphableModel(
      pca(model.mean, model.identity),
      eos.morphablemodel.PcaModel(),
      texture_coordinates=np.column_stack([place[:, 0], 1 - place[:, 1]])
      .astype(np.float32)
      .tolist(),
    ),
    str(path),
  )
  shapes = []
  for k, name in enumerate(names):
    shape = eos.morphablemodel.Blendshape()
    shape.name = name
    shape.deformation = model.expression[..., k].ravel().astype(np.float32)
    shapes.append(shape)
  eos.morphablemodel.save_blendshapes(shapes, str(blendshape_path))
