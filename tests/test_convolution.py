"""The convolution against XLA's own, and the reshapes against their index formulas."""

import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from gan_jax.convolution import (
    Conv,
    conv2d,
    pixel_shuffle,
    shuffled_conv2d,
    space_to_depth,
)

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


def inputs(image, size, channels, features, seed=0):
    """Images and a kernel in NumPy's float64."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(*image, channels))
    return x, rng.normal(size=(size, size, channels, features)) / size


def value_and_gradients(conv, x, kernel, **how):
    """The output, and both gradients of its product with a fixed array."""

    @jax.jit
    def run(x, kernel):
        y, pull = jax.vjp(lambda x, k: conv(x, k, **how), x, kernel)
        return y, *pull(jnp.cos(jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape))

    return run(x, kernel)


@pytest.mark.parametrize("size", range(1, 6))
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("padding", [0, 1, 2])
def test_value_and_gradients_are_those_of_lax_in_float64(size, stride, padding):
    # Each size, stride and pair of size and stride meets every code path.
    channels = PATHS[(size + stride + padding) % 3]
    x, kernel = inputs((2, 6, 9), size, *channels)
    how = {"stride": stride, "padding": padding}
    with jax.enable_x64(True):
        ours = value_and_gradients(conv2d, x, kernel, **how)
        theirs = value_and_gradients(lax_conv, x, kernel, **how)
        chex.assert_trees_all_equal_shapes_and_dtypes(ours, theirs)
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("height", "size", "stride", "padding", "channels", "features"), REFERENCE
)
def test_layers_of_the_reference_networks_are_those_of_lax_in_float32(
    height, size, stride, padding, channels, features
):
    x, kernel = inputs((2, height, height), size, channels, features)
    x, kernel = jnp.asarray(x, jnp.float32), jnp.asarray(kernel, jnp.float32)
    how = {"stride": stride, "padding": padding}
    ours = value_and_gradients(conv2d, x, kernel, **how)
    theirs = value_and_gradients(lax_conv, x, kernel, **how)
    for a, b in zip(ours, theirs, strict=True):
        assert a.dtype == jnp.float32
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 * jnp.abs(b).max())


def test_a_convolution_is_a_sum_over_its_taps():
    # out[h, w] = sum over i, j of in[s h + i - p, s w + j - p] k[i, j], s = 2, p = 1.
    x, kernel = inputs((7, 6), 4, 2, 3)
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    expected = np.zeros((3, 3, 3))
    for h, w, i, j in itertools.product(range(3), range(3), range(4), range(4)):
        expected[h, w] += padded[2 * h + i, 2 * w + j] @ kernel[i, j]
    with jax.enable_x64(True):
        measured = conv2d(jnp.asarray(x), jnp.asarray(kernel), stride=2, padding=1)
    np.testing.assert_allclose(measured, expected, rtol=1e-12)


@pytest.mark.parametrize("batch", [(), (2, 3)])
@pytest.mark.parametrize("channels", PATHS)
def test_any_number_of_batch_axes_is_a_loop_over_images(batch, channels):
    x, kernel = map(jnp.float32, inputs((*batch, 5, 6), 3, *channels))
    measured = conv2d(x, kernel, stride=2, padding=1)
    flat = lax_conv(x.reshape(-1, *x.shape[-3:]), kernel, stride=2, padding=1)
    expected = flat.reshape(*batch, *flat.shape[1:])
    chex.assert_trees_all_close(measured, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("channels", PATHS)
def test_vmap_over_kernels_is_a_loop(stride, channels):
    x, _ = inputs((4, 2, 6, 7), 3, *channels)  # four seeds, two images each
    kernels = np.stack([inputs((1, 1), 3, *channels, seed)[1] for seed in range(4)])
    x, kernels = jnp.float32(x), jnp.float32(kernels)

    def run(conv):
        return lambda x, k: value_and_gradients(conv, x, k, stride=stride, padding=1)

    together = jax.vmap(run(conv2d))(x, kernels)
    alone = [run(lax_conv)(*pair) for pair in zip(x, kernels, strict=True)]
    stacked = jax.tree.map(lambda *a: jnp.stack(a), *alone)
    chex.assert_trees_all_close(together, stacked, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("channels", PATHS)
def test_scan_gives_what_calls_outside_of_it_give(channels):
    x, kernel = map(jnp.float32, inputs((3, 2, 6, 7), 4, *channels))

    def step(total, x):
        y, dx, dk = value_and_gradients(conv2d, x, kernel, stride=2, padding=1)
        return total + dk, (y, dx)

    total, inside = jax.lax.scan(step, jnp.zeros_like(kernel), x)
    outside = [
        value_and_gradients(lax_conv, xi, kernel, stride=2, padding=1) for xi in x
    ]
    for i, (y, dx, _) in enumerate(outside):
        chex.assert_trees_all_close(inside[0][i], y, rtol=1e-5, atol=1e-5)
        chex.assert_trees_all_close(inside[1][i], dx, rtol=1e-5, atol=1e-5)
    expected = sum(dk for _, _, dk in outside)
    chex.assert_trees_all_close(total, expected, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("channels", PATHS)
def test_second_derivative_of_a_gradient_norm_is_that_of_lax(stride, channels):
    x, kernel = inputs((2, 5, 6), 3, *channels)

    def second(conv):
        def squared_gradient_norm(x, kernel):
            def critic(x):
                return jnp.tanh(conv(x, kernel, stride=stride, padding=1)).sum()

            return jnp.sum(jax.grad(critic)(x) ** 2)

        return jax.jit(jax.grad(squared_gradient_norm, argnums=(0, 1)))

    with jax.enable_x64(True):
        ours, theirs = second(conv2d)(x, kernel), second(lax_conv)(x, kernel)
        assert all(jnp.abs(g).max() > 0.1 for g in theirs)
        chex.assert_trees_all_close(ours, theirs, rtol=1e-11, atol=1e-11)


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


@pytest.mark.parametrize("features", [1, 2, 9])  # of 8 channels
@pytest.mark.parametrize("block", [1, 2, 3])
@pytest.mark.parametrize("size", [1, 3, 5, 7])
def test_shuffled_convolution_is_lax_of_the_shuffled_image(size, block, features):
    padding = size // 2
    x, kernel = inputs((2, 4, 5), size, 8, features)
    x = np.random.default_rng(1).normal(size=(*x.shape[:-1], block * block * 8))

    def ours(x, kernel):
        return shuffled_conv2d(x, kernel, block=block, padding=padding)

    def theirs(x, kernel):
        return lax_conv(pixel_shuffle(x, block), kernel, padding=padding)

    with jax.enable_x64(True):
        measured = value_and_gradients(ours, x, kernel)
        expected = value_and_gradients(theirs, x, kernel)
        chex.assert_trees_all_close(measured, expected, rtol=1e-12, atol=1e-12)


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
    y, expected = ours.apply(params, x), theirs.apply(params, x)
    chex.assert_trees_all_close(y, expected, rtol=1e-5, atol=1e-5)


def test_layer_computes_in_its_dtype_and_keeps_float32_parameters():
    layer = Conv(5, 3, dtype=jnp.bfloat16)
    x = jax.random.normal(jax.random.key(0), (2, 6, 6, 3))
    params = jax.jit(layer.init)(jax.random.key(1), x)
    chex.assert_type(jax.tree.leaves(params), jnp.float32)
    y = layer.apply(params, x)
    assert y.dtype == jnp.bfloat16
    exact = Conv(5, 3).apply(params, x)
    np.testing.assert_allclose(np.float32(y), exact, rtol=0.05, atol=0.05)


def test_layer_starts_with_its_kernel_init_and_a_zero_bias():
    layer = Conv(5, 3, kernel_init=nn.initializers.constant(2.0))
    params = layer.init(jax.random.key(0), jnp.zeros((1, 4, 4, 2)))["params"]
    chex.assert_trees_all_equal(params["kernel"], jnp.full((3, 3, 2, 5), 2.0))
    chex.assert_trees_all_equal(params["bias"], jnp.zeros(5))
