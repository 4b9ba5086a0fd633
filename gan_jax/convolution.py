"""Convolution as a matrix product.

XLA's fast convolution kernels on CPU miss the gradient convolutions inside
``scan``, and under ``vmap`` over seeds ``lax.conv`` becomes a grouped convolution.
A convolution written as shifted slices and one matrix product is fast in both, and
in every derivative, because its derivatives are slices and matrix products again.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import linen as nn

# From here on, copying whole patches costs more than some products of zero use.
_FEW_CHANNELS = 64


def conv2d(
    x: jax.Array, kernel: jax.Array, *, stride: int = 1, padding: int = 0
) -> jax.Array:
    """Cross-correlates a batch of images with a kernel, as ``lax.conv`` does.

    Args:
      x: images, ``[..., height, width, channels]``.
      kernel: ``[size, size, channels, features]``.
      stride: step of the output grid, the same along both axes.
      padding: zeros added on each side of both axes.

    Returns:
      ``[..., out_height, out_width, features]``, where
      ``out = (in + 2 * padding - size) // stride + 1``.
    """
    *batch, height, width, channels = x.shape
    size, _, _, features = kernel.shape
    out_h = (height + 2 * padding - size) // stride + 1
    out_w = (width + 2 * padding - size) // stride + 1
    # A strided convolution is one of stride 1 on blocks of stride x stride pixels:
    # the kernel is padded to whole blocks, the image to just what they cover.
    taps = -(-size // stride)
    rows, cols = (out_h + taps - 1) * stride, (out_w + taps - 1) * stride
    pad_h, pad_w = rows - height - padding, cols - width - padding
    zero = jnp.zeros((), x.dtype)
    edges = [(0, 0, 0)] * len(batch)
    x = jax.lax.pad(
        x, zero, [*edges, (padding, pad_h, 0), (padding, pad_w, 0), (0, 0, 0)]
    )
    if stride > 1:
        x = space_to_depth(x, stride)
        grow = taps * stride - size
        kernel = jnp.pad(kernel, ((0, grow), (0, grow), (0, 0), (0, 0)))
        kernel = space_to_depth(kernel.transpose(2, 3, 0, 1)[..., None], stride)
        kernel = kernel.transpose(2, 3, 4, 0, 1)
        kernel = kernel.reshape(taps, taps, stride * stride * channels, features)
    if features < channels:
        return _multiply_then_shift(x, kernel, out_h, out_w)
    if x.shape[-1] > _FEW_CHANNELS:
        return _shift_down_multiply_shift_across(x, kernel, out_h, out_w)
    return _shift_then_multiply(x, kernel, out_h, out_w)


def _shift_then_multiply(
    x: jax.Array, kernel: jax.Array, out_h: int, out_w: int
) -> jax.Array:
    """Gathers each output's patch, then one product; few channels in."""
    taps, _, channels, features = kernel.shape
    patches = jnp.concatenate(
        [
            x[..., i : i + out_h, j : j + out_w, :]
            for i in range(taps)
            for j in range(taps)
        ],
        axis=-1,
    )
    return _product(patches, kernel.reshape(taps * taps * channels, features))


def _shift_down_multiply_shift_across(
    x: jax.Array, kernel: jax.Array, out_h: int, out_w: int
) -> jax.Array:
    """Gathers along the height, adds shifts along the width; many channels in.

    Between the other two: patches half as large, for an eighth more products.
    """
    taps, _, channels, features = kernel.shape
    columns = jnp.concatenate(
        [x[..., i : i + out_h, :, :] for i in range(taps)], axis=-1
    )
    kernel = kernel.transpose(0, 2, 1, 3).reshape(taps * channels, taps * features)
    products = jnp.split(_product(columns, kernel), taps, axis=-1)
    return sum(products[j][..., j : j + out_w, :] for j in range(taps))


def _multiply_then_shift(
    x: jax.Array, kernel: jax.Array, out_h: int, out_w: int
) -> jax.Array:
    """One product for all taps, then adds their shifts; few features out."""
    taps, _, channels, features = kernel.shape
    kernel = kernel.transpose(2, 0, 1, 3).reshape(channels, taps * taps * features)
    # `split`, because its transpose is one concatenation; slices would transpose
    # to a sum of padded arrays, twice the time of the whole backward pass.
    products = jnp.split(_product(x, kernel), taps * taps, axis=-1)
    return sum(
        products[i * taps + j][..., i : i + out_h, j : j + out_w, :]
        for i in range(taps)
        for j in range(taps)
    )


def _product(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """``x @ kernel`` over the last axis, as one product of two matrices."""
    flat = x.reshape(-1, x.shape[-1]) @ kernel
    return flat.reshape(*x.shape[:-1], kernel.shape[-1])


def space_to_depth(x: jax.Array, block: int) -> jax.Array:
    """Moves blocks of pixels into channels: ``[..., H, W, C]`` to
    ``[..., H / block, W / block, block * block * C]``."""
    *batch, height, width, channels = x.shape
    n = len(batch)
    x = x.reshape(*batch, height // block, block, width // block, block, channels)
    x = x.transpose(*range(n), n, n + 2, n + 1, n + 3, n + 4)
    return x.reshape(*batch, height // block, width // block, block * block * channels)


def pixel_shuffle(x: jax.Array, block: int) -> jax.Array:
    """Moves channels into blocks of pixels, the inverse of `space_to_depth`:
    ``[..., H, W, block * block * C]`` to ``[..., H * block, W * block, C]``
    (Shi et al. 2016, https://arxiv.org/abs/1609.05158)."""
    *batch, height, width, channels = x.shape
    n = len(batch)
    x = x.reshape(*batch, height, width, block, block, channels // block**2)
    x = x.transpose(*range(n), n, n + 2, n + 1, n + 3, n + 4)
    return x.reshape(*batch, height * block, width * block, channels // block**2)


class Conv(nn.Module):
    """A convolution layer; parameters named and shaped like `flax.linen.Conv`'s.

    Attributes:
      features: number of output channels.
      kernel_size: side of the square kernel, in pixels.
      stride: step of the output grid, in pixels.
      padding: zeros added on each side, in pixels.
      kernel_init: initialiser of the kernel; the bias starts at 0.
      dtype: type of the computation; None for that of input and parameters.
      param_dtype: type of the parameters.
    """

    features: int
    kernel_size: int
    stride: int = 1
    padding: int = 0
    kernel_init: Callable = nn.initializers.lecun_normal()
    dtype: jnp.dtype | None = None
    param_dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """``[..., H, W, C]`` to ``[..., H', W', features]``."""
        shape = (self.kernel_size, self.kernel_size, x.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape, self.param_dtype)
        bias = self.param(
            "bias", nn.initializers.zeros, (self.features,), self.param_dtype
        )
        x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.dtype)
        y = conv2d(x, kernel, stride=self.stride, padding=self.padding)
        return y + jnp.expand_dims(bias, range(y.ndim - 1))
