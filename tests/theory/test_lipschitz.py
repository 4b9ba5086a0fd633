"""Critics under a price on their slope, found by exhaustive search."""

import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.data import mixtures
from gan_jax.theory import divergences, lipschitz

GRID = jnp.linspace(-14, 16, 6001)


def penalised_density(data, model):
    on_grid = lambda mixture: mixture.log_density(GRID[:, None])  # noqa: E731
    return mixtures.penalised_density(data, model, on_grid)


def gap(data, model, weight):
    sides = (m.log_density(GRID[:, None]) for m in (data, model))
    density = penalised_density(data, model)
    return float(lipschitz.penalised_gap(*sides, density, GRID, weight))


PAIRS = [*mixtures.pairs_on_a_line().values()]


@pytest.mark.parametrize("weight", [1.0, 10.0])
@pytest.mark.parametrize(("data", "model"), PAIRS)
def test_the_penalised_gap_is_that_of_the_best_slope_at_every_point(
    data, model, weight
):
    p, q = (np.exp(m.log_density(GRID[:, None])) for m in (data, model))
    step = 30 / 6000
    moved = np.abs(np.cumsum(p - q)) * step
    density = np.asarray(penalised_density(data, model))
    slopes = np.linspace(0, 12, 2401)[:, None]
    gain = slopes * moved - weight * (slopes - 1) ** 2 * density
    best = slopes[gain.argmax(0), 0]
    assert (density[moved > 1e-3] > 1e-4).all()
    seen = density > 1e-6
    expected = np.sum((best * moved)[seen]) * step
    np.testing.assert_allclose(gap(data, model, weight), expected, rtol=5e-3)


@pytest.mark.parametrize("weight", [0.5, 2.0, 10.0])
def test_between_two_points_one_slope_is_the_best(weight):
    data, model = mixtures.gaussian([0.0], 0.02), mixtures.gaussian([2.0], 0.02)
    uniform = lipschitz.uniform_gap(2.0, weight)
    np.testing.assert_allclose(gap(data, model, weight), uniform, rtol=0.02)


@pytest.mark.parametrize(("data", "model"), PAIRS)
def test_one_slope_gives_the_least_of_the_gaps(data, model):
    sides = (m.log_density(GRID[:, None]) for m in (data, model))
    w1 = divergences.wasserstein(*sides, GRID)
    assert gap(data, model, 2.0) > lipschitz.uniform_gap(w1, 2.0)


@pytest.mark.parametrize("distance", [0.3, 1.0, 2.5])
@pytest.mark.parametrize("weight", [1.0, 10.0])
def test_the_uniform_slope_is_the_best_of_all(distance, weight):
    slopes = np.linspace(0, 4, 400_001)
    best = slopes[np.argmax(slopes * distance - weight * (slopes - 1) ** 2)]
    np.testing.assert_allclose(
        lipschitz.uniform_slope(distance, weight), best, atol=1e-5
    )
    np.testing.assert_allclose(
        lipschitz.uniform_gap(distance, weight), best * distance, atol=1e-4
    )


def test_gradient_ascent_on_the_gap_never_ends():
    weight = np.zeros(2)
    difference = np.array([1.0, 2.0])
    for _ in range(30):
        weight += 0.1 * difference
    gap = weight @ difference
    np.testing.assert_allclose(lipschitz.ascent_gap(np.sqrt(5), 0.1, 30), gap)
