"""Tests of action units solved in the expression basis of other models."""

import fake_model
import numpy as np
import pytest

from facerec_jax import model_files
from facerec_jax.model_files import expression_fitting
from facerec_jax.model_files import formats
from facerec_jax.model_files import importing
from facerec_jax.synthesis import emotions
from facerec_jax.synthesis import expression_units

# Where FACS and ARKit name the same movement (table of ICT-FaceKit's README).
_SAME = {
  "AU01_L": "browInnerUp_L",
  "AU02_R": "browOuterUp_R",
  "AU05_L": "eyeWide_L",
  "AU07_R": "eyeSquint_R",
  "AU12_L": "mouthSmile_L",
  "AU15_R": "mouthFrown_R",
  "AU18": "mouthPucker",
  "AU20_L": "mouthStretch_L",
  "AU43_R": "eyeBlink_R",
}


@pytest.mark.parametrize("kind", ["blendshape", "gaussian"])
def test_units_of_a_basis_of_units_are_itself(kind):
  model = fake_model.make_acting(kind)
  names, units = expression_fitting.unit_coefficients(model)
  assert names == model.expression_names
  at_marks = np.asarray(model.expression)[:68]
  for row, name in enumerate(names):
    moved, wanted = at_marks @ units[row], at_marks[..., row]
    cosine = (moved * wanted).sum() / (
      np.linalg.norm(moved) * np.linalg.norm(wanted)
    )
    assert cosine > 0.97, name


def test_coefficients_stay_within_their_limits():
  names, units = expression_fitting.unit_coefficients(fake_model.make_acting())
  assert units.shape == (len(names), 34)
  assert units.min() >= 0 and units.max() <= 1
  units = expression_fitting.unit_coefficients(
    fake_model.make_acting("gaussian")
  )[1]
  assert np.abs(units).max() <= 3


def test_jaws_only_open():
  model = fake_model.make_acting("gaussian")
  names = ("jaw_open", *model.expression_names[1:])
  open_jaw = np.array(model.expression)
  open_jaw[..., 0] = -0.1 * open_jaw[..., names.index("AU27")]
  model = model.replace(expression=open_jaw, expression_names=names)
  rows = expression_fitting.unit_coefficients(model)[1]
  assert rows[:, 0].min() >= 0
  opening = model.replace(
    expression=np.concatenate(
      [-open_jaw[..., :1], open_jaw[..., 1:] * (np.arange(1, 34) < 29)], axis=2
    )
  )
  rows = expression_fitting.unit_coefficients(opening)[1]
  row = rows[fake_model.make_acting().expression_names.index("AU27")]
  assert 7 < row[0] <= 10


def test_as_units_is_what_emotions_need():
  model = expression_fitting.as_units(fake_model.make_acting("gaussian"))
  assert model.expression_kind == "blendshape"
  units = expression_units.find_units(
    model.expression_names, model.expression.shape[-1]
  )
  assert units.are_action_units and units.find(12) is not None


def test_neutral_is_no_expression():
  rows = expression_fitting.emotion_coefficients(fake_model.make_acting())
  assert rows.shape == (7, 34)
  assert not rows[emotions.CLASSES.index("neutral")].any()


def test_models_without_expressions_say_so():
  model = fake_model.make(num_rings=4)
  model = model.replace(expression=np.zeros((model.num_vertices, 3, 0)))
  with pytest.raises(ValueError, match="'fake' has no expressions"):
    expression_fitting.unit_coefficients(model)


@pytest.fixture(scope="module")
def ict(data_folder):
  """ICT-FaceKit, decimated, with the landmarks that its README publishes."""
  pytest.importorskip("fast_simplification", reason="the extra 'import'")
  return importing.import_model(
    data_folder / "ict_facekit.npz",
    model_files.load("builtin"),
    importing.Options(triangles=20_000, crop="head"),
  )


