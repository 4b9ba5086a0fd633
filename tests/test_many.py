"""Many GANs in one program are those that are trained alone."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from gan_jax import many, networks, recipes, training

SHAPE = (4, 4, 1)
SEEDS = (0, 5, 7)


class SmallGenerator(nn.Module):
    """With batch norm, as the reference generator."""

    @nn.compact
    def __call__(self, z, labels=None, *, train):
        norm = nn.BatchNorm(use_running_average=not train)
        return norm(nn.Dense(16)(z)).reshape(-1, *SHAPE)


class SmallDiscriminator(nn.Module):
    """Without: a penalty has to take each example alone."""

    @nn.compact
    def __call__(self, x, labels=None, *, train=True):
        return networks.MLPDiscriminator((8,))(x.reshape(len(x), -1))


@pytest.fixture(scope="module")
def examples():
    rng = np.random.default_rng(0)
    return training.Examples(jnp.asarray(rng.integers(0, 256, (40, *SHAPE)), jnp.uint8))


def make_gan(loss):
    steps = 2 if loss == "wasserstein" else 1
    recipe = recipes.recipe(loss, batch_size=8, critic_steps=steps, ema_decay=0.9)
    networks = {"generator": SmallGenerator(), "discriminator": SmallDiscriminator()}
    return recipes.make_gan(recipe, **networks)


def in_float64(state):
    """Else rounding decides where a gradient is 0: Adam takes a whole step there."""
    return jax.tree.map(
        lambda a: a.astype(jnp.float64) if a.dtype == jnp.float32 else a, state
    )


@pytest.mark.parametrize("loss", ["nonsaturating", "wasserstein", "wasserstein_gp"])
def test_each_is_the_gan_that_its_seed_alone_gives(loss, examples):
    sizes = {"batch_size": 8, "capacity": 3}
    with jax.enable_x64(True):
        gan = make_gan(loss)
        keys = jax.vmap(jax.random.key)(jnp.array(SEEDS))
        states = in_float64(many.initialise(gan, keys, SHAPE))
        step = many.compile_train_steps(gan, states, examples, **sizes)
        permutations = many.orders(states, 0, num_examples=40)
        # Two calls: what the first returns is what the second takes.
        for count in (3, 2):
            states, metrics = step(states, examples, permutations, count)
        train_steps = jax.jit(partial(training.train_steps, gan, shard=0, **sizes))
        for i, seed in enumerate(SEEDS):
            state = in_float64(training.init_state(gan, jax.random.key(seed), SHAPE))
            order = training.epoch_permutation(state.key, 0, 40)
            for count in (3, 2):
                state, expected = train_steps(state, examples, order, count)
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


def test_seeds_differ_in_weights_and_in_the_order_of_the_examples():
    gan = make_gan("hinge")
    keys = jax.vmap(jax.random.key)(jnp.array(SEEDS))
    states = many.initialise(gan, keys, SHAPE)
    kernels = states.generator.params["Dense_0"]["kernel"]
    assert float(jnp.abs(kernels[0] - kernels[1]).max()) > 1e-3
    found = many.orders(states, 0, num_examples=40)
    assert found.shape == (3, 40)
    assert (jnp.sort(found, axis=1) == jnp.arange(40)[None]).all()
    assert (found[0] != found[1]).any()
    assert (many.orders(states, 1, num_examples=40) != found).any()
