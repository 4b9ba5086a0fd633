"""Noise-contrastive estimation, against its equation in NumPy and against the GAN's."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from gan_jax import losses
from gan_jax.theory import nce


def log_noise(x):
    return jax.scipy.stats.norm.logpdf(x[:, 0], 0.5, 2)


def samples(n, m):
    keys = jax.random.split(jax.random.key(0))
    return jax.random.normal(keys[0], (n, 1)), 2 * jax.random.normal(keys[1], (m, 1))


def quartic(scale):
    return lambda x: scale * x[:, 0] ** 4 / 4


@pytest.mark.parametrize(("n", "m"), [(20, 20), (10, 40), (40, 10)])
def test_the_loss_is_the_equation(n, m):
    data, noise = samples(n, m)
    found = nce.nce_loss(quartic(0.3), 0.7, log_noise, data, noise)
    # Gutmann & Hyvarinen's h, as probabilities in float64.
    model, prior = (
        lambda x: np.exp(-0.3 * np.float64(x) ** 4 / 4 - 0.7),
        lambda x: stats.norm.pdf(np.float64(x), 0.5, 2),
    )
    real = model(data) / (model(data) + m / n * prior(data))
    fake = model(noise) / (model(noise) + m / n * prior(noise))
    expected = -np.log(real).sum() / n - np.log(1 - fake).sum() / n
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_with_as_much_noise_as_data_it_is_the_loss_of_a_gans_discriminator():
    data, noise = samples(32, 32)

    def by_nce(theta):
        return nce.nce_loss(quartic(theta[0]), theta[1], log_noise, data, noise)

    def by_gan(theta):
        logits = [
            nce.log_ratio(quartic(theta[0]), theta[1], log_noise, x)
            for x in (data, noise)
        ]
        return losses.LOSSES["nonsaturating"].discriminator(*logits)

    theta = jnp.array([0.4, -0.2])
    found, expected = (jax.value_and_grad(f)(theta) for f in (by_nce, by_gan))
    chex.assert_trees_all_close(found, expected, rtol=1e-6)


@pytest.mark.parametrize("energy", [-1e4, 0.0, 1e4])
@pytest.mark.parametrize("log_z", [-1e4, 1e4])
def test_loss_and_gradient_are_finite_for_any_energy(energy, log_z):
    data, noise = samples(8, 24)

    def loss(theta):
        return nce.nce_loss(
            lambda x: jnp.full(len(x), theta[0]), theta[1], log_noise, data, noise
        )

    value, gradient = jax.value_and_grad(loss)(jnp.array([energy, log_z]))
    chex.assert_tree_all_finite((value, gradient))
    # Where u is large, -E(data) of the loss's slope is 1; and nu = 3 where it is small.
    u = -energy - log_z
    slope = {0: None, 1: -3.0, -1: 1.0}[int(np.sign(u))]
    if slope is not None:
        np.testing.assert_allclose(gradient, [slope, slope], rtol=1e-6)


def test_the_gradient_is_zero_where_the_model_is_the_data():
    # Deterministic samples: quantiles of both, so that means are integrals.
    quantiles = (np.arange(4000) + 0.5) / 4000
    data = jnp.asarray(special.ndtri(quantiles)[:, None], jnp.float32)
    noise = jnp.asarray(0.5 + 2 * special.ndtri(quantiles)[:, None], jnp.float32)

    def loss(theta):
        return nce.nce_loss(
            lambda x: theta[0] * x[:, 0] ** 2 / 2, theta[1], log_noise, data, noise
        )

    truth = jnp.array([1.0, np.log(2 * np.pi) / 2])
    np.testing.assert_allclose(jax.grad(loss)(truth), 0, atol=2e-4)
    off = truth + jnp.array([0.1, 0.0])
    assert np.abs(jax.grad(loss)(off)).max() > 5e-3


def test_scores_of_another_shape_are_refused():
    data, noise = samples(4, 4)
    with pytest.raises(AssertionError):
        nce.nce_loss(lambda x: x, 0.0, log_noise, data, noise)
    with pytest.raises(AssertionError):
        nce.nce_loss(quartic(1.0), jnp.zeros(4), log_noise, data, noise)
