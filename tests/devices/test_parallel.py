"""Eight devices compute what one computes: pmap checks nothing of that itself."""

import dataclasses
from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from gan_jax import recipes, training
from gan_jax.devices import available, parallel, placement
from gan_jax.errors import UserError
from gan_jax.losses import LOSSES
from gan_jax.networks.convolution import pixel_shuffle
from gan_jax.networks.layers import Conv

BATCH = 16
STEPS = 20
_IMAGES = np.random.default_rng(0).integers(0, 256, (200, 28, 28, 1)).astype(np.uint8)


class SmallGenerator(nn.Module):
    """A layer of each kind of the reference generator, and 8 x 8 images."""

    axis_name: str | None = None

    @nn.compact
    def __call__(self, z, *, train):
        norm = partial(
            nn.BatchNorm, use_running_average=not train, axis_name=self.axis_name
        )
        x = nn.relu(norm()(nn.Dense(64)(z)))
        x = pixel_shuffle(x.reshape(-1, 4, 4, 4), 2)
        return Conv(1, 3, padding=1)(x)


class SmallDiscriminator(nn.Module):
    """A layer of each kind of the reference discriminator."""

    @nn.compact
    def __call__(self, x, *, train):
        x = nn.leaky_relu(Conv(4, 4, stride=2, padding=1)(x), 0.1)
        return nn.Dense(1)(x.reshape(*x.shape[:-3], 64))[..., 0]


def make_gan(loss, size="reference"):
    """A GAN on the device axis, and the training images that it takes."""
    if size == "reference":
        recipe = recipes.recipe(loss, conditional=True)
        return recipes.make_gan(recipe, axis_name=placement.AXIS), _IMAGES
    recipe = recipes.recipe(loss)
    networks = {
        "generator": SmallGenerator(placement.AXIS),
        "discriminator": SmallDiscriminator(),
    }
    gan = recipes.make_gan(recipe, **networks, axis_name=placement.AXIS)
    return gan, _IMAGES[:, 10:18, 10:18]


# Small networks compile in less time; the reference ones are conditional here.
_REFERENCE = pytest.param("wasserstein_gp", "reference", marks=pytest.mark.slow)
# One of each kind of step: clipping and critic steps, a penalty, pairs.
_KINDS = ("wasserstein", "wasserstein_gp", "relativistic")
CASES = [
    *(
        pytest.param(loss, "small", marks=[pytest.mark.slow] * (loss not in _KINDS))
        for loss in LOSSES
    ),
    _REFERENCE,
]


def run(gan, images, devices, steps=STEPS, dtype=jnp.float32):
    """The state after some steps on the given devices."""
    state = training.init_state(gan, jax.random.key(0), images.shape[1:])
    state = jax.tree.map(
        lambda x: x.astype(dtype) if jnp.issubdtype(x.dtype, jnp.floating) else x, state
    )
    order = training.epoch_permutation(state.key, 0, len(images))
    examples = training.Examples(images, np.arange(len(images), dtype=np.int32) % 10)
    state, examples, order = placement.replicate((state, examples, order), devices)
    step = parallel.compile_train_steps(
        gan, state, examples, devices, batch_size=BATCH, capacity=STEPS
    ).result()
    return step(state, examples, order, steps)


@pytest.mark.parametrize(("loss", "size"), CASES)
def test_eight_devices_agree_with_one_after_twenty_steps_in_float64(loss, size):
    with jax.enable_x64(True):
        gan, images = make_gan(loss, size)
        one, metrics_1 = run(gan, images, jax.devices()[:1], dtype=jnp.float64)
        eight, metrics_8 = run(gan, images, jax.devices()[:8], dtype=jnp.float64)
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


@pytest.mark.slow  # of the reference networks
def test_one_steps_gradients_agree_between_eight_devices_and_one_in_float32():
    gans = {loss: make_gan(loss, "small")[0] for loss in LOSSES}
    images = _IMAGES[:BATCH, 10:18, 10:18]
    real = training.scale_images(jnp.asarray(images))
    state = training.init_state(gans["hinge"], jax.random.key(1), images.shape[1:])

    def gradients(state, real):  # of every loss in one program: they share most of it
        key = jax.random.key(2)
        functions = (training.discriminator_gradients, training.generator_gradients)
        return [f(gan, state, real, key)[0] for gan in gans.values() for f in functions]

    def on(devices):
        mapped = jax.pmap(
            gradients,
            axis_name=placement.AXIS,
            in_axes=(None, 0),
            out_axes=None,
            devices=devices,
        )
        return mapped(state, real.reshape(len(devices), -1, *real.shape[1:]))

    players = [(loss, player) for loss in LOSSES for player in ("d", "g")]
    one, eight = on(jax.devices()[:1]), on(jax.devices()[:8])
    for player, a, b in zip(players, one, eight, strict=True):
        assert relative_distance(a, b) < 1e-5, player


