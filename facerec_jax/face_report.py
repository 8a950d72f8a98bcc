"""The part of a report page that shows a reconstructed face."""

from __future__ import annotations

from facerec_jax import trained_expression
from facerec_jax.results import codes
from facerec_jax.results import report


def face_section(title: str, folder: str, facts: dict) -> report.Section:
  """The part of a report page that shows a face.

  Args:
    title: heading.
    folder: of `write_face`, relative to the page.
    facts: from `write_face`.
  """
  captions = {
    "photo": "photograph",
    "overlay": "reconstruction over it",
    "face": "face alone over it",
    "before": "what the encoder read, before refinement",
    "rendering": "reconstruction",
    "geometry": "geometry alone",
    "left": "turned left, own light",
    "right": "turned right, own light",
    "input": "what the encoder read",
  }
  pitch, yaw, roll = facts["pose_degrees"]
  rows = [
    ("Pose", f"pitch {pitch:+.1f}°, yaw {yaw:+.1f}°, roll {roll:+.1f}°"),
    ("Colour difference", f"{100 * facts['photometric_error']:.1f} % of white"),
    ("Found by", f"{facts['detector']}, score {facts['score']:.2f}"),
  ]
  if facts["landmark_error"] is not None:
    error = f"{100 * facts['landmark_error']:.1f} % of the eyes' outer width"
    rows.insert(1, ("Landmark distance", error))
  if "shown_expression" in facts:
    named = trained_expression.format_description(facts["shown_expression"])
    rows.insert(0, ("Expression", named))
  refined = facts.get("refinement")
  if refined is None:
    del captions["before"]
  else:
    rows.insert(1, ("Refinement", _improvement(refined)))
    view = f"{facts[codes.FIELD_OF_VIEW]:.0f}° across the square"
    rows.append(("Perspective", view))
  names = ("mesh.glb", "mesh.obj", "mesh.ply", "code.json", "code.npz")
  links = [("3D view", "viewer.html"), *zip(names, names, strict=True)]
  return report.Section(
    title=title,
    figures=tuple(
      report.Figure(f"{folder}/{name}.png", caption)
      for name, caption in captions.items()
    ),
    facts=tuple(rows),
    files=tuple((label, f"{folder}/{name}") for label, name in links),
  )


def _improvement(refined):
  before, after = refined["before"], refined["after"]
  parts = [f"{refined['steps']} steps"]
  for name, label in (
    ("landmark_error", "landmarks"),
    ("photometric_error", "colour"),
  ):
    if name in before:
      parts.append(
        f"{label} {100 * before[name]:.1f} % → {100 * after[name]:.1f} %"
      )
  return ", ".join(parts)
