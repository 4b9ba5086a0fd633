"""The convolution and the reshapes against their definitions, and XLA's own."""

import math
from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from gan_jax.networks.convolution import (
    conv2d,
    pixel_shuffle,
    shuffled_conv2d,
    space_to_depth,
)
from gan_jax.networks.layers import Conv
from tests.rounding import assert_same_algebra, assert_sums

# (channels, features), one for each code path; a stride of 3 counts for nine times the
# channels.
FEW_TO_MANY, MANY_TO_FEW, MANY_TO_MANY = (2, 19), (3, 2), (65, 66)
PATHS = [FEW_TO_MANY, MANY_TO_FEW, MANY_TO_MANY]
# (height, size, stride, padding, channels, features) of the reference networks.
REFERENCE = [
    (14, 3, 1, 1, 16, 32),
    (28, 3, 1, 1, 8, 1),
    (28, 4, 2, 1, 1, 32),
    (14, 4, 2, 1, 32, 64),
]


def lax_conv(x, kernel, *, stride=1, padding=0):
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        [(padding, padding)] * 2,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        precision="highest",
    )


def inputs(image, size, channels, features, seed=0, dtype=np.float32):
    """Images and a kernel."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(*image, channels)).astype(dtype)
    return x, (rng.normal(size=(size, size, channels, features)) / size).astype(dtype)


def weights(y):
    """What an output is multiplied with, to get a number that has gradients."""
    return np.cos(np.arange(y.size, dtype=np.float64)).reshape(y.shape).astype(y.dtype)


def value_and_gradients(conv, x, kernel, **how):
    """The output, and both gradients of its product with its `weights`."""

    @jax.jit
    def run(x, kernel):
        y, pull = jax.vjp(lambda x, k: conv(x, k, **how), x, kernel)
        return y, *pull(weights(y))

    return run(x, kernel)


def by_definition(x, kernel, *, stride=1, padding=0):
    """The same by NumPy, and the same of the absolute values of every product.

    out[h, w] = sum over i, j of in[s h + i - p, s w + j - p] k[i, j].
    """
    x, kernel = np.float64(x), np.float64(kernel)
    size = kernel.shape[0]
    sides = ((0, 0), (padding, padding), (padding, padding), (0, 0))

    def run(x, kernel, g):
        padded = np.pad(x, sides)
        windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), (1, 2))
        windows = windows[
            :, ::stride, ::stride
        ]  # images, rows, columns, channels, i, j
        y = np.einsum("nhwcij,ijcf->nhwf", windows, kernel)
        g = g(y)
        dx = np.zeros_like(padded)
        for i, j in np.ndindex(size, size):
            rows = slice(i, i + stride * (y.shape[1] - 1) + 1, stride)
            columns = slice(j, j + stride * (y.shape[2] - 1) + 1, stride)
            dx[:, rows, columns] += g @ kernel[i, j].T
        inside = slice(padding, -padding or None)
        dkernel = np.einsum("nhwcij,nhwf->ijcf", windows, g)
        return y, dx[:, inside, inside], dkernel

    exact = run(x, kernel, weights)
    bounds = run(np.abs(x), np.abs(kernel), lambda y: np.abs(weights(y)))
    return exact, bounds


def assert_is_convolution(found, x, kernel, **how):
    """Output and gradients have the values of the definition, but for rounding."""
    exact, bounds = by_definition(x, kernel, **how)
    size, _, channels, features = kernel.shape
    pixels = math.prod(exact[0].shape[:3])
    terms = (size**2 * channels, size**2 * features, pixels)
    for parts in zip(found, exact, bounds, terms, strict=True):
        assert parts[0].dtype == x.dtype
        assert_sums(*parts)


@pytest.mark.parametrize("size", range(1, 6))
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("padding", [0, 1, 2])
def test_value_and_gradients_are_those_of_the_definition(size, stride, padding):
    # Each size, stride and pair of size and stride meets every code path.
    channels = PATHS[(size + stride + padding) % 3]
    x, kernel = inputs((2, 6, 9), size, *channels, dtype=np.float64)
    how = {"stride": stride, "padding": padding}
    with jax.enable_x64(True):
        found = value_and_gradients(conv2d, x, kernel, **how)
    assert_is_convolution(found, x, kernel, **how)


@pytest.mark.parametrize(
    ("height", "size", "stride", "padding", "channels", "features"), REFERENCE
)
def test_layers_of_the_reference_networks_are_those_of_lax_in_float32(
    height, size, stride, padding, channels, features
):
    x, kernel = inputs((2, height, height), size, channels, features)
    how = {"stride": stride, "padding": padding}
    for conv in (conv2d, lax_conv):
        assert_is_convolution(
            value_and_gradients(conv, x, kernel, **how), x, kernel, **how
        )


@pytest.mark.parametrize("batch", [(), (2, 3)])
@pytest.mark.parametrize("channels", PATHS)
def test_any_number_of_batch_axes_is_a_loop_over_images(batch, channels):
    x, kernel = inputs((*batch, 5, 6), 3, *channels)
    measured = jax.jit(partial(conv2d, stride=2, padding=1))(x, kernel)
    flat = x.reshape(-1, *x.shape[-3:])
    exact, bounds = by_definition(flat, kernel, stride=2, padding=1)
    assert measured.shape == (*batch, *exact[0].shape[1:])
    assert_sums(measured.reshape(exact[0].shape), exact[0], bounds[0], 9 * channels[0])


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("channels", PATHS)
def test_vmap_over_kernels_is_a_loop(stride, channels):
    x, _ = inputs((4, 2, 6, 7), 3, *channels)  # four seeds, two images each
    kernels = np.stack([inputs((1, 1), 3, *channels, seed)[1] for seed in range(4)])
    how = {"stride": stride, "padding": 1}

    def run(x, kernel):
        return value_and_gradients(conv2d, x, kernel, **how)

    together = jax.vmap(run)(x, kernels)
    for i in range(4):
        assert_is_convolution([t[i] for t in together], x[i], kernels[i], **how)


@pytest.mark.parametrize("channels", PATHS)
def test_scan_gives_what_calls_outside_of_it_give(channels):
    x, kernel = inputs((3, 2, 6, 7), 4, *channels)
    how = {"stride": 2, "padding": 1}

    def step(total, x):
        found = value_and_gradients(conv2d, x, kernel, **how)
        return total + found[2], found

    total, inside = jax.lax.scan(step, jnp.zeros_like(kernel), x)
    for i in range(3):
        assert_is_convolution([t[i] for t in inside], x[i], kernel, **how)
    sums = [by_definition(xi, kernel, **how) for xi in x]
    exact, bounds = (sum(s[which][2] for s in sums) for which in (0, 1))
    assert_sums(total, exact, bounds, 3 * 2 * 3 * 3)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("channels", PATHS)
def test_second_derivative_of_a_gradient_norm_is_that_of_lax(stride, channels):
    x, kernel = inputs((2, 5, 6), 3, *channels, dtype=np.float64)

    def second(conv):
        def squared_gradient_norm(x, kernel):
            def critic(x):
                return jnp.tanh(conv(x, kernel, stride=stride, padding=1)).sum()

            return jnp.sum(jax.grad(critic)(x) ** 2)

        return jax.grad(squared_gradient_norm, argnums=(0, 1))

    with jax.enable_x64(True):
        ours, theirs = jax.jit(lambda *a: [second(c)(*a) for c in (conv2d, lax_conv)])(
            x, kernel
        )
        assert all(jnp.abs(g).max() > 0.1 for g in theirs)
        assert_same_algebra(ours, theirs)


@pytest.mark.parametrize("batch", [(), (2,), (2, 1)])
@pytest.mark.parametrize("block", [1, 2, 3])
def test_pixel_shuffle_is_its_index_formula(batch, block):
    x = np.random.default_rng(0).normal(size=(*batch, 2, 3, block * block * 4))
    expected = np.zeros((*batch, 2 * block, 3 * block, 4))
    for h, w, a, b, c in np.ndindex(2, 3, block, block, 4):
        source = x[..., h, w, (a * block + b) * 4 + c]
        expected[..., h * block + a, w * block + b, c] = source
    measured = pixel_shuffle(jnp.asarray(x, jnp.float32), block)
    np.testing.assert_array_equal(measured, np.float32(expected))


@pytest.mark.parametrize("batch", [(), (2,), (2, 1)])
@pytest.mark.parametrize("block", [1, 2, 3])
def test_space_to_depth_and_pixel_shuffle_undo_each_other(batch, block):
    x = np.random.default_rng(0).normal(size=(*batch, 2 * block, 3 * block, 4))
    x = jnp.float32(x)
    deep = space_to_depth(x, block)
    assert deep.shape == (*batch, 2, 3, block * block * 4)
    chex.assert_trees_all_equal(pixel_shuffle(deep, block), x)
    deeper = x.reshape(*batch, 2, 3, block * block * 4)
    chex.assert_trees_all_equal(
        space_to_depth(pixel_shuffle(deeper, block), block), deeper
    )


@pytest.mark.parametrize(
    ("size", "block", "features"),  # of 8 channels
    [
        *((size, 2, 1) for size in (1, 3, 5, 7)),
        (3, 1, 1),
        (3, 3, 1),
        (3, 2, 2),
        (3, 2, 9),
    ],
)
def test_shuffled_convolution_is_that_of_the_shuffled_image(size, block, features):
    padding = size // 2
    _, kernel = inputs((1, 1), size, 8, features, dtype=np.float64)
    deep = np.random.default_rng(1).normal(size=(2, 4, 5, block * block * 8))
    with jax.enable_x64(True):
        y, dx, dkernel = value_and_gradients(
            shuffled_conv2d, deep, kernel, block=block, padding=padding
        )
        x, dx = (np.asarray(pixel_shuffle(jnp.asarray(a), block)) for a in (deep, dx))
    assert_is_convolution((y, dx, dkernel), x, kernel, padding=padding)


@pytest.mark.parametrize(("stride", "padding"), [(1, 1), (2, 1), (2, 0)])
def test_layer_has_the_parameters_of_linen_and_gives_the_same(stride, padding):
    ours = Conv(5, 4, stride=stride, padding=padding)
    theirs = nn.Conv(5, (4, 4), strides=(stride, stride), padding=padding)
    x = jax.random.normal(jax.random.key(0), (2, 8, 7, 3))
    key = jax.random.key(1)
    params, other = (jax.eval_shape(net.init, key, x) for net in (ours, theirs))
    chex.assert_trees_all_equal_shapes_and_dtypes(params, other)
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda p: jnp.float32(rng.normal(size=p.shape)), params)
    params = jax.tree.map(jnp.abs, params)  # then sums are those of absolute values
    x = jnp.abs(x)
    y, expected = (jax.jit(net.apply)(params, x) for net in (ours, theirs))
    expected = np.float64(expected)
    assert_sums(y, expected, 2 * expected, 4 * 4 * 3 + 1)  # both are rounded


def test_layer_computes_in_its_dtype_and_keeps_float32_parameters():
    layer = Conv(5, 3, dtype=jnp.bfloat16)
    x = jax.random.normal(jax.random.key(0), (2, 6, 6, 3))
    params = jax.jit(layer.init)(jax.random.key(1), x)
    chex.assert_type(jax.tree.leaves(params), jnp.float32)
    y = jax.jit(layer.apply)(params, x)
    assert y.dtype == jnp.bfloat16
    kernel = params["params"]["kernel"]
    exact, bounds = by_definition(x, kernel)
    # Input, kernel and output are rounded, each by half an epsilon; sums are float32.
    assert_sums(y, exact[0], bounds[0], 3)


def test_layer_starts_with_its_kernel_init_and_a_zero_bias():
    layer = Conv(5, 3, kernel_init=nn.initializers.constant(2.0))
    params = layer.init(jax.random.key(0), jnp.zeros((1, 4, 4, 2)))["params"]
    chex.assert_trees_all_equal(params["kernel"], jnp.full((3, 3, 2, 5), 2.0))
    chex.assert_trees_all_equal(params["bias"], jnp.zeros(5))
