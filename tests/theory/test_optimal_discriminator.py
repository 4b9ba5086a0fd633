"""Optimal discriminators: their losses, and the projection form."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.theory import divergences, optimal_discriminator

GRID = jnp.linspace(-10, 12, 3001)
P, Q = (jax.scipy.stats.norm.logpdf(GRID, m, s) for m, s in ((0.0, 1.0), (1.5, 1.4)))


def test_least_cross_entropy_is_two_log_2_minus_twice_jensen_shannon():
    least = optimal_discriminator.least_discriminator_loss("minimax", P, Q, GRID)
    js = divergences.jensen_shannon(P, Q, GRID)
    np.testing.assert_allclose(least, 2 * np.log(2) - 2 * js, rtol=1e-5)


def test_least_hinge_is_two_minus_twice_the_total_variation():
    least = optimal_discriminator.least_discriminator_loss("hinge", P, Q, GRID)
    tv = divergences.total_variation(P, Q, GRID)
    np.testing.assert_allclose(least, 2 - 2 * tv, rtol=1e-5)


@pytest.mark.parametrize("name", optimal_discriminator.OPTIMAL_LOGITS)
def test_least_loss_is_the_mean_loss_of_samples_at_the_optimal_logit(name):
    from gan_jax.losses import LOSSES

    rng = np.random.default_rng(0)
    real, fake = rng.normal(0.0, 1.0, 400_000), rng.normal(1.5, 1.4, 400_000)

    def logit(x):
        p = jax.scipy.stats.norm.logpdf(jnp.float32(x), 0.0, 1.0)
        return optimal_discriminator.OPTIMAL_LOGITS[name](
            p, jax.scipy.stats.norm.logpdf(jnp.float32(x), 1.5, 1.4)
        )

    mean = LOSSES[name].discriminator(logit(real), logit(fake))
    least = optimal_discriminator.least_discriminator_loss(name, P, Q, GRID)
    np.testing.assert_allclose(mean, least, atol=0.006)  # four deviations at most


@pytest.mark.parametrize("name", optimal_discriminator.GENERATOR_SLOPES)
def test_the_gradient_of_a_shifted_model_is_that_of_its_samples(name):
    from gan_jax.losses import LOSSES

    theta, z = 1.5, jnp.asarray(np.random.default_rng(0).normal(size=400_000), "f4")

    def loss(moved):
        h = theta**2 / 2 - theta * (moved + z)
        return LOSSES[name].generator(h, h)

    closed = optimal_discriminator.shifted_gradient(name, theta, GRID)
    np.testing.assert_allclose(jax.grad(loss)(theta), closed, atol=0.02)


def test_projection_is_the_log_ratio_of_the_gaussians():
    rng = np.random.default_rng(0)
    mu, nu, phi = rng.normal(size=(3, 5, 4))
    rows, biases = optimal_discriminator.projection(jnp.asarray(mu), jnp.asarray(nu))
    for y, x in itertools.product(range(5), phi):
        log_p, log_q = (-((x - m[y]) ** 2).sum() / 2 for m in (mu, nu))
        np.testing.assert_allclose(rows[y] @ x + biases[y], log_p - log_q, atol=1e-5)


def test_projection_accuracy_is_that_of_samples():
    rng = np.random.default_rng(0)
    mu, nu = rng.normal(size=(2, 3, 4))
    rows, biases = map(
        np.asarray, optimal_discriminator.projection(jnp.asarray(mu), jnp.asarray(nu))
    )
    best = optimal_discriminator.projection_accuracy(jnp.asarray(mu), jnp.asarray(nu))
    for y in range(3):
        real, fake = (m[y] + rng.normal(size=(100_000, 4)) for m in (mu, nu))
        right = [(real @ rows[y] + biases[y] > 0), (fake @ rows[y] + biases[y] < 0)]
        np.testing.assert_allclose(best[y], np.mean(right), atol=0.006)
