"""3D faces from photographs, learned from a morphable model alone.

Conventions, stated once for the whole package:

* Frame: right-handed; x to the image right (the subject's left), y up, z
  toward the camera. Unit: millimetre. A model's origin is the sellion.
* Camera: at the origin, looking along -z. A point (x, y, z) is seen at the
  pixel (column, row) = (cx + f x / -z, cy - f y / -z); pixel centres lie at
  +0.5, so the image spans [0, width] x [0, height].
* Rotation: (pitch, yaw, roll) in radians, R = Rz(roll) Rx(-pitch) Ry(yaw) on
  column vectors: +yaw turns the face to the image right, +pitch raises the
  chin, +roll tilts the head counter-clockwise in the image. Translation: mm, of
  the model's origin, in the camera frame.
* Coefficients: in standard deviations (each basis column carries its own
  sigma). Blendshape-type expression columns lie in [0, 1];
  `MorphableModel.expression_kind` says which.
* Colour: albedo and light are linear RGB; sRGB encoding happens once, at the
  edge of the renderer. Images are float32 in [0, 1].
* Illumination: [9, 3] real spherical-harmonics radiance coefficients of order 2
  in the camera frame; L_0 = 3.5449 alone (a white furnace) gives shading 1.
* Names: `identity`, `expression`, `albedo`, `rotation`, `translation`,
  `illumination` are the groups of a code (`CodeVector`), flat [D]; `model` is
  the morphable model, `encoder` the network, `key` randomness. Axis letters:
  B batch, V vertices, T triangles, D code, H x W pixels, M rows of a code bank.
"""

__version__ = "0.1.0"
