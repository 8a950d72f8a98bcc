import pathlib
import re

import numpy as np

import facerec_jax.render


def test_snippet_of_the_readme_draws_a_triangle():
  folder = pathlib.Path(facerec_jax.render.__file__).parent
  text = (folder / "README.md").read_text()
  (snippet,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
  names = {}
  exec(snippet, names)  # noqa: S102 - the project's own documentation.
  picture = np.asarray(names["picture"])
  assert picture.shape == (128, 128, 3)
  share = np.asarray(names["rendering"].mask).mean()
  assert 0.05 < share < 0.5
  # White light shows the albedo, which sums to 1 between pure colours.
  covered = np.asarray(names["rendering"].image)[names["rendering"].mask]
  np.testing.assert_allclose(covered.sum(axis=1), 1.0, atol=1e-4)
  assert (covered.max(axis=0) > 0.7).all()
