"""Intervals of measures: what they hold, over many draws of the samples."""

import numpy as np
import pytest

from gan_jax.evaluation import bootstrap, frechet, kid

REPEATS = 150


def test_a_resample_has_as_many_samples_drawn_with_replacement():
    counts = bootstrap.resamples(50, replicates=400, seed=1)
    assert counts.shape == (400, 50)
    assert (counts.sum(axis=1) == 50).all()
    # Each count is binomial of n and 1 / n: variance 1 - 1 / n.
    np.testing.assert_allclose(counts.var(axis=0).mean(), 1 - 1 / 50, rtol=0.05)
    np.testing.assert_array_equal(counts, bootstrap.resamples(50, 400, seed=1))
    assert not np.array_equal(counts, bootstrap.resamples(50, 400, seed=2))


def test_the_interval_is_two_standard_errors_around_the_value():
    lower, upper = bootstrap.interval(3.0, [9, 11, 13])  # of a deviation of 2
    np.testing.assert_allclose((lower, upper), (3 - 3.92, 3 + 3.92), rtol=1e-3)


def draws(n=100, d=3):
    """Samples of one distribution, again and again, and others to compare with."""
    rng = np.random.default_rng(0)
    samples = [rng.normal(0.3, 0.8, size=(n, d)) for _ in range(REPEATS)]
    return samples, rng.normal(size=(500, d))


def by_frechet(x, other, counts):
    real = frechet.moments(other)
    value = frechet.frechet_distance_of_moments(frechet.moments(x), real)
    return value, frechet.resampled_distances(x, real, counts)


def by_kid(x, other, counts):
    estimate, replicates = kid.estimate_kid_resampled(x, other, counts)
    return estimate.value, replicates


@pytest.mark.parametrize("measure", [by_frechet, by_kid])
def test_95_percent_intervals_hold_the_mean_over_draws_about_so_often(measure):
    samples, other = draws()
    values, held = [], []
    for seed, x in enumerate(samples):
        counts = bootstrap.resamples(len(x), seed=seed)
        value, replicates = measure(x, other, counts)
        values.append(value)
        held.append(bootstrap.interval(value, replicates))
    mean = np.mean(values)
    share = np.mean([lower <= mean <= upper for lower, upper in held])
    # Of 150 intervals of 95 %: a share of 0.95, give or take 0.018.
    assert 0.90 <= share <= 0.99


@pytest.mark.parametrize("measure", [by_frechet, by_kid])
def test_of_equal_distributions_they_are_too_wide_and_not_too_narrow(measure):
    rng = np.random.default_rng(1)
    values, widths = [], []
    for seed in range(REPEATS):
        x, other = rng.normal(size=(100, 3)), rng.normal(size=(100, 3))
        value, replicates = measure(x, other, bootstrap.resamples(len(x), seed=seed))
        lower, upper = bootstrap.interval(value, replicates)
        values.append(value)
        widths.append(upper - lower)
    # Over draws of both sets: more than of the samples alone, of which they are.
    exact = 2 * 1.96 * np.std(values)
    assert 0.8 < np.mean(widths) / exact < 1.8


def test_a_resample_that_has_no_value_is_left_out():
    assert bootstrap.interval(0, [1, np.nan, 3]) == bootstrap.interval(0, [1, 3])
