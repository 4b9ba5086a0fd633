"""Closed forms against SciPy's quadrature and finite differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from gan_jax.evaluation import wasserstein
from gan_jax.theory import divergences

PAIRS = [(0.0, 1.0, 0.0, 1.0), (1.0, 1.0, 0.0, 1.0), (-0.5, 0.4, 1.0, 1.3)]


def integrate_both(function, m0, s0, m1, s1):
    p, q = stats.norm(m0, s0), stats.norm(m1, s1)
    ends = min(m0 - 9 * s0, m1 - 9 * s1), max(m0 + 9 * s0, m1 + 9 * s1)
    return integrate.quad(lambda x: function(p, q, x), *ends, limit=500)[0]


@pytest.mark.parametrize("pair", PAIRS)
def test_gaussian_kl_and_wasserstein_are_their_integrals(pair):
    kl = integrate_both(lambda p, q, x: p.pdf(x) * (p.logpdf(x) - q.logpdf(x)), *pair)
    np.testing.assert_allclose(divergences.gaussian_kl(*pair), kl, atol=1e-6)
    w1 = integrate_both(lambda p, q, x: abs(p.cdf(x) - q.cdf(x)), *pair)
    measured = divergences.gaussian_wasserstein(*map(jnp.float32, pair))
    np.testing.assert_allclose(measured, w1, atol=1e-6)


@pytest.mark.parametrize(("t", "s"), [(0.3, 1.0), (1.0, 0.5), (-2.0, 0.7)])
def test_total_variation_is_half_the_integral_and_has_its_slope(t, s):
    half = integrate_both(lambda p, q, x: abs(p.pdf(x) - q.pdf(x)) / 2, t, s, 0.0, s)
    measured = divergences.gaussian_total_variation(t, s)
    np.testing.assert_allclose(measured, half, atol=1e-5)
    with jax.enable_x64(True):
        values = [
            divergences.gaussian_total_variation(jnp.asarray(abs(t) + step), s)
            for step in (1e-5, -1e-5)
        ]
        slope = divergences.gaussian_total_variation_gradient(jnp.asarray(abs(t)), s)
        difference = (values[0] - values[1]) / 2e-5
    np.testing.assert_allclose(slope, difference, rtol=1e-6)


def test_kl_slope_is_a_finite_difference():
    with jax.enable_x64(True):
        e = jnp.float64(0.3)
        above, below = (divergences.gaussian_kl(m, e, 1.0, e) for m in (2.001, 2.0))
        slope = divergences.gaussian_kl_gradient(2.0005, 1.0, e)
        difference = (above - below) / 1e-3
    np.testing.assert_allclose(difference, slope, rtol=1e-9)


@pytest.mark.parametrize("pair", PAIRS)
def test_quadrature_agrees_with_scipy(pair):
    grid = jnp.linspace(-12, 14, 4001)
    p, q = (jax.scipy.stats.norm.logpdf(grid, m, s) for m, s in (pair[:2], pair[2:]))

    def js(p, q, x):
        middle = (p.pdf(x) + q.pdf(x)) / 2
        terms = [
            a.pdf(x) * np.log(a.pdf(x) / middle) if a.pdf(x) else 0 for a in (p, q)
        ]
        return sum(terms) / 2

    for measure, function in (
        (divergences.kl, lambda p, q, x: p.pdf(x) * (p.logpdf(x) - q.logpdf(x))),
        (divergences.jensen_shannon, js),
        (divergences.total_variation, lambda p, q, x: abs(p.pdf(x) - q.pdf(x)) / 2),
        (divergences.wasserstein, lambda p, q, x: abs(p.cdf(x) - q.cdf(x))),
    ):
        expected = integrate_both(function, *pair)
        np.testing.assert_allclose(measure(p, q, grid), expected, atol=2e-5)


@pytest.mark.parametrize("e", [0.1, 0.01, 0.001])
def test_with_no_overlap_kl_explodes_js_is_log_2_and_w1_the_distance(e):
    grid = jnp.linspace(-8 * e, 1 + 8 * e, 80_001)
    p, q = (jax.scipy.stats.norm.logpdf(grid, m, e) for m in (0.0, 1.0))
    np.testing.assert_allclose(divergences.kl(p, q, grid), 1 / (2 * e**2), rtol=1e-3)
    js = divergences.jensen_shannon(p, q, grid)
    np.testing.assert_allclose(js, np.log(2), rtol=1e-3)
    np.testing.assert_allclose(divergences.wasserstein(p, q, grid), 1, rtol=1e-3)


def test_in_the_plane_mass_moves_along_the_rays():
    z = np.random.default_rng(0).normal(size=(2, 1000, 2))
    # The same points, scaled: that pairing is the cheapest there is.
    cost = wasserstein.wasserstein(0.5 * z[0], 2 * z[0])
    exact = divergences.planar_wasserstein(0.5, 2.0)
    np.testing.assert_allclose(cost, exact, rtol=0.05)
    assert wasserstein.wasserstein(0.5 * z[0], 2 * z[1]) > exact * 0.95


def test_mass_and_kl_in_the_plane_are_those_of_gaussians():
    def gaussian(mean, scale, log_mass=0.0):
        def log_density(x):
            squares = jnp.sum((x - mean) ** 2, axis=-1)
            return log_mass - squares / (2 * scale**2) - jnp.log(2 * jnp.pi * scale**2)

        return log_density

    mass, kl = divergences.mass_and_kl(
        gaussian(0.3, 0.7, jnp.log(1.4)), gaussian(0.0, 0.5), 5.0, 100
    )
    # Of two coordinates alike.
    expected = 2 * divergences.gaussian_kl(0.0, 0.5, 0.3, 0.7)
    np.testing.assert_allclose([mass, kl], [1.4, expected], rtol=1e-4)
