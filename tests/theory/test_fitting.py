"""Training on distributions is `train_step`, and nothing else."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

from gan_jax import networks, recipes, training
from gan_jax.data import mixtures
from gan_jax.losses import LOSSES
from gan_jax.theory import fitting
from tests import small

RING = mixtures.ring()


def small_gan(loss="wasserstein_gp", **overrides):
    recipe = recipes.recipe(loss, critic_steps=2, latent_size=4, **overrides)
    return small.gan(recipe, 8)


def test_training_on_samples_is_train_step_in_a_loop():
    gan = small_gan()
    start = training.init_state(gan, jax.random.key(0), (2,))
    run = partial(fitting.train, gan, sample=RING.sample, num_steps=3, batch_size=5)
    state, log = jax.jit(run)(start)
    expected, train_step = start, jax.jit(partial(training.train_step, gan))
    for step in range(3):
        key = jax.random.fold_in(jax.random.fold_in(start.key, 2**32 - 1), step)
        real = RING.sample(key, 10).reshape(2, 5, 2)
        expected, metrics = train_step(expected, real)
        np.testing.assert_allclose(log["d_loss"][step], metrics["d_loss"], rtol=1e-5)
    for ours, theirs in zip(
        jax.tree.leaves(state.generator.params),
        jax.tree.leaves(expected.generator.params),
        strict=True,
    ):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_a_run_in_two_parts_is_the_run_in_one():
    gan = small_gan("nonsaturating")
    start = training.init_state(gan, jax.random.key(0), (2,))

    def run(steps):
        some = partial(fitting.train, gan, sample=RING.sample, batch_size=8)
        return jax.jit(lambda state: some(state, num_steps=steps)[0])

    two, four = run(2), run(4)
    parts, whole = two(two(start)), four(start)
    assert int(parts.step) == int(whole.step) == 4
    difference = jax.tree.map(
        lambda a, b: float(jnp.abs(a - b).max()),
        parts.discriminator.params,
        whole.discriminator.params,
    )
    assert max(jax.tree.leaves(difference)) < 1e-6


def test_a_fixed_generator_stays_and_its_fakes_are_the_function_of_z():
    gan = fitting.against(
        lambda z: 3 * z,
        networks.MLPDiscriminator((8,)),
        "minimax",
        optax.sgd(0.1),
        latent_size=2,
    )
    state = training.init_state(gan, jax.random.key(0), (2,))
    assert jax.tree.leaves(state.generator) == []
    z = jax.random.normal(jax.random.key(1), (4, 2))
    np.testing.assert_array_equal(training.generate(gan, state, z), 3 * z)
    trained, log = fitting.train(gan, state, RING.sample, num_steps=2, batch_size=4)
    assert log["g_gradient_norm"].max() == 0
    first, last = (
        s.discriminator.params["Dense_0"]["kernel"] for s in (state, trained)
    )
    assert jnp.abs(first - last).max() > 1e-3


def test_labels_of_a_sampler_reach_both_networks():
    means = jnp.array([-4.0, 4.0])
    gan = fitting.against(
        lambda z, labels: means[labels][:, None] + z,
        networks.MLPDiscriminator((), num_classes=2),
        "minimax",
        optax.adam(0.1),
        latent_size=1,
        num_classes=2,
    )

    def sample(key, count):
        labels = jax.random.randint(key, (count,), 0, 2)
        return -means[labels][:, None] + jax.random.normal(key, (count, 1)), labels

    state = training.init_state(gan, jax.random.key(0), (1,))
    state, _ = fitting.train(gan, state, sample, num_steps=200, batch_size=64)
    x, labels = jnp.array([[4.0], [4.0]]), jnp.array([0, 1])
    logits = training.score(gan, state, x, labels)
    assert logits[0] > 2  # class 0 is at 4 in the data
    assert logits[1] < -2


def test_a_sweep_by_vmap_is_a_loop():
    def run(rate):
        gan = fitting.against(
            lambda z: z,
            networks.MLPDiscriminator((4,)),
            "hinge",
            optax.sgd(rate),
            latent_size=2,
        )
        state = training.init_state(gan, jax.random.key(0), (2,))
        _, log = fitting.train(gan, state, RING.sample, num_steps=5, batch_size=8)
        return log["d_loss"]

    rates, alone = jnp.array([0.01, 0.1]), jax.jit(run)
    looped = [alone(rate) for rate in rates]
    np.testing.assert_allclose(jax.jit(jax.vmap(run))(rates), looped, rtol=1e-5)


def test_minimise_finds_the_least_squares_solution():
    a = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    b = a @ np.array([1.0, -2.0, 0.5], np.float32)

    def objective(x, key):
        row = jax.random.randint(key, (), 0, 20)
        return (a[row] @ x - b[row]) ** 2

    a, b = jnp.asarray(a), jnp.asarray(b)
    x, values = fitting.minimise(
        objective,
        jnp.zeros(3),
        fitting.decaying_adam(0.05, 2000),
        num_steps=2000,
        key=jax.random.key(0),
    )
    np.testing.assert_allclose(x, [1.0, -2.0, 0.5], atol=1e-3)
    assert values.shape == (2000,)
    assert values[-100:].mean() < 1e-5


def test_losses_swept_in_one_program_are_each_of_them_alone():
    names = tuple(LOSSES)

    def run(loss):
        gan = dataclasses.replace(small_gan("minimax"), loss=loss)
        state = training.init_state(gan, jax.random.key(0), (2,))
        _, log = fitting.train(gan, state, RING.sample, num_steps=3, batch_size=4)
        return jnp.stack([log["d_loss"], log["g_loss"]])

    indices = jnp.arange(len(names))
    swept = jax.jit(jax.vmap(lambda i: run(fitting.one_of(names, i))))(indices)
    assert np.isfinite(swept).all()
    for name in ("kl", "hinge"):
        alone = jax.jit(lambda name=name: run(LOSSES[name]))()
        np.testing.assert_allclose(swept[names.index(name)], alone, rtol=1e-4)


def test_a_logit_between_two_gaussians_becomes_their_log_ratio():
    """Both of deviation 1: the log of p / q is 2 - 2 x."""
    data, model = mixtures.gaussian([0.0]), mixtures.gaussian([2.0])
    tell_apart = partial(
        fitting.tell_apart, loss="minimax", num_steps=200, batch_size=256
    )
    logit, metrics = tell_apart(jax.random.key(0), data, model)
    x = jnp.linspace(-1, 3, 9)
    np.testing.assert_allclose(logit(x[:, None]), 2 - 2 * x, atol=0.4)
    assert metrics["d_loss"].shape == (200,)


def test_the_gap_of_a_linear_logit_is_its_slope_times_the_difference_of_means():
    data, model = mixtures.gaussian([0.0, 1.0], 0.1), mixtures.gaussian([2.0, -1.0])
    weight = jnp.array([0.5, 3.0])
    found = fitting.gap(lambda x: x @ weight + 7, jax.random.key(0), data, model)
    # The deviation of a mean of 100,000 is 3 / 316.
    np.testing.assert_allclose(found, weight @ jnp.array([-2.0, 2.0]), atol=0.05)
