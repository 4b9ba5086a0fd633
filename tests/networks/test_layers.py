"""What a convolution layer does with arguments that it is given together."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from gan_jax.errors import UserError
from gan_jax.networks.convolution import pixel_shuffle
from gan_jax.networks.layers import Conv
from gan_jax.networks.resampling import mean_pool, upsample_nearest


def images(*shape):
    return jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)


@pytest.mark.parametrize("features", [2, 16])
@pytest.mark.parametrize(
    "together",
    [
        {"groups": 2, "stride": 2, "padding": 1},
        {"shuffle": 2},
        {"shuffle": 2, "padding": 2},
        {"shuffle": 2, "stride": 2, "padding": 1},
        {"shuffle": 2, "groups": 2, "padding": 1},
    ],
)
def test_what_goes_together_is_what_linen_gives_of_shuffled_pixels(features, together):
    x = images(2, 6, 6, 32)
    layer = Conv(features, 3, **together)
    params = jax.jit(layer.init)(jax.random.key(0), x)
    stride = together.get("stride", 1)
    plain = nn.Conv(
        features,
        (3, 3),
        (stride, stride),
        padding=together.get("padding", 0),
        feature_group_count=together.get("groups", 1),
    )
    shuffled = pixel_shuffle(x, together.get("shuffle", 1))
    expected = jax.jit(plain.apply)(params, shuffled)
    found = jax.jit(layer.apply)(params, x)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("resample", ["up", "down"])
def test_pixels_are_shuffled_before_an_image_is_resampled(resample):
    x = images(2, 4, 4, 32)
    layer = Conv(6, 3, padding=1, shuffle=2, resample=resample)
    params = jax.jit(layer.init)(jax.random.key(0), x)
    plain = jax.jit(nn.Conv(6, (3, 3), padding=1).apply)
    wide = pixel_shuffle(x, 2)
    if resample == "up":
        expected = plain(params, upsample_nearest(wide))
    else:
        expected = mean_pool(plain(params, wide))
    found = jax.jit(layer.apply)(params, x)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"resample": "Down"}, "unknown resample 'Down'; did you mean 'down'"),
        ({"resample": "down", "stride": 4}, "resample='down' has no stride: leave"),
        ({"resample": "up", "stride": 2}, "resample='up' has no stride: leave"),
        ({"resample": "up", "padding": 2}, "resample='up' .* padding=1, or leave"),
        ({"kernel_size": 4, "resample": "up"}, "odd kernel_size: 3 or 5"),
        ({"kernel_size": 4, "resample": "down"}, "odd kernel_size: 3 or 5"),
        ({"groups": 2, "resample": "down"}, "groups=2 and resample='down'"),
        ({"groups": 2, "resample": "transpose"}, "groups=2 and resample='transpose'"),
    ],
)
def test_what_does_not_go_together_is_refused(arguments, message):
    with pytest.raises(UserError, match=message):
        Conv(**{"features": 8, "kernel_size": 3} | arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"features": 8, "groups": 3}, "groups=3 .* 4 channels .* features=8"),
        ({"features": 9, "groups": 2}, "groups=2 .* 4 channels .* features=9"),
        ({"features": 8, "shuffle": 3}, "shuffle=3 .* multiple of 9 .* are 4"),
    ],
)
def test_channels_that_cannot_be_shared_out_are_refused(arguments, message):
    with pytest.raises(UserError, match=message):
        jax.eval_shape(
            Conv(kernel_size=3, **arguments).init, jax.random.key(0), images(1, 8, 8, 4)
        )
