"""Closed forms of noise-contrastive estimation, against SciPy and against sums."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from gan_jax.theory import nce

GRID = np.linspace(-12, 12, 4001)
SCORES = np.stack([GRID, -(GRID**2) / 2, -np.ones_like(GRID)], axis=-1)


def covariance(deviation, nu):
    densities = stats.norm.logpdf(GRID), stats.norm.logpdf(GRID, 0, deviation)
    arguments = map(jnp.float32, (*densities, SCORES, GRID[1] - GRID[0], nu))
    return np.asarray(nce.asymptotic_covariance(*arguments))


def test_log_z_is_the_integral():
    precision, shift = np.array([[2.0, 0.5], [0.5, 1.0]]), np.array([1.0, -0.5])

    def density(y, x):
        point = np.array([x, y])
        return np.exp(shift @ point - point @ precision @ point / 2)

    mass = integrate.dblquad(density, -9, 9, -9, 9, epsabs=1e-6)[0]
    found = nce.gaussian_log_z(jnp.float32(precision), jnp.float32(shift))
    np.testing.assert_allclose(found, np.log(mass), rtol=1e-5)


def test_without_end_of_noise_it_is_maximum_likelihoods():
    # Of N(0, 1): mean 1 / n, precision 2 / n, and log Z = ... - log(a) / 2: 1 / (2 n).
    expected = [[1, 0, 0], [0, 2, -1], [0, -1, 0.5]]
    for deviation in (1.0, 2.0):
        np.testing.assert_allclose(covariance(deviation, np.inf), expected, atol=1e-3)


@pytest.mark.parametrize("nu", [0.25, 1.0, 7.0])
def test_with_noise_like_the_data_it_is_larger_by_a_share_of_one_over_nu(nu):
    expected = (1 + 1 / nu) * covariance(1.0, np.inf)
    np.testing.assert_allclose(covariance(1.0, nu), expected, atol=1e-3 * (1 + 1 / nu))


def test_it_is_what_many_estimates_of_one_parameter_scatter_by():
    # The data's log Z alone is not known: one logistic regression of an intercept.
    deviation, nu, n = 2.0, 2, 400
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2000, n))
    z = deviation * rng.standard_normal((2000, nu * n))
    points = np.concatenate([x, z], axis=1)
    known = stats.norm.logpdf(points) - stats.norm.logpdf(points, 0, deviation)
    label = np.arange(points.shape[1]) < n
    c = np.zeros((2000, 1))  # log Z less its truth
    for _ in range(8):
        h = 1 / (1 + np.exp(-(known - c - np.log(nu))))
        c += (h - label).sum(1, keepdims=True) / (h * (1 - h)).sum(1, keepdims=True)
    found = n * np.mean(c**2)
    densities = stats.norm.logpdf(GRID), stats.norm.logpdf(GRID, 0, deviation)
    arguments = (*densities, -np.ones((len(GRID), 1)), GRID[1] - GRID[0], float(nu))
    expected = nce.asymptotic_covariance(*map(jnp.float32, arguments))[0, 0]
    np.testing.assert_allclose(found, expected, rtol=0.13)  # four deviations