def test_replicas_end_identical():
    gan, images = make_gan("hinge", "small")
    state, _ = run(gan, images, jax.devices()[:8], steps=5)
    for leaf in jax.tree.leaves(state.replace(key=jax.random.key_data(state.key))):
        copies = [np.asarray(shard.data) for shard in leaf.addressable_shards]
        assert len(copies) == 8
        for copy in copies[1:]:
            np.testing.assert_array_equal(copy, copies[0])


def test_a_forgotten_mean_over_devices_would_show():
    """The comparison above has teeth: replicas that are not averaged drift apart."""
    gan, images = make_gan("hinge", "small")
    one, _ = run(gan, images, jax.devices()[:1])
    alone = dataclasses.replace(gan.generator, axis_name=None)
    forgetful = dataclasses.replace(gan, generator=alone)
    eight, _ = run(forgetful, images, jax.devices()[:8])
    assert relative_distance(one.generator.params, eight.generator.params) > 1e-3


def test_the_step_without_a_device_axis_is_that_of_one_device():
    gan, images = make_gan("hinge", "small")
    mapped, _ = run(gan, images, jax.devices()[:1], steps=1)
    generator = dataclasses.replace(gan.generator, axis_name=None)
    gan = dataclasses.replace(gan, generator=generator, axis_name=None)
    state = training.init_state(gan, jax.random.key(0), images.shape[1:])
    order = training.epoch_permutation(state.key, 0, len(images))
    real = training.scale_images(jnp.asarray(images)[order[:BATCH]])[None]
    plain, _ = jax.jit(partial(training.train_step, gan))(state, real)
    # Adam turns rounding in a gradient that is exactly zero into a step of its own.
    chex.assert_trees_all_close(
        plain.discriminator.params, mapped.discriminator.params, atol=2e-3
    )
    distance = relative_distance(
        plain.discriminator.params, mapped.discriminator.params
    )
    assert distance < 1e-3


def test_the_state_is_initialised_replicated_and_the_same_on_any_devices():
    gan, images = make_gan("hinge", "small")
    key, shape = jax.random.key(0), images.shape[1:]
    plain, found = training.init_state(gan, key, shape), []
    for devices in (jax.devices()[:1], jax.devices()[:8]):
        state = parallel.initialise(gan, key, shape, devices)
        found.append(state)
        # Another program, which XLA may round otherwise.
        pair = (state.generator, plain.generator)
        chex.assert_trees_all_close(*pair, rtol=2.0**-20)
        pair = (state.discriminator, plain.discriminator)
        chex.assert_trees_all_close(*pair, rtol=2.0**-20)
        leaves = jax.tree.leaves(state.generator)
        assert all(leaf.sharding.device_set == set(devices) for leaf in leaves)
    one, eight = ((s.generator, s.discriminator) for s in found)
    chex.assert_trees_all_equal(jax.device_get(one), jax.device_get(eight))


@pytest.mark.parametrize("count", [1, 8])
def test_the_program_for_the_shapes_of_a_state_is_that_for_the_state(count):
    gan, images = make_gan("wasserstein_gp", "small")
    devices = jax.devices()[:count]
    like, drawn = parallel.begin(gan, jax.random.key(0), images.shape[1:], devices)
    state = placement.replicate(drawn.result(), devices)
    chex.assert_trees_all_equal_shapes_and_dtypes(like, state)
    examples, order = placement.replicate(
        (training.Examples(images), np.arange(len(images), dtype=np.int32)), devices
    )
    shards = np.arange(count, dtype=np.int32)
    sizes = {"batch_size": BATCH, "capacity": STEPS}
    for_shapes, for_numbers = (
        parallel.lower_train_steps(gan, s, examples, order, shards, devices, **sizes)
        for s in (like, state)
    )
    assert for_shapes.as_text() == for_numbers.as_text()


def test_a_batch_that_devices_cannot_share_is_refused():
    with pytest.raises(UserError, match=r"batch_size=60 is not divisible by 8.*use 56"):
        available.local_batch_size(60, 8)
    with pytest.raises(UserError, match="use 8"):
        available.local_batch_size(4, 8)
    assert available.local_batch_size(64, 8) == 8


def test_more_devices_than_there_are_is_refused():
    with pytest.raises(UserError, match="this machine has 8"):
        available.choose_devices(9)
    with pytest.raises(UserError, match="num_devices=0"):
        available.choose_devices(0)
    assert len(available.choose_devices(3)) == 3
    assert len(available.choose_devices(None)) == 8
