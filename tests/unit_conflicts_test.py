import jax.numpy as jnp
import numpy as np
import pytest

from facerec_jax.synthesis import expression_units
from facerec_jax.synthesis import unit_conflicts

NUMBERS = (1, 4, 5, 6, 7, 9, 12, 13, 18, 20, 22, 23, 24, 25, 26, 27, 28, 43)
NUMBERS += (61, 62, 63, 64)
NAMES = tuple(f"AU{number:02d}" for number in NUMBERS)
NAMES += ("AD30_L", "AD30_R", "AD34")


def resolve(names=NAMES, **weights):
  units = expression_units.find_units(names, len(names))
  start = np.zeros(len(units.names), np.float32)
  for name, weight in weights.items():
    start[units.names.index(name)] = weight
  result = unit_conflicts.resolve_conflicts(units, jnp.asarray(start))
  return {
    name: pytest.approx(float(weight), abs=1e-6)
    for name, weight in zip(units.names, result, strict=True)
    if weight != 0
  }


def test_exclusive_units():
  assert resolve(AU26=0.4, AU27=0.5) == {"AU27": 0.5}
  assert resolve(AU26=0.5, AU27=0.5) == {"AU26": 0.5}
  assert resolve(AU61=0.2, AU62=0.3) == {"AU62": 0.3}
  assert resolve(AU63=0.2, AU64=0.1, AU61=0.1) == {"AU61": 0.1, "AU63": 0.2}
  assert resolve(AD30_L=0.3, AD30_R=0.2) == {"AD30_L": 0.3}


def test_closed_eyes_void_what_opens_them():
  assert resolve(AU05=0.8, AU43=1.0, AU61=0.4, AU64=0.2) == {"AU43": 1.0}
  half = resolve(AU05=0.8, AU43=0.5)
  assert half == {"AU05": 0.4, "AU43": 0.5}


def test_eyes_close_only_as_far_as_they_are_open():
  assert resolve(AU06=1.0, AU43=1.0)["AU43"] == 0.73
  assert resolve(AU06=1.0)["AU06"] == 1.0


def test_lower_lid_rises_three_millimetres_at_most():
  assert resolve(AU06=1.0, AU07=1.0)["AU07"] == 1.0 / 2.1
  assert resolve(AU06=0.3, AU07=0.5) == {"AU06": 0.3, "AU07": 0.5}


def test_raised_inner_brows_win_over_lowered_ones():
  both = resolve(AU01=1.0, AU04=1.0)
  # Table: 7.5 mm up and 5.0 mm down; up wins, times 0.6.
  assert 7.5 * both["AU01"].expected - 5.0 * both["AU04"].expected == (
    pytest.approx(0.6 * 7.5)
  )


def test_corners_go_out_nine_millimetres_at_most():
  both = resolve(AU12=1.0, AU20=1.0)
  out = 7.5 * both["AU12"].expected + 5.5 * both["AU20"].expected
  assert out == pytest.approx(9.0)
  assert resolve(AU12=0.5, AU20=0.5) == {"AU12": 0.5, "AU20": 0.5}
  assert resolve(AU12=1.0, AU13=1.0) == {"AU12": 1.0}


def test_parted_lips_undo_what_needs_closed_ones():
  assert resolve(AU24=0.8, AU26=1.0) == {"AU26": 1.0}
  assert resolve(AD34=0.8, AU27=0.5) == {"AU27": 0.5}
  assert resolve(AU24=0.5) == {"AU24": 0.5}
  assert resolve(AU25=0.75, AU23=0.8) == {"AU25": 0.75, "AU23": 0.4}
  assert resolve(AU28=1.0, AU24=1.0, AU18=0.5) == {"AU28": 1.0}


def test_models_that_lack_units_work():
  assert resolve(("AU12", "AU43"), AU12=0.5, AU43=1.0) == {
    "AU12": 0.5,
    "AU43": 1.0,
  }
  assert resolve(("jawOpen",), jawOpen=0.5) == {"jawOpen": 0.5}
