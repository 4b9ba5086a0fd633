"""Many GANs in one program are those that are trained alone."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import recipes, training
from gan_jax.devices import many, placement
from gan_jax.networks import Discriminator
from tests import small
from tests.small import in_float64

SHAPE = (4, 4, 1)
SEEDS = (0, 5, 7, 8)
LEARNING_RATES = (1e-3, 1e-3, 1e-2, 1e-4)
SIZES = {"batch_size": 8, "capacity": 3}


@pytest.fixture(scope="module")
def examples():
    rng = np.random.default_rng(0)
    return training.Examples(rng.integers(0, 256, (40, *SHAPE), np.uint8))


def maker(loss):
    options = {"critic_steps": 2 if loss == "wasserstein" else 1}
    networks = {"generator": small.Generator(shape=SHAPE)}
    networks["discriminator"] = small.Discriminator()
    if loss == "hinge":
        options = {"mirror": True, "augment": "diffaugment", "spectral_norm": True}
        networks["discriminator"] = Discriminator(width=8, spectral_norm=True)
    recipe = recipes.recipe(loss, batch_size=8, ema_decay=0.9, **options)
    return lambda settings: recipes.make_gan(
        dataclasses.replace(recipe, **settings), **networks
    )


def without_key(state):
    return state.replace(key=jnp.zeros_like(state.step))


def numbers(loss):
    """What the GANs differ in beside their seeds: a number that the loss is about."""
    named = {"wasserstein_gp": "penalty_weight", "wasserstein": "clip"}
    swept = {"generator_lr": np.array(LEARNING_RATES)}
    if loss in named:
        swept[named[loss]] = np.array([0.1, 0.02, 0.3, 0.1])
    return swept


@pytest.mark.parametrize(
    ("loss", "num_devices"),
    [
        ("wasserstein_gp", 2),
        pytest.param("hinge", 1, marks=pytest.mark.slow),  # augmented
        pytest.param("wasserstein", 4, marks=pytest.mark.slow),
    ],
)
def test_each_is_the_gan_that_its_seed_and_numbers_alone_give(
    loss, num_devices, examples
):
    devices = jax.devices()[:num_devices]
    with jax.enable_x64(True):
        make, swept = maker(loss), numbers(loss)
        keys = jnp.stack([jax.random.key(seed) for seed in SEEDS])
        keys, settings = many.spread((keys, swept), devices)
        assert keys.shape == (num_devices, 4 // num_devices)
        states = in_float64(many.initialise(make, settings, keys, SHAPE, devices))
        begin = jax.tree.map(np.array, without_key(states))  # the states are donated
        there = placement.replicate(examples, devices)
        step = many.compile_train_steps(make, settings, states, there, devices, **SIZES)
        orders = many.orders(states, 0, num_examples=40, devices=devices)
        # Two calls: what the first returns is what the second takes.
        for count in (3, 2):
            states, metrics = step(states, settings, there, orders, count)
        metrics = jax.tree.map(lambda m: m.reshape(4, -1), metrics)

        @jax.jit
        def initialise(numbers, key):
            return in_float64(training.init_state(make(numbers), key, SHAPE))

        @jax.jit
        def train_steps(numbers, state, examples, order, count):
            gan = make(numbers)
            return training.train_steps(
                gan, state, examples, order, count, shard=0, **SIZES
            )

        for i, seed in enumerate(SEEDS):
            alone_at = {name: values[i] for name, values in swept.items()}
            state = initialise(alone_at, jax.random.key(seed))
            # Drawn in float32, by another program: equal up to a few roundings.
            mine = many.pick(begin, i)
            few = {"rtol": 2.0**-20, "atol": 2.0**-20}
            chex.assert_trees_all_close(mine, without_key(state), **few)
            state = mine.replace(key=state.key)
            order = training.epoch_permutation(state.key, 0, 40)
            for count in (3, 2):
                state, expected = train_steps(alone_at, state, examples, order, count)
            mine = many.pick(states, i)
            assert mine.step == state.step == 5
            for name in expected:
                np.testing.assert_allclose(
                    metrics[name][i][:2], expected[name][:2], rtol=1e-6, atol=1e-9
                )
            found, alone = (
                jax.tree.leaves((s.generator.params, s.discriminator.params, s.ema))
                for s in (mine, state)
            )
            assert found[0].dtype == jnp.float64
            for a, b in zip(found, alone, strict=True):
                np.testing.assert_allclose(a, b, rtol=0, atol=1e-9)


def test_a_number_that_is_swept_changes_the_gan(examples):
    devices = jax.devices()[:1]
    make = maker("kl")
    keys = jnp.stack([jax.random.key(0)] * 2)
    rates = np.array([1e-3, 2e-3], np.float32)
    keys, settings = many.spread((keys, {"generator_lr": rates}), devices)
    states = many.initialise(make, settings, keys, SHAPE, devices)
    there = placement.replicate(examples, devices)
    step = many.compile_train_steps(make, settings, states, there, devices, **SIZES)
    orders = many.orders(states, 0, num_examples=40, devices=devices)
    before = np.asarray(states.generator.params["Dense_0"]["kernel"][0])
    states, _ = step(states, settings, there, orders, 1)
    moved = np.asarray(states.generator.params["Dense_0"]["kernel"][0]) - before
    # Adam's first step is the learning rate, in the direction of the same gradient.
    np.testing.assert_allclose(moved[1], 2 * moved[0], rtol=1e-3, atol=1e-6)
    assert np.abs(moved).max() > 5e-4


def test_seeds_differ_in_weights_and_in_the_order_of_the_examples():
    make, devices = maker("kl"), jax.devices()[:2]
    keys = many.spread(jnp.stack([jax.random.key(s) for s in SEEDS]), devices)
    states = many.initialise(make, {}, keys, SHAPE, devices)
    kernels = np.asarray(states.generator.params["Dense_0"]["kernel"]).reshape(4, -1)
    assert np.abs(kernels[0] - kernels[1]).max() > 1e-3
    assert np.abs(kernels[1] - kernels[2]).max() > 1e-3
    first, next_one = (
        np.asarray(many.orders(states, epoch, num_examples=40, devices=devices))
        for epoch in (0, 1)
    )
    assert first.shape == (2, 2, 40)
    assert (np.sort(first) == np.arange(40)).all()
    assert (first[0, 0] != first[0, 1]).any()
    assert (next_one != first).any()


def test_devices_that_cannot_share_the_gans_evenly_are_an_error():
    with pytest.raises(ValueError, match="3 GANs on 2 devices"):
        many.spread(np.zeros(3), jax.devices()[:2])
