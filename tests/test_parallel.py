"""Eight devices compute what one computes: pmap checks nothing of that itself."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import parallel, recipes, training
from gan_jax.errors import UserError
from gan_jax.losses import LOSSES

BATCH = 16
STEPS = 20
_IMAGES = np.random.default_rng(0).integers(0, 256, (200, 28, 28, 1)).astype(np.uint8)


def make_gan(loss, **overrides):
    recipe = recipes.recipe(loss, **overrides)
    return recipes.make_gan(recipe, axis_name=parallel.AXIS)


def run(gan, devices, steps=STEPS, dtype=jnp.float32):
    """The state after some steps on the given devices."""
    state = training.init_state(gan, jax.random.key(0), (28, 28, 1))
    state = jax.tree.map(
        lambda x: x.astype(dtype) if jnp.issubdtype(x.dtype, jnp.floating) else x, state
    )
    order = training.epoch_permutation(state.key, 0, len(_IMAGES))
    state, images, order = parallel.replicate((state, _IMAGES, order), devices)
    step = parallel.compile_train_steps(
        gan, state, images, devices, batch_size=BATCH, capacity=STEPS
    )
    return step(state, images, order, steps)


@pytest.mark.parametrize("loss", LOSSES)
def test_eight_devices_agree_with_one_after_twenty_steps_in_float64(loss):
    with jax.enable_x64(True):
        gan = make_gan(loss)
        one, metrics_1 = run(gan, jax.devices()[:1], dtype=jnp.float64)
        eight, metrics_8 = run(gan, jax.devices()[:8], dtype=jnp.float64)
        assert jax.tree.leaves(one.generator.params)[0].dtype == jnp.float64
        chex.assert_trees_all_close(
            one.generator.params, eight.generator.params, rtol=0, atol=1e-9
        )
        chex.assert_trees_all_close(
            one.discriminator.params, eight.discriminator.params, rtol=0, atol=1e-9
        )
        chex.assert_trees_all_close(
            one.generator.batch_stats, eight.generator.batch_stats, rtol=1e-9, atol=1e-9
        )
        chex.assert_trees_all_close(metrics_1, metrics_8, rtol=1e-6, atol=1e-9)
        assert int(one.step) == STEPS


def relative_distance(a, b):
    """|a - b| / |a| over a whole pytree."""
    a, b = (np.concatenate([np.ravel(x) for x in jax.tree.leaves(t)]) for t in (a, b))
    return np.linalg.norm(a - b) / np.linalg.norm(a)


@pytest.mark.parametrize("loss", LOSSES)
def test_one_steps_gradients_agree_between_eight_devices_and_one_in_float32(loss):
    gan = make_gan(loss)
    state = training.init_state(gan, jax.random.key(1), (28, 28, 1))
    real = training.scale_images(jnp.asarray(_IMAGES[:BATCH]))

    def gradients(state, real):
        key = jax.random.key(2)
        d_gradients, _, _ = training.discriminator_gradients(gan, state, real, key)
        g_gradients, _, _ = training.generator_gradients(gan, state, real, key)
        return d_gradients, g_gradients

    def on(devices):
        mapped = jax.pmap(
            gradients,
            axis_name=parallel.AXIS,
            in_axes=(None, 0),
            out_axes=None,
            devices=devices,
        )
        return mapped(state, real.reshape(len(devices), -1, *real.shape[1:]))

    for one, eight in zip(on(jax.devices()[:1]), on(jax.devices()[:8]), strict=True):
        assert relative_distance(one, eight) < 1e-5


def test_replicas_end_identical():
    gan = make_gan("wasserstein_gp")
    state, _ = run(gan, jax.devices()[:8], steps=5)
    for leaf in jax.tree.leaves(state.replace(key=jax.random.key_data(state.key))):
        copies = [np.asarray(shard.data) for shard in leaf.addressable_shards]
        assert len(copies) == 8
        for copy in copies[1:]:
            np.testing.assert_array_equal(copy, copies[0])


def test_the_step_without_a_device_axis_is_that_of_one_device():
    gan = recipes.make_gan(recipes.recipe("nonsaturating"))
    state = training.init_state(gan, jax.random.key(0), (28, 28, 1))
    order = training.epoch_permutation(state.key, 0, len(_IMAGES))
    real = training.scale_images(jnp.asarray(_IMAGES)[order[:BATCH]])[None]
    plain, _ = jax.jit(partial(training.train_step, gan))(state, real)
    mapped, _ = run(make_gan("nonsaturating"), jax.devices()[:1], steps=1)
    # Adam turns rounding in a gradient that is exactly zero into a step of its own.
    chex.assert_trees_all_close(
        plain.discriminator.params, mapped.discriminator.params, atol=2e-3
    )
    assert (
        relative_distance(plain.discriminator.params, mapped.discriminator.params)
        < 1e-3
    )


def test_a_batch_that_devices_cannot_share_is_refused():
    with pytest.raises(UserError, match=r"batch_size=60 is not divisible by 8.*use 56"):
        parallel.local_batch_size(60, 8)
    with pytest.raises(UserError, match="use 8"):
        parallel.local_batch_size(4, 8)
    assert parallel.local_batch_size(64, 8) == 8


def test_more_devices_than_there_are_is_refused():
    with pytest.raises(UserError, match="this machine has 8"):
        parallel.choose_devices(9)
    with pytest.raises(UserError, match="num_devices=0"):
        parallel.choose_devices(0)
    assert len(parallel.choose_devices(3)) == 3
    assert len(parallel.choose_devices(None)) == 8
