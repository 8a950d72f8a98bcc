"""Who may import whom; the package docstring and DESIGN of the layers."""

import ast
import pathlib
import sys

import pytest

_ROOT = pathlib.Path(__file__).parent.parent
_PACKAGE = _ROOT / "facerec_jax"

# The most specific prefix decides; a module imports only lower layers, or its
# own package.
_LAYERS = {
  "facerec_jax": 4,
  "facerec_jax.face": 0,
  "facerec_jax.messages": 0,
  "facerec_jax.render": 1,
  "facerec_jax.synthesis": 2,
  "facerec_jax.encoders": 2,
  "facerec_jax.training": 2,
  "facerec_jax.training.evaluation": 2,
  "facerec_jax.training.loop": 3,
  "facerec_jax.photos": 3,
  "facerec_jax.model_files": 3,
  "facerec_jax.recognition": 3,
  "facerec_jax.recognition.agreement": 2,
  "facerec_jax.results": 3,
  # Joins everything below; its command joins it to the flags.
  "facerec_jax.evaluation": 5,
  "facerec_jax.evaluate": 6,
  # Reports with the evaluation's tables and pictures.
  "facerec_jax.bootstrapping": 6,
  "facerec_jax.bootstrap": 7,
}
# Steps join what stands beside them.
_SIBLINGS = {"facerec_jax.training": {"facerec_jax.synthesis"}}

_STDLIB = set(sys.stdlib_module_names)
_LEARNING = {"absl", "flax", "jax", "ml_collections", "numpy", "optax"}
_LEARNING |= {"orbax", "tensorboardX", "tqdm"}
_PICTURES = {"PIL", "cv2", "dlib", "jinja2", "matplotlib", "numpy", "trimesh"}
_PICTURES |= {"av", "markupsafe", "pygltflib"}
_ALLOWED = {
  "facerec_jax": _LEARNING,
  "facerec_jax.encoders.pretrained": {"jax", "numpy", "safetensors"},
  "facerec_jax.tensor_files": {"flax", "jax", "numpy", "safetensors"},
  "facerec_jax.face": {"flax", "jax", "numpy"},
  "facerec_jax.render": {"flax", "jax", "numpy"},
  "facerec_jax.photos": _PICTURES | {"absl", "jax", "tqdm"},
  # The only files that know TFDS.
  "facerec_jax.photos.datasets": {"cv2", "numpy", "tensorflow_datasets"},
  "facerec_jax.photos.public_sets": {"absl", "numpy", "tensorflow_datasets"},
  "facerec_jax.results": _PICTURES | {"absl", "jax"},
  "facerec_jax.evaluation": {"absl", "jax", "numpy", "scipy"},
  "facerec_jax.evaluation.scan_files": {"numpy", "trimesh"},
  "facerec_jax.model_files": {"absl", "jax", "numpy", "scipy"},
  # The optional libraries of the import, each in one file.
  "facerec_jax.model_files.decimation": {
    "fast_simplification",
    "numpy",
    "scipy",
  },
  "facerec_jax.model_files.unwrapping": {"numpy", "xatlas"},
  "facerec_jax.model_files.formats.hdf5": {"h5py", "numpy"},
  "facerec_jax.model_files.formats.eos_reader": {"eos", "numpy"},
}


def _modules():
  for path in sorted(_PACKAGE.rglob("*.py")):
    parts = path.relative_to(_ROOT).with_suffix("").parts
    yield path, ".".join(p for p in parts if p != "__init__")


def _most_specific(table, name):
  parts = name.split(".")
  for count in range(len(parts), 0, -1):
    prefix = ".".join(parts[:count])
    if prefix in table:
      return prefix
  raise KeyError(name)


def _imports(path):
  """Yields every imported module, at top level or inside functions."""
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.Import):
      yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
      assert node.level == 0, f"{path}: relative import"
      for alias in node.names:
        full = f"{node.module}.{alias.name}"
        is_module = node.module.startswith("facerec_jax")
        yield full if is_module else node.module


_MODULES = list(_modules())


@pytest.mark.parametrize("path, name", _MODULES, ids=[n for _, n in _MODULES])
def test_imports_go_down(path, name):
  package = _most_specific(_LAYERS, name)
  for imported in _imports(path):
    if not imported.startswith("facerec_jax"):
      continue
    target = _most_specific(_LAYERS, imported)
    same = target.split(".")[:2] == package.split(".")[:2]
    allowed = (
      _LAYERS[target] < _LAYERS[package]
      or (same and _LAYERS[target] <= _LAYERS[package])
      or target in _SIBLINGS.get(package, ())
    )
    assert allowed, f"{name} imports {imported}"


@pytest.mark.parametrize("path, name", _MODULES, ids=[n for _, n in _MODULES])
def test_third_party_imports_stay_in_their_rooms(path, name):
  allowed = _ALLOWED[_most_specific(_ALLOWED, name)]
  for imported in _imports(path):
    top = imported.split(".")[0]
    if top in _STDLIB or top == "facerec_jax":
      continue
    assert top in allowed, f"{name} imports {imported}"


def test_training_and_rendering_need_no_picture_library():
  """The training path imports nothing that handles photographs."""
  heavy = _PICTURES - {"numpy"} | {"scipy", "tensorflow_datasets"}
  for path, name in _MODULES:
    rooms = (["photos"], ["results"], ["model_files"], ["evaluation"])
    if name.split(".")[1:2] in rooms:
      continue
    used = {imported.split(".")[0] for imported in _imports(path)}
    assert not used & heavy, name


def test_pmap_lives_in_one_file():
  users = {name for path, name in _MODULES if "pmap(" in path.read_text()}
  assert users == {"facerec_jax.training.parallel"}


def test_nothing_imports_experiments_or_tests():
  for path, name in _MODULES:
    for imported in _imports(path):
      assert imported.split(".")[0] not in {"experiments", "tests"}, name
