"""Convolutions that change the size, against `lax.conv` and the steps they replace."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from gan_jax import backend
from gan_jax.networks import resampling
from gan_jax.networks.convolution import conv2d, grouped_conv2d
from gan_jax.networks.layers import Conv, LayerNorm
from tests.rounding import assert_same_algebra

LAYOUT = ("NHWC", "HWIO", "NHWC")


@pytest.fixture(autouse=True)
def in_float64():
    with jax.enable_x64(True):
        yield


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def assert_same_map(function, definition, *arguments):
    """Values and gradients, in all of the arguments."""

    def both(f, *arguments):
        value, pull = jax.vjp(f, *arguments)
        return value, pull(jnp.asarray(draw(*value.shape, seed=9)))

    run = jax.jit(lambda *a: [both(f, *a) for f in (function, definition)])
    assert_same_algebra(*run(*arguments))


@pytest.mark.parametrize(
    ("size", "stride", "padding"), [(4, 2, 1), (5, 2, 2), (3, 3, 0)]
)
@pytest.mark.parametrize(("channels", "features"), [(3, 20), (20, 3), (16, 16)])
def test_a_transposed_convolution_is_that_of_lax(
    size, stride, padding, channels, features
):
    def definition(x, kernel):
        pad = (size - 1 - padding,) * 2
        return jax.lax.conv_transpose(
            x, kernel, (stride, stride), (pad, pad), dimension_numbers=LAYOUT
        )

    def transposed(x, kernel):
        return resampling.conv2d_transpose(x, kernel, stride=stride, padding=padding)

    x, kernel = draw(2, 5, 4, channels), draw(size, size, channels, features, seed=1)
    assert_same_map(transposed, definition, x, kernel)


@pytest.mark.parametrize(("size", "stride", "padding"), [(4, 2, 1), (3, 3, 0)])
def test_a_form_for_export_is_the_same(size, stride, padding):
    x, kernel = draw(2, 6, 4, 3), draw(size, size, 3, 5, seed=1)

    def forms(x, kernel):
        up = resampling.upsample_bilinear(x)
        down = resampling.downsample_bilinear(x)
        how = {"stride": stride, "padding": padding}
        return up, down, resampling.conv2d_transpose(x, kernel, **how)

    with backend.tracing_for("onnx"):
        exported = jax.jit(lambda *a: forms(*a))(x, kernel)
    found = jax.jit(forms)(x, kernel)
    chex.assert_trees_all_close(exported, found, rtol=1e-12)


@pytest.mark.parametrize("size", [1, 3, 5])
@pytest.mark.parametrize(("channels", "features"), [(3, 17), (17, 3)])
def test_an_upsampling_and_a_convolution_are_one(size, channels, features):
    def definition(x, kernel):
        x = x.repeat(2, axis=1).repeat(2, axis=2)
        return conv2d(x, kernel, padding=(size - 1) // 2)

    x, kernel = draw(2, 3, 4, channels), draw(size, size, channels, features, seed=1)
    assert_same_map(resampling.upsampled_conv2d, definition, x, kernel)


@pytest.mark.parametrize("size", [1, 3, 5])
@pytest.mark.parametrize(("channels", "features"), [(3, 17), (17, 3)])
def test_a_convolution_and_a_mean_over_blocks_are_one(size, channels, features):
    def definition(x, kernel):
        y = conv2d(x, kernel, padding=(size - 1) // 2)
        return (y[:, ::2] + y[:, 1::2])[:, :, ::2] / 4 + (y[:, ::2] + y[:, 1::2])[
            :, :, 1::2
        ] / 4

    x, kernel = draw(2, 6, 4, channels), draw(size, size, channels, features, seed=1)
    assert_same_map(resampling.mean_pooled_conv2d, definition, x, kernel)


@pytest.mark.parametrize(("groups", "features"), [(2, 12), (4, 8)])
def test_a_grouped_convolution_is_that_of_lax(groups, features):
    def definition(x, kernel):
        return jax.lax.conv_general_dilated(
            x,
            kernel,
            (1, 1),
            ((1, 1), (1, 1)),
            dimension_numbers=LAYOUT,
            feature_group_count=groups,
        )

    def grouped(x, kernel):
        return grouped_conv2d(x, kernel, groups=groups, padding=1)

    x, kernel = draw(2, 5, 4, 8), draw(3, 3, 8 // groups, features, seed=1)
    assert_same_map(grouped, definition, x, kernel)


def test_plain_resampling_repeats_and_averages():
    x = draw(2, 4, 6, 3)
    up = resampling.upsample_nearest(x)
    np.testing.assert_array_equal(up[:, 1::2, ::2], x)
    np.testing.assert_allclose(resampling.mean_pool(up), x)


def test_bilinear_upsampling_is_the_filter_between_zeros():
    x = draw(1, 3, 4, 2)
    zeros = np.zeros((1, 9, 11, 2))
    zeros[:, 2:-2:2, 2:-2:2] = x  # pixel i at 2i + 2, in a frame of two
    taps = np.array([1, 3, 3, 1]) / 4
    expected = np.zeros((1, 6, 8, 2))
    for i in range(4):
        for j in range(4):
            expected += taps[i] * taps[j] * zeros[:, i : i + 6, j : j + 8]
    np.testing.assert_allclose(resampling.upsample_bilinear(x), expected, atol=1e-15)


def test_bilinear_downsampling_is_a_quarter_of_its_transpose():
    like = jax.ShapeDtypeStruct((1, 3, 4, 2), jnp.float64)
    transpose = jax.linear_transpose(resampling.upsample_bilinear, like)
    x = jnp.asarray(draw(1, 6, 8, 2))
    found = jax.jit(resampling.downsample_bilinear)(x)
    expected = jax.jit(transpose)(x)[0] / 4
    np.testing.assert_allclose(found, expected, atol=1e-15)


def test_layer_norm_is_that_of_linen():
    theirs = nn.LayerNorm(reduction_axes=(-3, -2, -1))
    x, params = draw(2, 3, 4, 5), {"scale": draw(5, seed=1), "bias": draw(5, seed=2)}

    def ours(x, params):
        return LayerNorm().apply({"params": params}, x)

    def definition(x, params):
        return theirs.apply({"params": params}, x)

    assert_same_map(ours, definition, x, params)


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({"resample": "up"}, (8, 8)),
        ({"resample": "down"}, (2, 2)),
        ({"resample": "transpose", "stride": 2, "padding": 1}, (7, 7)),
        ({"groups": 2, "padding": 1}, (4, 4)),
    ],
)
def test_the_layer_takes_one_image_or_any_batch(options, shape):
    layer = Conv(6, 3, **options, use_bias=False)
    x = jnp.asarray(draw(2, 3, 4, 4, 4))
    variables = jax.jit(layer.init)(jax.random.key(0), x)
    assert list(variables["params"]) == ["kernel"]
    apply = jax.jit(layer.apply)
    y = apply(variables, x)
    assert y.shape == (2, 3, *shape, 6)
    alone = apply(variables, x[1, 2])
    np.testing.assert_allclose(alone, y[1, 2], rtol=1e-12, atol=1e-12)
