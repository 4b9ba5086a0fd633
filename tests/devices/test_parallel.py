"""Eight devices compute what one computes: pmap checks nothing of that itself."""

import dataclasses
from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import recipes, training
from gan_jax.devices import available, parallel, placement
from gan_jax.errors import UserError
from gan_jax.losses import LOSSES
from gan_jax.networks import Discriminator
from tests import small
from tests.small import in_float64

BATCH = 16
STEPS = 20
_IMAGES = np.random.default_rng(0).integers(0, 256, (200, 28, 28, 1)).astype(np.uint8)


def make_gan(loss, size="small"):
    """A GAN on the device axis, and the training images that it takes."""
    networks, options, sides = {}, {}, slice(10, 18)
    if size in ("small", "augmented", "spectral"):
        networks["generator"] = small.Generator(None, (8, 8, 1), placement.AXIS)
        networks["discriminator"] = small.Discriminator()
    if size == "spectral":
        networks["discriminator"] = Discriminator(width=8, spectral_norm=True)
    if size in ("augmented", "dcgan"):
        options = {"mirror": True, "augment": "diffaugment", "ema_decay": 0.9}
    if size == "dcgan":  # with convolutions, and batch norm in both
        options |= {"network": "dcgan", "width": 4}
        sides = slice(6, 22)
    if size == "reference":
        options, sides = {"conditional": True}, slice(None)
    images = _IMAGES[:, sides, sides]
    gan = recipes.make_gan(
        recipes.recipe(loss, **options),
        shape=images.shape[1:],
        axis_name=placement.AXIS,
        **networks,
    )
    return gan, images


# One of each kind of step: clipping and critic steps, a penalty, pairs. Small networks
# compile in less time.
CASES = [
    ("wasserstein", "augmented"),
    ("wasserstein_gp", "small"),
    ("relativistic", "spectral"),
    *(
        pytest.param(loss, "small", marks=pytest.mark.slow)
        for loss in LOSSES
        if loss != "wasserstein_gp"
    ),
    pytest.param("hinge", "dcgan", marks=pytest.mark.slow),
    pytest.param("wasserstein_gp", "reference", marks=pytest.mark.slow),
]


def run(gan, images, devices, steps=STEPS, dtype=jnp.float32):
    """The state after some steps on the given devices, and their metrics."""
    state = training.init_state(gan, jax.random.key(0), images.shape[1:])
    state = in_float64(state) if dtype == jnp.float64 else state
    order = training.epoch_permutation(state.key, 0, len(images))
    examples = training.Examples(images, np.arange(len(images), dtype=np.int32) % 10)
    state, examples, order = placement.replicate((state, examples, order), devices)
    step = parallel.compile_train_steps(
        gan, state, examples, devices, batch_size=BATCH, capacity=STEPS
    ).result()
    return step(state, examples, order, steps)


def assert_same_run(one, eight):
    """In float64: both players, the averages, and each metric."""
    (one, metrics), (eight, others) = one, eight
    assert jax.tree.leaves(one.generator.params)[0].dtype == jnp.float64
    for a, b in (
        (one.generator.params, eight.generator.params),
        (one.discriminator.params, eight.discriminator.params),
        (one.generator.batch_stats, eight.generator.batch_stats),
        (one.discriminator.batch_stats, eight.discriminator.batch_stats),
        (one.ema, eight.ema),
    ):
        chex.assert_trees_all_close(a, b, rtol=1e-9, atol=1e-9)
    chex.assert_trees_all_close(metrics, others, rtol=1e-6, atol=1e-9)


def assert_replicas_are_identical(state):
    for leaf in jax.tree.leaves(state.replace(key=jax.random.key_data(state.key))):
        copies = [np.asarray(shard.data) for shard in leaf.addressable_shards]
        assert len(copies) == 8
        for copy in copies[1:]:
            np.testing.assert_array_equal(copy, copies[0])


@pytest.mark.parametrize(("loss", "size"), CASES)
def test_eight_devices_agree_with_one_after_twenty_steps_in_float64(loss, size):
    with jax.enable_x64(True):
        gan, images = make_gan(loss, size)
        one, eight = (
            run(gan, images, jax.devices()[:count], dtype=jnp.float64)
            for count in (1, 8)
        )
        assert_same_run(one, eight)
        assert int(one[0].step) == STEPS
        assert_replicas_are_identical(eight[0])


def relative_distance(a, b):
    """|a - b| / |a| over a whole pytree."""
    a, b = (np.concatenate([np.ravel(x) for x in jax.tree.leaves(t)]) for t in (a, b))
    return np.linalg.norm(a - b) / np.linalg.norm(a)


@pytest.mark.slow  # of the reference networks
def test_one_steps_gradients_agree_between_eight_devices_and_one_in_float32():
    gans = {loss: make_gan(loss)[0] for loss in LOSSES}
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


def test_a_forgotten_mean_over_devices_would_show():
    """The comparison above has teeth: replicas that are not averaged drift apart."""
    gan, images = make_gan("hinge")
    one, _ = run(gan, images, jax.devices()[:1])
    alone = dataclasses.replace(gan.generator, axis_name=None)
    forgetful = dataclasses.replace(gan, generator=alone)
    eight, _ = run(forgetful, images, jax.devices()[:8])
    assert relative_distance(one.generator.params, eight.generator.params) > 1e-3


def test_the_step_without_a_device_axis_is_that_of_one_device():
    with jax.enable_x64(True):
        gan, images = make_gan("hinge")
        mapped, metrics = run(gan, images, jax.devices()[:1], 1, jnp.float64)
        generator = dataclasses.replace(gan.generator, axis_name=None)
        gan = dataclasses.replace(gan, generator=generator, axis_name=None)
        state = training.init_state(gan, jax.random.key(0), images.shape[1:])
        order = training.epoch_permutation(state.key, 0, len(images))
        batch = jnp.asarray(images)[order[:BATCH]]
        real = training.scale_images(batch, jnp.float64)[None]
        step = jax.jit(partial(training.train_step, gan))
        plain = step(in_float64(state), real)
        first = {name: values[0] for name, values in metrics.items()}
        assert_same_run(plain, (mapped, first))


def test_the_state_is_initialised_replicated_and_the_same_on_any_devices():
    gan, images = make_gan("hinge")
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


def test_the_program_for_the_shapes_of_a_state_is_that_for_the_state():
    gan, images = make_gan("wasserstein_gp")
    devices = jax.devices()
    like, drawn = parallel.begin(gan, jax.random.key(0), images.shape[1:], devices)
    state = placement.replicate(drawn.result(), devices)
    chex.assert_trees_all_equal_shapes_and_dtypes(like, state)
    examples, order = placement.replicate(
        (training.Examples(images), np.arange(len(images), dtype=np.int32)), devices
    )
    shards = np.arange(8, dtype=np.int32)
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
