"""How many steps --refine asks for."""

from absl import flags
from absl.testing import flagsaver
import pytest

from facerec_jax import photo_flags

photo_flags.define_refine()


@pytest.mark.parametrize(
  "given, photographs, films",
  ((None, photo_flags.REFINE_STEPS, 0), (0, 0, 0), (7, 7, 7)),
)
def test_photographs_are_refined_unless_told_otherwise(
  given, photographs, films
):
  if not flags.FLAGS.is_parsed():
    flags.FLAGS.mark_as_parsed()
  with flagsaver.flagsaver(refine=given):
    assert photo_flags.refine_steps() == photographs
    assert photo_flags.refine_steps(0) == films
