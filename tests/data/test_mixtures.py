"""Mixtures of Gaussians: densities against SciPy, samples against their densities."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from gan_jax.data import mixtures

LINE = mixtures.on_a_line([-2, 1], [0.5, 1.5], [0.3, 0.7])
PLANE = mixtures.Mixture(
    jnp.array([0.25, 0.75]),
    jnp.array([[0.0, 1.0], [2.0, -1.0]]),
    jnp.array([0.3, 0.8]),
)


@pytest.mark.parametrize("mixture", [LINE, PLANE], ids=["line", "plane"])
def test_log_density_is_scipys(mixture):
    x = np.random.default_rng(0).normal(size=(20, mixture.means.shape[1])) * 3
    density = sum(
        weight * stats.multivariate_normal(mean, scale**2).pdf(x)
        for weight, mean, scale in zip(*map(np.asarray, mixture), strict=True)
    )
    measured = mixture.log_density(jnp.asarray(x, jnp.float32))
    np.testing.assert_allclose(measured, np.log(density), rtol=1e-4)


def test_log_density_is_finite_far_away():
    assert np.isfinite(mixtures.ring().log_density(jnp.array([10.0, 10.0])))


def test_samples_on_a_line_have_the_distribution_of_the_density():
    x = np.asarray(LINE.sample(jax.random.key(0), 20_000))[:, 0]
    cdf = lambda t: (  # noqa: E731
        0.3 * stats.norm(-2, 0.5).cdf(t) + 0.7 * stats.norm(1, 1.5).cdf(t)
    )
    assert stats.kstest(x, cdf).pvalue > 1e-3


def test_samples_in_the_plane_have_mean_and_variance_of_the_mixture():
    x = np.asarray(PLANE.sample(jax.random.key(0), 200_000))
    np.testing.assert_allclose(x.mean(0), PLANE.mean(), atol=0.02)
    np.testing.assert_allclose(x.var(0), PLANE.variance(), atol=0.02)
    # The noise does not know the component: their coordinates do not correlate in one.
    first = x[np.linalg.norm(x - [0, 1], axis=1) < 0.6]
    assert abs(np.corrcoef(first.T)[0, 1]) < 0.02


def test_every_mode_of_the_ring_is_drawn_equally_often():
    ring = mixtures.ring(modes=8, radius=2.0, scale=0.02)
    x = np.asarray(ring.sample(jax.random.key(0), 16_000))
    means = np.asarray(ring.means)
    nearest = np.linalg.norm(x[:, None] - means, axis=-1).argmin(1)
    counts = np.bincount(nearest, minlength=8)
    assert stats.chisquare(counts).pvalue > 1e-3
    distance = np.linalg.norm(x - means[nearest], axis=1)
    np.testing.assert_allclose((distance**2).mean(), 2 * 0.02**2, rtol=0.03)


def test_the_grid_is_a_lattice_about_zero():
    grid = mixtures.grid(side=5, spacing=2.0, scale=0.05)
    expected = {
        (float(x), float(y)) for x in (-4, -2, 0, 2, 4) for y in (-4, -2, 0, 2, 4)
    }
    assert {(float(x), float(y)) for x, y in grid.means} == expected
    np.testing.assert_allclose(grid.weights.sum(), 1, rtol=1e-6)
    # Its own variance: (5^2 - 1) / 12 spacings squared, and that of a mode.
    np.testing.assert_allclose(grid.variance(), 2 * 4 + 0.05**2, rtol=1e-5)


def test_the_ring_and_the_grid_are_those_of_the_papers():
    """Eight modes at a radius of 2, narrow; 5 x 5 at 2 from each other."""
    ring, grid = mixtures.ring(), mixtures.grid()
    turns = np.arange(8) / 8
    expected = 2 * np.exp(2j * np.pi * turns)
    found = np.asarray(ring.means) @ [1, 1j]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_allclose(ring.scales, np.full(8, 0.02))
    lattice = np.stack(np.mgrid[-4:5:2, -4:5:2], -1).reshape(25, 2)
    np.testing.assert_array_equal(grid.means, lattice)
    np.testing.assert_allclose(grid.scales, np.full(25, 0.05))
    for mixture in (ring, grid):
        equal = np.full(len(mixture.means), 1 / len(mixture.means))
        np.testing.assert_allclose(mixture.weights, equal)


@pytest.mark.slow
def test_the_swiss_roll_has_the_density_of_a_thick_curve():
    roll = mixtures.swiss_roll()
    finer = mixtures.swiss_roll(components=5000)
    x = np.asarray(finer.sample(jax.random.key(0), 300))
    measured = roll.log_density(jnp.asarray(x))
    # By integration along the curve in float64.
    t = np.linspace(1.5 * np.pi, 4.5 * np.pi, 20_001)
    curve = t[:, None] * np.stack([np.cos(t), np.sin(t)], -1) / 7.5
    squares = ((x[:, None] - curve) ** 2).sum(-1)
    scale = 1 / 30
    along = np.exp(-squares / (2 * scale**2)) / (2 * np.pi * scale**2)
    expected = np.log(np.trapezoid(along, dx=1 / 20_000, axis=1))
    np.testing.assert_allclose(measured, expected, atol=0.01)


def test_the_swiss_roll_is_scikit_learns():
    # t (cos t, sin t) from 1.5 pi (0, -1) outwards, one and a half turns.
    roll = mixtures.swiss_roll(scale=1e-4)
    radius = np.linalg.norm(np.asarray(roll.means), axis=1) * 7.5
    np.testing.assert_allclose(radius[[0, -1]], [1.5 * np.pi, 4.5 * np.pi], atol=0.01)
    np.testing.assert_allclose(roll.means[0], [0, -1.5 * np.pi / 7.5], atol=0.01)
    assert (np.diff(radius) > 0).all()


def test_noise_added_to_samples_is_noise_added_to_the_mixture():
    noisy = mixtures.with_noise(LINE, 1.0)
    keys = jax.random.split(jax.random.key(0))
    x = LINE.sample(keys[0], 20_000)[:, 0] + jax.random.normal(keys[1], (20_000,))
    cdf = lambda t: (  # noqa: E731
        0.3 * stats.norm(-2, np.hypot(0.5, 1)).cdf(t)
        + 0.7 * stats.norm(1, np.hypot(1.5, 1)).cdf(t)
    )
    assert stats.kstest(np.asarray(x), cdf).pvalue > 1e-3
    y = np.asarray(noisy.sample(keys[0], 20_000))[:, 0]
    assert stats.kstest(y, cdf).pvalue > 1e-3


def test_a_repeated_mixture_is_the_same_distribution():
    x = jnp.linspace(-4, 4, 30)[:, None]
    repeated = mixtures.repeat(LINE, 6)
    assert repeated.weights.shape == (6,)
    np.testing.assert_allclose(repeated.log_density(x), LINE.log_density(x), rtol=1e-5)


def test_parameters_are_swept_by_vmap():
    def at(mean):
        return mixtures.gaussian(mean[None], 0.5).sample(jax.random.key(0), 1000).mean()

    means = jnp.array([-1.0, 0.0, 3.0])
    np.testing.assert_allclose(jax.vmap(at)(means), means, atol=0.06)


def test_an_interpolated_mixture_is_that_of_interpolated_samples():
    data, model = LINE, mixtures.on_a_line([3], [0.2])
    keys = jax.random.split(jax.random.key(0))
    share = 0.3
    x = share * model.sample(keys[0], 20_000) + (1 - share) * data.sample(
        keys[1], 20_000
    )
    between = mixtures.interpolated(data, model, share)
    weights, means, scales = map(np.asarray, between)

    def cdf(t):
        each = stats.norm.cdf(np.asarray(t)[:, None], means[:, 0], scales)
        return each @ weights

    assert stats.kstest(np.asarray(x)[:, 0], cdf).pvalue > 1e-3


def test_points_of_penalty_have_the_penalised_density():
    data, model = LINE, mixtures.on_a_line([3], [0.2])
    keys = jax.random.split(jax.random.key(0), 3)
    share = jax.random.uniform(keys[2], (20_000, 1))
    x = share * model.sample(keys[0], 20_000) + (1 - share) * data.sample(
        keys[1], 20_000
    )
    grid = np.linspace(-8, 9, 2001)
    density = mixtures.penalised_density(
        data, model, lambda mixture: mixture.log_density(jnp.asarray(grid)[:, None])
    )
    masses = np.cumsum(density) * (grid[1] - grid[0])
    np.testing.assert_allclose(masses[-1], 1, atol=1e-4)
    cdf = lambda t: np.interp(t, grid, masses)  # noqa: E731
    assert stats.kstest(np.asarray(x)[:, 0], cdf).pvalue > 1e-3


def test_the_radial_density_is_that_of_distances():
    plane = mixtures.Mixture(
        jnp.array([0.3, 0.7]), jnp.zeros((2, 2)), jnp.array([0.5, 2.0])
    )
    distances = np.linalg.norm(plane.sample(jax.random.key(0), 20_000), axis=1)
    grid = np.linspace(1e-3, 15, 4001)
    density = np.exp(plane.radial_log_density(jnp.asarray(grid)))
    masses = np.cumsum(density) * (grid[1] - grid[0])
    cdf = lambda t: np.interp(t, grid, masses)  # noqa: E731
    assert stats.kstest(distances, cdf).pvalue > 1e-3


def test_a_mixture_is_repeated_in_whole_parts_only():
    with pytest.raises(ValueError, match="8 is no multiple of 3"):
        mixtures.repeat(mixtures.ring(3), 8)