def test_ict_end_to_end(ict):
  model, card = ict.model, "\n".join(ict.card)
  assert "cm, by the outer canthi: 89.2 mm" in card
  assert "68 published" in card and "MIT" in card
  (loss,) = (line for line in ict.card if line.startswith("decimation"))
  assert float(loss.split()[1]) < 0.3
  assert model.num_triangles <= 20_000
  assert float(model.uv.min()) >= 0 and float(model.uv.max()) <= 1
  # Skin is skin, lips are redder, pupils dark, the sclera is not.
  color = np.asarray(model.albedo_mean)
  cheek = color[_nearest(model, (2, 41), (0, -25, 0))]
  assert (np.diff(cheek) < 0).all() and 0.2 < cheek[0] < 0.6
  lip = color[_nearest(model, (57, 66), (0, 0, 0))]
  assert lip[0] / lip[1] > 1.1 * cheek[0] / cheek[1]
  for name in ("left_eye", "right_eye"):
    eye = np.asarray(model.region) == model.region_names.index(name)
    front = np.asarray(model.mean)[eye, 2]
    light = color[eye].mean(axis=1)
    assert light[front.argmax()] < 0.05 and light.max() > 0.3


def _nearest(model, marks, offset):
  mean = np.asarray(model.mean)
  place = mean[np.asarray(model.landmarks)[list(marks)]].mean(axis=0) + offset
  return int(np.linalg.norm(mean - place, axis=1).argmin())


def test_named_movements_of_ict_are_found(ict):
  names, units = expression_fitting.unit_coefficients(ict.model)
  own = ict.model.expression_names
  for unit, movement in _SAME.items():
    row = units[names.index(unit)]
    # Eyes close by blinking and squinting, about as much.
    assert row[own.index(movement)] > 0.9 * row.max(), unit
  # The jaw: few columns, and that of the jaw moves the chin.
  row = units[names.index("AU27")]
  chin = np.asarray(ict.model.expression)[np.asarray(ict.model.landmarks)[8]]
  share = chin[1] * row
  assert share[own.index("jawOpen")] < 0.7 * share.sum() < 0


@pytest.mark.parametrize(
  "emotion, named",
  [
    (
      "happiness",
      {
        "mouthSmile": 0.6,
        "cheekSquint": 0.6,
        "eyeSquint": 0.3,
        "mouthLowerDown": 0.3,
      },
    ),
    (
      "surprise",
      {
        "browInnerUp": 0.85,
        "browOuterUp": 0.85,
        "eyeWide": 0.5,
        "jawOpen": 0.3,
        "mouthLowerDown": 0.6,
      },
    ),
  ],
)
def test_emotions_of_ict_agree_with_its_named_shapes(ict, emotion, named):
  own = ict.model.expression_names
  solved = expression_fitting.emotion_coefficients(ict.model)[
    emotions.CLASSES.index(emotion)
  ]
  wanted = np.array([named.get(name.split("_")[0], 0.0) for name in own])
  at_marks = np.asarray(ict.model.expression)[
    np.asarray(ict.model.landmarks)[17:]
  ]
  a, b = at_marks @ solved, at_marks @ wanted
  cosine = (a * b).sum() / (np.linalg.norm(a) * np.linalg.norm(b))
  assert cosine > 0.8


def test_derived_landmarks_of_ict_are_near_the_published(data_folder):
  """The alignment is not told where they are."""
  from facerec_jax.model_files import correspondence
  from facerec_jax.model_files import mesh_editing
  from facerec_jax.model_files import normalize
  from facerec_jax.model_files import surface
  from facerec_jax.model_files import transfer

  raw = formats.read(data_folder / "ict_facekit.npz")
  raw = mesh_editing.drop_region(normalize.scaled(raw, 10.0), "dropped")
  triangles = raw.triangles[transfer.exposed(raw)]
  face = correspondence.template(model_files.load("builtin"))
  laid = correspondence.lay_over(face, raw.mean, triangles, {})
  index = face.landmarks
  normals = surface.vertex_normals(laid, face.triangles)[index]
  found = surface.Surface(raw.mean, triangles).closest(laid[index], normals)
  published = raw.mean[[raw.landmarks[k] for k in range(68)]]
  error = np.linalg.norm(found.points - published, axis=1)
  # The jaw line slides: its points are other ones in every table.
  assert error[17:].mean() < 3.8 and error[17:].max() < 10.0
