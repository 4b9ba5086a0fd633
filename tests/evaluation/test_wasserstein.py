"""Exact transport against exhaustive search, closed forms and its own dual."""

import itertools

import numpy as np
import pytest
from scipy import stats

from gan_jax.errors import UserError
from gan_jax.evaluation import wasserstein

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("dimension", [1, 2, 5])
def test_the_distance_is_the_cheapest_of_all_pairings(dimension):
    x, y = RNG.normal(size=(2, 6, dimension))
    costs = np.linalg.norm(x[:, None] - y, axis=-1)
    cheapest = min(
        costs[np.arange(6), list(order)].mean()
        for order in itertools.permutations(range(6))
    )
    np.testing.assert_allclose(wasserstein.wasserstein(x, y), cheapest, rtol=1e-12)


def test_on_a_line_it_is_scipys():
    x, y = RNG.normal(size=(500, 1)), 2 + 3 * RNG.normal(size=(500, 1))
    expected = stats.wasserstein_distance(x[:, 0], y[:, 0])
    np.testing.assert_allclose(wasserstein.wasserstein(x, y), expected, rtol=1e-12)


def test_a_shift_costs_its_length():
    x = RNG.normal(size=(100, 3))
    shift = np.array([1.0, 2.0, 2.0])
    order = RNG.permutation(100)
    np.testing.assert_allclose(wasserstein.wasserstein(x, (x + shift)[order]), 3)


@pytest.mark.parametrize("slope", [0.5, 1.0, 4.0])
def test_the_largest_gap_of_bounded_slope_is_that_many_distances(slope):
    x, y = RNG.normal(size=(2, 25, 2))
    gap = wasserstein.largest_gap(x, y, slope)
    np.testing.assert_allclose(gap, slope * wasserstein.wasserstein(x, y), rtol=1e-8)


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        (((3, 2), (4, 2)), r"cannot pair \[3, 2\] with \[4, 2\]"),
        (((5001, 2), (5001, 2)), "5001 points are too many"),
        (((0, 2), (0, 2)), "at least 1"),
    ],
)
def test_sets_that_cannot_be_paired_are_refused(shapes, words):
    with pytest.raises(UserError, match=words):
        wasserstein.wasserstein(*map(np.zeros, shapes))


def test_between_two_points_the_best_critic_is_a_line():
    places = np.sort(np.append(RNG.uniform(0, 3, 30), [0, 3]))
    gain = np.zeros(32)
    gain[0], gain[-1] = 1, -1
    values = wasserstein.best_critic(places[:, None], gain, 2.0)
    np.testing.assert_allclose(np.diff(values) / np.diff(places), -2, rtol=1e-6)


@pytest.mark.parametrize("slope", [0.0, -1.0, np.inf, np.nan])
def test_a_slope_that_is_no_bound_is_refused(slope):
    with pytest.raises(UserError, match="is no bound"):
        wasserstein.largest_gap([[0.0]], [[1.0]], slope)


def test_gains_that_favour_every_critic_are_refused():
    with pytest.raises(UserError, match="add up to 0"):
        wasserstein.best_critic([[0.0], [1.0]], [1.0, 0.0])


def test_too_many_points_for_the_dual_are_refused():
    with pytest.raises(UserError, match="202 points are too many"):
        wasserstein.largest_gap(*np.zeros((2, 101, 1)))
