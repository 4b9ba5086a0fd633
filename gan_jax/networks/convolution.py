"""Convolution as a matrix product.

XLA's fast convolution kernels on CPU miss the gradient convolutions inside
``scan``, and under ``vmap`` over seeds ``lax.conv`` becomes a grouped convolution.
A convolution written as shifted slices and one matrix product is fast in both, and
in every derivative, because its derivatives are slices and matrix products again.

On a GPU a convolution of one network is cuDNN's, by ``lax.conv``: it launches fewer
kernels, and writes no patches. On a TPU every one is ``lax.conv``, which moves a
third of the bytes: patches would be padded to its tiles. So is every one of a program
that is exported. That is decided here and nowhere else.
"""

import contextlib
import contextvars
from collections.abc import Iterator

import jax
import jax.numpy as jnp

from gan_jax import backend

# Above, copying whole patches costs more than some products of zero use.
_FEW_CHANNELS = 12
# Up to here, in pixels, products of zero use cost more than copying whole patches.
_NARROW = 4

_as_products = contextvars.ContextVar("as_products", default=False)


@contextlib.contextmanager
def as_products() -> Iterator[None]:
    """Inside of it, convolutions are traced as matrix products on a GPU as well.

    For networks side by side under ``vmap``: theirs would be a grouped convolution.
    """
    token = _as_products.set(True)
    try:
        yield
    finally:
        _as_products.reset(token)


def _library_is_best() -> bool:
    if backend.kind() == "gpu":
        return not _as_products.get()
    return backend.kind() != "cpu"


