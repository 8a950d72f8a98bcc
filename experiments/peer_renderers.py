"""Other renderers that draw triangle indices, where they are installed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def installed(size: int) -> dict[str, Callable]:
  """Functions (screen [V, 3], triangles [T, 3]) -> ids [size, size]."""
  peers = {"OpenCV painter": Painter(size)}
  try:
    peers["moderngl"] = OpenGL(size)
  except Exception as error:  # noqa: BLE001 - no package, or no driver.
    print(f"  moderngl left out: {error}")
  return peers


def front_faces(screen, triangles) -> np.ndarray:
  """Indices of the triangles that are seen from their front."""
  a, b, c = (screen[triangles[:, corner], :2] for corner in range(3))
  (ux, uy), (vx, vy) = (b - a).T, (c - a).T
  return np.flatnonzero(ux * vy - uy * vx < 0)


class Painter:
  """Fills triangles from back to front, one by one."""

  def __init__(self, size: int):
    """Draws square images of that side."""
    self._size = size

  def __call__(self, screen, triangles) -> np.ndarray:
    """Draws triangle indices, -1 where there is none."""
    import cv2

    shown = front_faces(screen, triangles)
    depth = screen[triangles[shown], 2].mean(axis=1)
    shown = shown[np.argsort(-depth)]
    # OpenCV counts in 1/16 px and has pixel centres at whole numbers.
    corners = np.round((screen[triangles[shown], :2] - 0.5) * 16)
    ids = np.full((self._size, self._size), -1, np.int32)
    for index, polygon in zip(
      shown.tolist(), corners.astype(np.int32), strict=True
    ):
      cv2.fillConvexPoly(ids, polygon, index, shift=4)
    return ids


_VERTEX = """
#version 330
in vec3 screen;
uniform vec2 size;
uniform vec2 depths;
void main() {
  float z = (depths.y + depths.x - 2.0 * depths.x * depths.y / screen.z)
    / (depths.y - depths.x);
  gl_Position = vec4(2.0 * screen.xy / size - 1.0, z, 1.0) * screen.z;
}
"""
_FRAGMENT = """
#version 330
out int id;
void main() { id = gl_PrimitiveID; }
"""


class OpenGL:
  """OpenGL without a window; on a machine without a GPU, Mesa's llvmpipe."""

  def __init__(self, size: int):
    """Opens a context; raises where moderngl or a driver is missing."""
    import moderngl

    self._gl = moderngl
    context = moderngl.create_standalone_context(backend="egl")
    self._context = context
    self._program = context.program(
      vertex_shader=_VERTEX, fragment_shader=_FRAGMENT
    )
    self._size = size
    self._target = context.texture((size, size), 1, dtype="i4")
    self._frame = context.framebuffer(
      [self._target], context.depth_renderbuffer((size, size))
    )

  def __call__(self, screen, triangles) -> np.ndarray:
    """Draws triangle indices, -1 where there is none."""
    context, gl = self._context, self._gl
    depth = screen[:, 2]
    self._program["size"] = (self._size, self._size)
    self._program["depths"] = (depth.min() * 0.999, depth.max() * 1.001)
    vertices = context.buffer(screen.astype("f4").tobytes())
    indices = context.buffer(triangles.astype("i4").tobytes())
    mesh = context.vertex_array(
      self._program, [(vertices, "3f", "screen")], indices
    )
    self._frame.use()
    context.enable(gl.DEPTH_TEST | gl.CULL_FACE)
    # Rows count downwards here, upwards in OpenGL: windings are mirrored.
    context.front_face = "cw"
    self._frame.clear(depth=1.0)
    self._target.write(np.full((self._size,) * 2, -1, np.int32).tobytes())
    mesh.render(gl.TRIANGLES)
    ids = np.frombuffer(self._target.read(), np.int32)
    for resource in (mesh, vertices, indices):
      resource.release()
    return ids.reshape(self._size, self._size).copy()
