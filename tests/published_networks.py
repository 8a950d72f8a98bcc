"""The published networks in NumPy, from their layers in Keras and torchvision.

An oracle: nothing is shared with the package. Each network draws its weights
itself, under the names that its library gives them, as it runs.
"""

import numpy as np

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Weights(dict):
  """Arrays by name, drawn when a network first asks for them."""

  def __init__(self, seed=0):
    super().__init__()
    self._random = np.random.default_rng(seed)

  def kernel(self, name, shape, fan_in):
    draw = self._random.standard_normal(shape) * (1.5 / fan_in) ** 0.5
    return np.float64(self.setdefault(name, np.float32(draw)))

  def vector(self, name, size, low=-0.3, high=0.3):
    draw = self._random.uniform(low, high, size)
    return np.float64(self.setdefault(name, np.float32(draw)))


def relu(x):
  return np.maximum(x, 0)


def _views(x, size, stride, pads, fill=0.0):
  """[B, rows, columns, C, h, w] of images [B, H, W, C]."""
  x = np.pad(x, ((0, 0), *pads, (0, 0)), constant_values=fill)
  views = np.lib.stride_tricks.sliding_window_view(x, size, axis=(1, 2))
  return views[:, ::stride, ::stride]


def _same(x, size, stride):
  """TensorFlow's padding."""
  pads = []
  for pixels, width in zip(x.shape[1:3], size, strict=True):
    total = max((-(-pixels // stride) - 1) * stride + width - pixels, 0)
    pads.append((total // 2, total - total // 2))
  return pads


class Torchvision:
  """torchvision's layers on images [B, H, W, C] and weights [O, I, h, w]."""

  def __init__(self, seed=0, epsilon=1e-5):
    self.weights = Weights(seed)
    self._epsilon = epsilon

  def conv(self, x, name, width, size, stride=1, padding=(0, 0)):
    shape = (width, x.shape[-1], *size)
    kernel = self.weights.kernel(f"{name}.weight", shape, np.prod(shape[1:]))
    views = _views(x, size, stride, [(p, p) for p in padding])
    return np.einsum("byxcij,ocij->byxo", views, kernel, optimize=True)

  def norm(self, x, name):
    size, vector = x.shape[-1], self.weights.vector
    mean = vector(f"{name}.running_mean", size)
    var = vector(f"{name}.running_var", size, 0.5, 2)
    scale = vector(f"{name}.weight", size, 0.5, 1.5)
    bias = vector(f"{name}.bias", size)
    self.weights[f"{name}.num_batches_tracked"] = np.int64(7)
    return (x - mean) / np.sqrt(var + self._epsilon) * scale + bias

  def resnet(self, images, block_sizes, width, *, bottleneck):
    x = (images - _MEAN) / _STD
    x = relu(self.norm(self.conv(x, "conv1", width, (7, 7), 2, (3, 3)), "bn1"))
    x = _views(x, (3, 3), 2, [(1, 1)] * 2, -np.inf).max((-2, -1))
    for stage, count in enumerate(block_sizes):
      for index in range(count):
        stride = 2 if stage and not index else 1
        x = self._resnet_block(
          x, f"layer{stage + 1}.{index}", width * 2**stage, stride, bottleneck
        )
    self.weights.kernel("fc.weight", (10, x.shape[-1]), 1)
    self.weights.vector("fc.bias", 10)
    return x.mean((1, 2))

  def _resnet_block(self, x, name, width, stride, bottleneck):
    steps = [(width, 3, stride), (width, 3, 1)]
    if bottleneck:
      steps = [(width, 1, 1), (width, 3, stride), (4 * width, 1, 1)]
    y = x
    for number, (outputs, size, step) in enumerate(steps, start=1):
      y = self.conv(
        relu(y) if number > 1 else y,
        f"{name}.conv{number}",
        outputs,
        (size, size),
        step,
        (size // 2,) * 2,
      )
      y = self.norm(y, f"{name}.bn{number}")
    if y.shape != x.shape:
      x = self.conv(x, f"{name}.downsample.0", y.shape[-1], (1, 1), stride)
      x = self.norm(x, f"{name}.downsample.1")
    return relu(x + y)

  def inception(self, images, width):
    def conv(x, name, outputs, size=(1, 1), stride=1, padding=(0, 0)):
      outputs = round(outputs * width)
      x = self.conv(x, f"{name}.conv", outputs, size, stride, padding)
      return relu(self.norm(x, f"{name}.bn"))

    def largest(x):
      return _views(x, (3, 3), 2, [(0, 0)] * 2).max((-2, -1))

    def pool(x, name, outputs):
      mean = _views(x, (3, 3), 1, [(1, 1)] * 2).mean((-2, -1))
      return conv(mean, f"{name}.branch_pool", outputs)

    three, five = ((3, 3), 1, (1, 1)), ((5, 5), 1, (2, 2))
    row, column = ((1, 7), 1, (0, 3)), ((7, 1), 1, (3, 0))
    x = 2 * images - 1
    x = conv(x, "Conv2d_1a_3x3", 32, (3, 3), 2)
    x = conv(x, "Conv2d_2a_3x3", 32, (3, 3))
    x = largest(conv(x, "Conv2d_2b_3x3", 64, *three))
    x = conv(x, "Conv2d_3b_1x1", 80)
    x = largest(conv(x, "Conv2d_4a_3x3", 192, (3, 3)))
    for name, pooled in (("5b", 32), ("5c", 64), ("5d", 64)):
      name = f"Mixed_{name}"
      b = conv(
        conv(x, f"{name}.branch5x5_1", 48), f"{name}.branch5x5_2", 64, *five
      )
      c = conv(x, f"{name}.branch3x3dbl_1", 64)
      c = conv(c, f"{name}.branch3x3dbl_2", 96, *three)
      c = conv(c, f"{name}.branch3x3dbl_3", 96, *three)
      a, d = conv(x, f"{name}.branch1x1", 64), pool(x, name, pooled)
      x = np.concatenate([a, b, c, d], -1)
    a = conv(x, "Mixed_6a.branch3x3", 384, (3, 3), 2)
    b = conv(x, "Mixed_6a.branch3x3dbl_1", 64)
    b = conv(b, "Mixed_6a.branch3x3dbl_2", 96, *three)
    b = conv(b, "Mixed_6a.branch3x3dbl_3", 96, (3, 3), 2)
    x = np.concatenate([a, b, largest(x)], -1)
    for name, inner in (("6b", 128), ("6c", 160), ("6d", 160), ("6e", 192)):
      name = f"Mixed_{name}"
      a = conv(x, f"{name}.branch1x1", 192)
      b = conv(x, f"{name}.branch7x7_1", inner)
      b = conv(b, f"{name}.branch7x7_2", inner, *row)
      b = conv(b, f"{name}.branch7x7_3", 192, *column)
      c = conv(x, f"{name}.branch7x7dbl_1", inner)
      c = conv(c, f"{name}.branch7x7dbl_2", inner, *column)
      c = conv(c, f"{name}.branch7x7dbl_3", inner, *row)
      c = conv(c, f"{name}.branch7x7dbl_4", inner, *column)
      c = conv(c, f"{name}.branch7x7dbl_5", 192, *row)
      x = np.concatenate([a, b, c, pool(x, name, 192)], -1)
    a = conv(x, "Mixed_7a.branch3x3_1", 192)
    a = conv(a, "Mixed_7a.branch3x3_2", 320, (3, 3), 2)
    b = conv(x, "Mixed_7a.branch7x7x3_1", 192)
    b = conv(b, "Mixed_7a.branch7x7x3_2", 192, *row)
    b = conv(b, "Mixed_7a.branch7x7x3_3", 192, *column)
    b = conv(b, "Mixed_7a.branch7x7x3_4", 192, (3, 3), 2)
    x = np.concatenate([a, b, largest(x)], -1)
    for name in ("Mixed_7b", "Mixed_7c"):
      a = conv(x, f"{name}.branch1x1", 320)
      b = conv(x, f"{name}.branch3x3_1", 384)
      c = conv(x, f"{name}.branch3x3dbl_1", 448)
      c = conv(c, f"{name}.branch3x3dbl_2", 384, *three)
      parts = [a]
      for y, stem in ((b, "branch3x3_2"), (c, "branch3x3dbl_3")):
        parts.append(conv(y, f"{name}.{stem}a", 384, (1, 3), 1, (0, 1)))
        parts.append(conv(y, f"{name}.{stem}b", 384, (3, 1), 1, (1, 0)))
      x = np.concatenate([*parts, pool(x, name, 192)], -1)
    self.weights.kernel("AuxLogits.conv0.conv.weight", (2, 3, 1, 1), 3)
    self.weights.vector("fc.bias", 10)
    return x.mean((1, 2))


class Keras:
  """The layers of Keras on images [B, H, W, C] and weights [h, w, I, O]."""

  def __init__(self, seed=0, first_number=0):
    self.weights = Weights(seed)
    self._numbers = {
      "conv2d": first_number,
      "batch_normalization": first_number,
    }

  def _next(self, base):
    number = self._numbers[base]
    self._numbers[base] += 1
    return f"{base}_{number}" if number else base

  def conv(self, x, name, width, size, stride=1, padding="SAME", *, bias=False):
    name = name or self._next("conv2d")
    shape = (*size, x.shape[-1], width)
    kernel = self.weights.kernel(f"{name}/kernel", shape, np.prod(shape[:3]))
    pads = _same(x, size, stride) if padding == "SAME" else [(0, 0)] * 2
    views = _views(x, size, stride, pads)
    y = np.einsum("byxcij,ijco->byxo", views, kernel, optimize=True)
    return y + self.weights.vector(f"{name}/bias", width) if bias else y

  def norm(self, x, name, *, epsilon=1e-3, scale=True):
    name, size = name or self._next("batch_normalization"), x.shape[-1]
    vector = self.weights.vector
    mean = vector(f"{name}/moving_mean", size)
    var = vector(f"{name}/moving_variance", size, 0.5, 2)
    x = (x - mean) / np.sqrt(var + epsilon)
    if scale:
      x = x * vector(f"{name}/gamma", size, 0.5, 1.5)
    return x + vector(f"{name}/beta", size)

  def resnet(self, images, block_sizes, width):
    def layer(x, name, width, size, stride=1, padding="SAME"):
      x = self.conv(
        x, f"{name}_conv", width, (size, size), stride, padding, bias=True
      )
      return self.norm(x, f"{name}_bn", epsilon=1.001e-5)

    x = 255.0 * images[..., ::-1] - np.array([103.939, 116.779, 123.68])
    x = np.pad(x, ((0, 0), (3, 3), (3, 3), (0, 0)))
    x = relu(layer(x, "conv1", width, 7, 2, "VALID"))
    x = _views(x, (3, 3), 2, [(1, 1)] * 2).max((-2, -1))
    for stage, count in enumerate(block_sizes):
      for index in range(count):
        name = f"conv{stage + 2}_block{index + 1}"
        stride = 2 if stage and not index else 1
        inner = width * 2**stage
        shortcut = x if index else layer(x, f"{name}_0", 4 * inner, 1, stride)
        x = relu(layer(x, f"{name}_1", inner, 1, stride))
        x = relu(layer(x, f"{name}_2", inner, 3))
        x = relu(shortcut + layer(x, f"{name}_3", 4 * inner, 1))
    self.weights.kernel("predictions/kernel", (x.shape[-1], 10), 1)
    return x.mean((1, 2))

  def separable(self, x, name, width):
    channels = x.shape[-1]
    depth = self.weights.kernel(
      f"{name}/depthwise_kernel", (3, 3, channels, 1), 9
    )
    point = self.weights.kernel(
      f"{name}/pointwise_kernel", (1, 1, channels, width), channels
    )
    views = _views(x, (3, 3), 1, [(1, 1)] * 2)
    y = np.einsum("byxcij,ijc->byxc", views, depth[..., 0]) @ point[0, 0]
    return self.norm(y, f"{name}_bn")

  def xception(self, images, scale, middle_blocks):
    def width(channels):
      return round(scale * channels)

    def largest(x):
      return _views(x, (3, 3), 2, _same(x, (3, 3), 2), -np.inf).max((-2, -1))

    def reduce(x, block, first, second):
      shortcut = self.conv(x, None, width(second), (1, 1), 2)
      shortcut = self.norm(shortcut, None)
      y = x if block == 2 else relu(x)
      y = self.separable(y, f"block{block}_sepconv1", width(first))
      y = self.separable(relu(y), f"block{block}_sepconv2", width(second))
      return largest(y) + shortcut

    x = 2 * images - 1
    for name, channels, stride in (("conv1", 32, 2), ("conv2", 64, 1)):
      name = f"block1_{name}"
      x = self.conv(x, name, width(channels), (3, 3), stride, "VALID")
      x = relu(self.norm(x, f"{name}_bn"))
    for block, channels in ((2, 128), (3, 256), (4, 728)):
      x = reduce(x, block, channels, channels)
    for block in range(5, 5 + middle_blocks):
      y = x
      for index in (1, 2, 3):
        name = f"block{block}_sepconv{index}"
        y = self.separable(relu(y), name, x.shape[-1])
      x = x + y
    x = reduce(x, 13, 728, 1024)
    for index, channels in ((1, 1536), (2, 2048)):
      x = relu(self.separable(x, f"block14_sepconv{index}", width(channels)))
    return x.mean((1, 2))

  def inception(self, images, scale):
    def conv(x, width, rows, columns, stride=1, padding="SAME"):
      size, width = (rows, columns), round(scale * width)
      x = self.conv(x, None, width, size, stride, padding)
      return relu(self.norm(x, None, scale=False))

    def chain(x, *steps):
      for step in steps:
        x = conv(x, *step)
      return x

    def largest(x):
      return _views(x, (3, 3), 2, [(0, 0)] * 2).max((-2, -1))

    def pool(x, width):
      pads = [(1, 1)] * 2
      inside = _views(np.ones_like(x[:1, :, :, :1]), (3, 3), 1, pads)
      total = _views(x, (3, 3), 1, pads).sum((-2, -1))
      return conv(total / inside.sum((-2, -1)), width, 1, 1)

    valid = (2, "VALID")
    x = chain(
      2 * images - 1,
      (32, 3, 3, *valid),
      (32, 3, 3, 1, "VALID"),
      (64, 3, 3),
    )
    x = chain(largest(x), (80, 1, 1, 1, "VALID"), (192, 3, 3, 1, "VALID"))
    x = largest(x)
    for pooled in (32, 64, 64):
      a = conv(x, 64, 1, 1)
      b = chain(x, (48, 1, 1), (64, 5, 5))
      c = chain(x, (64, 1, 1), (96, 3, 3), (96, 3, 3))
      x = np.concatenate([a, b, c, pool(x, pooled)], -1)
    a = conv(x, 384, 3, 3, *valid)
    b = chain(x, (64, 1, 1), (96, 3, 3), (96, 3, 3, *valid))
    x = np.concatenate([a, b, largest(x)], -1)
    for n in (128, 160, 160, 192):
      a = conv(x, 192, 1, 1)
      b = chain(x, (n, 1, 1), (n, 1, 7), (192, 7, 1))
      c = chain(x, (n, 1, 1), (n, 7, 1), (n, 1, 7), (n, 7, 1), (192, 1, 7))
      x = np.concatenate([a, b, c, pool(x, 192)], -1)
    a = chain(x, (192, 1, 1), (320, 3, 3, *valid))
    b = chain(x, (192, 1, 1), (192, 1, 7), (192, 7, 1), (192, 3, 3, *valid))
    x = np.concatenate([a, b, largest(x)], -1)
    for _ in range(2):
      parts = [conv(x, 320, 1, 1)]
      b = conv(x, 384, 1, 1)
      parts += [conv(b, 384, 1, 3), conv(b, 384, 3, 1)]
      c = chain(x, (448, 1, 1), (384, 3, 3))
      parts += [conv(c, 384, 1, 3), conv(c, 384, 3, 1)]
      x = np.concatenate([*parts, pool(x, 192)], -1)
    return x.mean((1, 2))