def _lax_conv(
    x: jax.Array, kernel: jax.Array, stride: int, padding: int, groups: int = 1
) -> jax.Array:
    batch = x.shape[:-3]
    y = jax.lax.conv_general_dilated(
        x.reshape(-1, *x.shape[-3:]),
        kernel,
        window_strides=(stride, stride),
        padding=[(padding, padding)] * 2,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )
    return y.reshape(*batch, *y.shape[1:])


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
    if _library_is_best():
        return _lax_conv(x, kernel, stride, padding)
    *batch, height, width, channels = x.shape
    size, _, _, features = kernel.shape
    out_h = (height + 2 * padding - size) // stride + 1
    out_w = (width + 2 * padding - size) // stride + 1
    # What whole blocks of stride x stride pixels cover, so that a block is a pixel of
    # more channels and a strided convolution one of stride 1.
    taps = -(-size // stride)
    rows, cols = (out_h + taps - 1) * stride, (out_w + taps - 1) * stride
    pad_h, pad_w = rows - height - padding, cols - width - padding
    zero = jnp.zeros((), x.dtype)
    edges = [(0, 0, 0)] * len(batch)
    x = jax.lax.pad(
        x, zero, [*edges, (padding, pad_h, 0), (padding, pad_w, 0), (0, 0, 0)]
    )
    grow = taps * stride - size
    kernel = jnp.pad(kernel, ((0, grow), (0, grow), (0, 0), (0, 0)))
    enough = features >= channels or (stride == 1 and taps * features >= channels)
    many = enough and stride * stride * channels > _FEW_CHANNELS
    if many and out_w > _NARROW:
        return _shift_down_multiply_shift_across(x, kernel, stride, out_h, out_w)
    if stride > 1:
        x = space_to_depth(x, stride)
        kernel = space_to_depth(kernel.transpose(2, 3, 0, 1)[..., None], stride)
        kernel = kernel.transpose(2, 3, 4, 0, 1)
        kernel = kernel.reshape(taps, taps, stride * stride * channels, features)
    if features < channels and not many:
        return _multiply_then_shift(x, kernel, out_h, out_w)
    return _shift_then_multiply(x, kernel, out_h, out_w)


def grouped_conv2d(
    x: jax.Array, kernel: jax.Array, *, groups: int, stride: int = 1, padding: int = 0
) -> jax.Array:
    """A convolution of each group of channels with kernels of its own.

    One after another: on a CPU that takes half the time of one batched product, and a
    third of a product with the zeros between the groups.

    Args:
      x: ``[..., height, width, channels]``.
      kernel: ``[size, size, channels / groups, features]``, as `flax.linen.Conv` has it
        for its ``feature_group_count``.
      groups: divides channels and features.
      stride: step of the output grid, the same along both axes.
      padding: zeros added on each side of both axes.

    Returns:
      ``[..., out_height, out_width, features]``.
    """
    if _library_is_best():
        return _lax_conv(x, kernel, stride, padding, groups)
    parts = zip(
        jnp.split(x, groups, axis=-1), jnp.split(kernel, groups, axis=-1), strict=True
    )
    each = [conv2d(part, own, stride=stride, padding=padding) for part, own in parts]
    return jnp.concatenate(each, axis=-1)


def _shift_then_multiply(
    x: jax.Array, kernel: jax.Array, out_h: int, out_w: int
) -> jax.Array:
    """Gathers each output's patch, then one product; few channels in, or pixels out."""
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
    x: jax.Array, kernel: jax.Array, stride: int, out_h: int, out_w: int
) -> jax.Array:
    """Gathers along the height, adds shifts along the width; many channels in.

    Between the other two: patches half as large, for ``(taps - 1) / out_w`` more
    products. Blocks of pixels are needed along the width alone, where they are a mere
    reshape.
    """
    size, _, channels, features = kernel.shape
    taps = size // stride
    *batch, rows, cols, _ = x.shape
    x = x.reshape(*batch, rows, cols // stride, stride * channels)
    last = (out_h - 1) * stride + 1
    columns = jnp.concatenate(
        [x[..., i : i + last : stride, :, :] for i in range(size)], axis=-1
    )
    kernel = kernel.reshape(size, taps, stride * channels, features)
    inputs, outputs = size * stride * channels, taps * features
    if inputs > outputs:
        kernel = kernel.transpose(1, 3, 0, 2).reshape(outputs, inputs)
        products = _product_transposed(columns, kernel)
    else:
        kernel = kernel.transpose(0, 2, 1, 3).reshape(inputs, outputs)
        products = _product(columns, kernel)
    products = jnp.split(products, taps, axis=-1)
    return sum(products[j][..., j : j + out_w, :] for j in range(taps))


def _multiply_then_shift(
    x: jax.Array, kernel: jax.Array, out_h: int, out_w: int
) -> jax.Array:
    """One product for all taps, then adds their shifts; few features out."""
    taps, _, channels, features = kernel.shape
    kernel = kernel.transpose(0, 1, 3, 2).reshape(taps * taps * features, channels)
    # `split`, because its transpose is one concatenation; slices would transpose
    # to a sum of padded arrays, twice the time of the whole backward pass.
    products = jnp.split(_product_transposed(x, kernel), taps * taps, axis=-1)
    return sum(
        products[i * taps + j][..., i : i + out_h, j : j + out_w, :]
        for i in range(taps)
        for j in range(taps)
    )


def _product(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """``x @ kernel`` over the last axis, as one product of two matrices."""
    flat = x.reshape(-1, x.shape[-1]) @ kernel
    return flat.reshape(*x.shape[:-1], kernel.shape[-1])


def _product_transposed(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """``x @ kernel.T``: the same, whose weight gradient is dy^T x and not x^T dy.

    On a CPU, XLA takes two thirds of the time for these long sums when the matrix on
    the right is the wider one. The kernel must come from a reshape: XLA would undo a
    transpose that it could see.
    """
    flat = x.reshape(-1, x.shape[-1])
    flat = jax.lax.dot_general(flat, kernel, (((1,), (1,)), ((), ())))
    return flat.reshape(*x.shape[:-1], kernel.shape[0])


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


def shuffled_conv2d(
    x: jax.Array, kernel: jax.Array, *, block: int, padding: int
) -> jax.Array:
    """``conv2d(pixel_shuffle(x, block), kernel, padding=padding)`` of the same size.

    With few features it is computed on blocks of pixels, which a pixel of ``x``
    holds already: a kernel that is mostly zeros gives all pixels of a block at once,
    and no array with few channels is made.

    Args:
      x: ``[..., height, width, block * block * channels]``.
      kernel: ``[size, size, channels, features]``.
      block: side of the blocks, as in `pixel_shuffle`.
      padding: ``(size - 1) / 2``.

    Returns:
      ``[..., height * block, width * block, features]``.
    """
    size, _, channels, features = kernel.shape
    if features >= channels or _library_is_best():
        return conv2d(pixel_shuffle(x, block), kernel, padding=padding)
    before = -(-padding // block)  # blocks that the kernel reaches to, on both sides
    taps = 2 * before + 1
    # The kernel of pixel [a, b] of a block is the same, shifted by [a, b].
    starts = [before * block - padding + a for a in range(block)]
    ends = [taps * block - size - start for start in starts]
    shifts = list(zip(starts, ends, strict=True))
    shifted = [
        jnp.pad(kernel, (down, across, (0, 0), (0, 0)))
        for down in shifts
        for across in shifts
    ]
    kernel = jnp.stack(shifted, axis=-2)
    kernel = kernel.reshape(taps, block, taps, block, channels, block**2 * features)
    kernel = kernel.transpose(0, 2, 1, 3, 4, 5)
    kernel = kernel.reshape(taps, taps, block**2 * channels, block**2 * features)
    return pixel_shuffle(conv2d(x, kernel, padding=before), block)
