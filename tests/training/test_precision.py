"""Training in bfloat16: what stays in float32, and that it stays finite."""

import dataclasses
from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import data, recipes, training

SHAPE = (28, 28, 1)


def small(precision):
    return recipes.recipe("wasserstein_gp", width=8, batch_size=16, precision=precision)


def test_bfloat16_computes_in_bfloat16_and_keeps_float32_weights():
    gan = recipes.make_gan(recipes.recipe("nonsaturating", precision="bfloat16"))
    assert gan.generator.dtype == gan.discriminator.dtype == jnp.bfloat16
    state = training.init_state(gan, jax.random.key(0), SHAPE)
    real = jnp.zeros((1, 4, *SHAPE))
    step = jax.jit(partial(training.train_step, gan))
    after, metrics = step(state, real)
    chex.assert_tree_all_finite(metrics)
    chex.assert_trees_all_equal_dtypes(state, after)
    assert metrics["d_loss"].dtype == jnp.float32
    assert "bf16" in step.lower(state, real).as_text()


def test_the_gradients_that_are_penalised_are_float32():
    """Their squares and norms, then, are as well: half precision ends in NaN."""
    seen = []

    def penalty(critic, real, fake, keys, labels):
        del fake, keys, labels
        assert critic(real[0]).dtype == jnp.float32
        squares = jax.vmap(jax.grad(critic))(real) ** 2
        seen.append(squares.dtype)
        return jnp.mean(jnp.sqrt(jnp.sum(squares, (1, 2, 3))))

    gan = recipes.make_gan(small("bfloat16"))
    state = training.init_state(gan, jax.random.key(0), SHAPE)
    real = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (1, 8, *SHAPE)))
    norms = {}
    for precision in ("float32", "bfloat16"):
        gan = recipes.make_gan(small(precision))
        gan = dataclasses.replace(gan, penalty=penalty)
        step = jax.jit(partial(training.train_step, gan))
        _, metrics = step(state, real.astype(jnp.float32))
        norms[precision] = metrics["penalty"]
    assert seen == [jnp.float32] * 2
    np.testing.assert_allclose(norms["bfloat16"], norms["float32"], rtol=0.02)


@pytest.mark.slow
def test_two_thousand_steps_of_wgan_gp_in_bfloat16_hold_the_penalty_as_in_float32():
    images = data.load("garments", garments_size=6_000).images
    length = len(images) // 16
    last = {}
    for precision in ("float32", "bfloat16"):
        gan = recipes.make_gan(small(precision))
        state = training.init_state(gan, jax.random.key(0), SHAPE)
        examples = training.Examples(jnp.asarray(images))
        steps = jax.jit(
            partial(training.train_steps, gan, batch_size=16, capacity=length),
            compiler_options={"xla_backend_optimization_level": "3"},
        )
        penalties = []
        for start in range(0, 2_000, length):
            number = min(length, 2_000 - start)
            order = training.epoch_permutation(state.key, start, len(images))
            state, metrics = steps(state, examples, order, number, 0, start)
            metrics = {name: values[:number] for name, values in metrics.items()}
            chex.assert_tree_all_finite(metrics)  # of every step
            penalties.extend(np.asarray(metrics["penalty"]))
        chex.assert_tree_all_finite((state.generator, state.discriminator))
        assert len(penalties) == 2_000
        last[precision] = np.mean(penalties[-500:])
        assert last[precision] < np.mean(penalties[:100])
    assert 0.5 < last["bfloat16"] / last["float32"] < 2
