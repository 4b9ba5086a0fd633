"""Convolutions that halve or double height and width, and a binomial filter that does.

A nearest upsampling before a convolution, or a mean over blocks behind one, is part of
a single strided convolution with a kernel that is one pixel larger: 4/9 of the products
for a kernel of 3 x 3, and no array of the larger size in between.
"""

import jax
import jax.numpy as jnp

from gan_jax import backend
from gan_jax.networks.convolution import conv2d

Array = jax.Array


def conv2d_transpose(x: Array, kernel: Array, *, stride: int, padding: int) -> Array:
    """A strided convolution the other way, as `flax.linen.ConvTranspose` computes it.

    It is the transpose of `conv2d`, and so made of the same products.

    Args:
      x: ``[..., height, width, channels]``.
      kernel: ``[size, size, channels, features]``.
      stride: of the input's pixels on the output grid.
      padding: of the convolution that this is the transpose of, in pixels.

    Returns:
      ``[..., out_height, out_width, features]``, where
      ``out = (in - 1) * stride + size - 2 * padding``.
    """
    *batch, height, width, _ = x.shape
    size, _, _, features = kernel.shape
    if backend.kind() == "onnx":  # whose writer gives a transpose no stride
        return _spread_conv2d(x, kernel, stride, size - 1 - padding)
    sides = [(n - 1) * stride + size - 2 * padding for n in (height, width)]
    flipped = kernel[::-1, ::-1].transpose(0, 1, 3, 2)

    def forward(y: Array) -> Array:
        return conv2d(y, flipped, stride=stride, padding=padding)

    like = jax.ShapeDtypeStruct((*batch, *sides, features), x.dtype)
    return jax.linear_transpose(forward, like)(x)[0]


def _spread_conv2d(x: Array, kernel: Array, stride: int, padding: int) -> Array:
    """Zeros between the pixels, and a convolution."""
    *batch, height, width, channels = x.shape
    n = len(batch)
    for axis in (n + 1, n + 3):
        x = jnp.expand_dims(x, axis)
        x = jnp.concatenate([x, *[jnp.zeros_like(x)] * (stride - 1)], axis=axis)
    x = x.reshape(*batch, height * stride, width * stride, channels)
    x = x[..., : (height - 1) * stride + 1, : (width - 1) * stride + 1, :]
    return conv2d(x, kernel, padding=padding)


def upsampled_conv2d(x: Array, kernel: Array) -> Array:
    """``conv2d(nearest upsampling of x by 2, kernel)`` of the same size.

    Args:
      x: ``[..., height, width, channels]``.
      kernel: ``[size, size, channels, features]``, of an odd size.

    Returns:
      ``[..., 2 * height, 2 * width, features]``.
    """
    padding = (kernel.shape[0] - 1) // 2
    return conv2d_transpose(x, _twice(kernel), stride=2, padding=padding)


def mean_pooled_conv2d(x: Array, kernel: Array) -> Array:
    """The means over blocks of 2 x 2 pixels of a ``conv2d`` of the same size.

    Args:
      x: ``[..., height, width, channels]``, of even sides.
      kernel: ``[size, size, channels, features]``, of an odd size.

    Returns:
      ``[..., height / 2, width / 2, features]``.
    """
    padding = (kernel.shape[0] - 1) // 2
    return conv2d(x, _twice(kernel) / 4, stride=2, padding=padding)


def _twice(kernel: Array) -> Array:
    """The kernel and itself, moved by one pixel along each axis, added up."""
    kernel = jnp.pad(kernel, ((1, 1), (1, 1), (0, 0), (0, 0)))
    kernel = kernel[1:] + kernel[:-1]
    return kernel[:, 1:] + kernel[:, :-1]


def upsample_nearest(x: Array) -> Array:
    """Each pixel as a block of 2 x 2: ``[..., H, W, C]`` to ``[..., 2H, 2W, C]``."""
    return jnp.repeat(jnp.repeat(x, 2, axis=-3), 2, axis=-2)


def mean_pool(x: Array) -> Array:
    """Means of blocks of 2 x 2: ``[..., H, W, C]`` to ``[..., H / 2, W / 2, C]``."""
    *batch, height, width, channels = x.shape
    x = x.reshape(*batch, height // 2, 2, width // 2, 2, channels)
    return jnp.mean(x, axis=(-4, -2))


def upsample_bilinear(x: Array) -> Array:
    """Doubles the sides with the filter [1, 3, 3, 1] / 4 along each, zeros outside.

    Args:
      x: ``[..., height, width, channels]``.

    Returns:
      ``[..., 2 * height, 2 * width, channels]``: pixel 2i is three parts of pixel i and
      one of pixel i - 1, pixel 2i + 1 three parts of pixel i and one of pixel i + 1.

    Source: Huang et al. 2024 (R3GAN), https://arxiv.org/abs/2501.05441; their code
    gives the filter as [1, 2, 1], which it convolves with [1, 1].
    """
    for axis in (x.ndim - 3, x.ndim - 2):
        before, after = _shifted(x, 1, axis), _shifted(x, -1, axis)
        pairs = jnp.stack([(before + 3 * x) / 4, (3 * x + after) / 4], axis=axis + 1)
        x = pairs.reshape(*x.shape[:axis], 2 * x.shape[axis], *x.shape[axis + 1 :])
    return x


def downsample_bilinear(x: Array) -> Array:
    """Halves the sides with the filter [1, 3, 3, 1] / 8 along each, zeros outside.

    A quarter of the transpose of `upsample_bilinear`.

    Args:
      x: ``[..., height, width, channels]``, of even sides.

    Returns:
      ``[..., height / 2, width / 2, channels]``; pixel i is centred between pixels 2i
      and 2i + 1.
    """
    for axis in (x.ndim - 3, x.ndim - 2):
        pairs = x.reshape(*x.shape[:axis], -1, 2, *x.shape[axis + 1 :])
        even = jax.lax.index_in_dim(pairs, 0, axis + 1, keepdims=False)
        odd = jax.lax.index_in_dim(pairs, 1, axis + 1, keepdims=False)
        before, after = _shifted(odd, 1, axis), _shifted(even, -1, axis)
        x = (before + 3 * (even + odd) + after) / 8
    return x


def _shifted(x: Array, by: int, axis: int) -> Array:
    """Moved by one along an axis; zeros come in."""
    if backend.kind() == "onnx":  # of a batch of any size, its writer cannot pad
        kept = [slice(None)] * x.ndim
        kept[axis] = slice(None, -1) if by > 0 else slice(1, None)
        zeros = jnp.zeros_like(jax.lax.slice_in_dim(x, 0, 1, axis=axis))
        parts = [zeros, x[tuple(kept)]]
        return jnp.concatenate(parts[::by], axis=axis)
    edges = [(0, 0, 0)] * x.ndim
    edges[axis] = (by, -by, 0)
    return jax.lax.pad(x, jnp.zeros((), x.dtype), edges)
