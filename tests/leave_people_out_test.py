"""Folds over people, and errors put together from them."""

import pathlib
import sys

import numpy as np
import pytest

from facerec_jax.bootstrapping import readings

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "experiments"))

import leave_people_out

_PEOPLE = ["ann", "bob", "ann", "cid", "dee", "cid", "cid"]


def test_photographs_of_a_person_share_a_fold():
  folds = leave_people_out.deal(_PEOPLE, 3)
  assert folds[0] == folds[2] and folds[3] == folds[5] == folds[6]
  assert set(folds) == {0, 1, 2}
  # Whoever else is there in what order: the fold follows from the names.
  order = [3, 0, 4, 1, 6, 2, 5]
  again = leave_people_out.deal([_PEOPLE[k] for k in order], 3)
  np.testing.assert_array_equal(again, folds[order])


def test_more_folds_than_people_are_refused():
  with pytest.raises(ValueError, match="--folds is 5, but there are 4 people"):
    leave_people_out.deal(_PEOPLE, 5)


def _reading(fold, number):
  """Errors that name their fold, round and photograph."""
  values = 100.0 * fold + 10.0 * number + np.arange(len(_PEOPLE))
  return readings.Reading(
    codes=np.zeros((len(_PEOPLE), 1)),
    color=values,
    landmark=values + 0.5,
    bank=np.zeros((len(_PEOPLE), 1)),
    kept=np.ones(len(_PEOPLE), bool),
    synthetic={
      name: np.full(3, 100.0 * fold + number) for name in readings.SYNTHETIC
    },
  )


def test_each_is_judged_by_the_encoder_that_has_not_seen_it():
  folds = leave_people_out.deal(_PEOPLE, 2)
  found = [[_reading(fold, number) for number in (0, 1)] for fold in (0, 1)]
  table = {
    (row.examples, row.name): row.values
    for row in leave_people_out.pooled(folds, _PEOPLE, found)
  }
  values = table["4 people, each held out once", "color"]
  places = {"ann": [0, 2], "bob": [1], "cid": [3, 5, 6], "dee": [4]}
  for column, (person, rows) in enumerate(places.items()):
    fold = folds[_PEOPLE.index(person)]
    for number in (0, 1):
      wanted = 100.0 * fold + 10.0 * number + np.mean(rows)
      np.testing.assert_allclose(values[number, column], wanted)
  # Synthetic faces: the mean over the encoders.
  synthetic = table["synthetic faces", "vertex_mm"]
  np.testing.assert_allclose(synthetic, [[50.0] * 3, [51.0] * 3])
