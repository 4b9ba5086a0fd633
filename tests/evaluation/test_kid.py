"""KID against loops, enumeration of all samples, and Monte Carlo."""

import itertools
import math

import numpy as np
import pytest

from gan_jax.errors import UserError
from gan_jax.evaluation import bootstrap, estimate_kid
from gan_jax.evaluation.kid import estimate_kid_resampled


def k(a, b):
    return (np.dot(a, b) / len(a) + 1) ** 3


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def by_loops(x, y):
    def within(a):
        return mean(k(p, q) for p, q in itertools.permutations(a, 2))

    return within(x) + within(y) - 2 * mean(k(p, q) for p in x for q in y)


def sets(n=12, m=9, d=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)), 0.5 + 2 * rng.normal(size=(m, d))


@pytest.mark.parametrize(("n", "m", "d"), [(2, 2, 1), (12, 9, 3), (5, 20, 8)])
def test_value_is_that_of_a_double_loop(n, m, d):
    x, y = sets(n, m, d)
    value = estimate_kid(x, y).value
    np.testing.assert_allclose(value, by_loops(x, y), rtol=1e-11)


def test_value_of_four_numbers_is_the_one_by_hand():
    # k(a, b) = (ab + 1)^3. Within {0, 1}: k(0, 1) = 1; within {2, 0}: k(2, 0) = 1;
    # across: k(0, 2), k(0, 0), k(1, 2), k(1, 0) = 1, 1, 27, 1. 1 + 1 - 2 * 30 / 4.
    value = estimate_kid([[0], [1]], [[2], [0]]).value
    np.testing.assert_allclose(value, -13, rtol=1e-14)


def test_a_set_against_itself_is_below_zero():
    # The pairs of a sample with itself are in the mean across, and in no mean within.
    x, _ = sets()
    np.testing.assert_allclose(estimate_kid(x, x).value, by_loops(x, x), rtol=1e-11)
    assert estimate_kid(x, x).value < 0


@pytest.mark.parametrize("block_size", [1, 4, 9, 1000])
def test_block_size_does_not_matter(block_size):
    x, y = sets()
    result = estimate_kid(x, y, block_size=block_size)
    np.testing.assert_allclose(result, estimate_kid(x, y), rtol=1e-12)


def test_order_and_roles_of_the_sets_do_not_matter():
    x, y = sets()
    result = estimate_kid(x, y)
    order = np.random.default_rng(0).permutation(len(x))
    np.testing.assert_allclose(estimate_kid(x[order], y[::-1]), result, rtol=1e-12)
    np.testing.assert_allclose(estimate_kid(y, x), result, rtol=1e-12)


def test_rotation_of_both_does_not_matter_and_a_shift_of_both_does():
    x, y = sets()
    q = np.linalg.qr(np.random.default_rng(9).normal(size=(3, 3)))[0]
    result = estimate_kid(x, y)
    np.testing.assert_allclose(estimate_kid(x @ q, y @ q), result, rtol=1e-11)
    shifted = estimate_kid(x + 1, y + 1).value
    assert abs(shifted - result.value) > 0.1 * abs(result.value)


def test_small_differences_far_from_the_origin_are_not_lost_in_rounding():
    # The loop in extended precision: the kernel is 1e12, and differs by 1e-5 of itself.
    x, y = (100 + 1e-3 * a for a in sets())
    expected = by_loops(x.astype(np.longdouble), y.astype(np.longdouble))
    np.testing.assert_allclose(estimate_kid(x, y).value, expected, rtol=1e-5)


def test_small_differences_give_the_distance_of_a_linear_kernel_and_its_error():
    # k(c + ea, c + eb) is e^2 a.b but for a factor and what depends on one of the two
    # only, up to terms of e^3. At e = 1e-6 that is 1e-12 of k, and its square 1e-24.
    x, y = sets()
    large, small = (
        np.array(estimate_kid(1 + e * x, 1 + e * y)) / e**2 for e in (1e-4, 1e-6)
    )
    np.testing.assert_allclose(small, large, rtol=1e-3)


# Bias and standard error


# Populations of equally likely points, in two dimensions.
ATOMS_X = np.array([[0.0, 1.0], [1.0, 0.5], [2.0, -1.0]])
ATOMS_Y = np.array([[1.0, 1.0], [-0.5, 2.0]])


def every_draw(atoms, count):
    return [np.array(draw) for draw in itertools.product(atoms, repeat=count)]


def test_value_is_unbiased_over_every_possible_sample():
    results = [
        estimate_kid(x, y).value
        for x in every_draw(ATOMS_X, 3)
        for y in every_draw(ATOMS_Y, 2)
    ]
    expected = (
        mean(k(a, b) for a in ATOMS_X for b in ATOMS_X)
        + mean(k(a, b) for a in ATOMS_Y for b in ATOMS_Y)
        - 2 * mean(k(a, b) for a in ATOMS_X for b in ATOMS_Y)
    )
    np.testing.assert_allclose(mean(results), expected, rtol=1e-12)


def test_squared_standard_error_is_unbiased_over_every_possible_sample():
    # Far apart, so that the first-order term is nowhere kept from going negative.
    results = np.array(
        [
            estimate_kid(x, y)
            for x in every_draw(np.array([[3.0], [4.0]]), 5)
            for y in every_draw(np.array([[-0.25], [0.25]]), 4)
        ]
    )
    values, errors = results.T
    np.testing.assert_allclose((errors**2).mean(), values.var(), rtol=1e-10)


def many(draw, count=1500):
    rng = np.random.default_rng(0)
    return np.array([estimate_kid(*draw(rng)) for _ in range(count)]).T


def test_value_is_unbiased_and_error_not_too_small_for_equal_distributions():
    values, errors = many(
        lambda rng: (rng.normal(size=(40, 3)), rng.normal(size=(25, 3)))
    )
    assert abs(values.mean()) < 4 * values.std() / math.sqrt(len(values))
    # The first-order term alone would be 1.4 times too large here, or 0 if debiased.
    assert 0.95 < np.sqrt((errors**2).mean()) / values.std() < 1.3


@pytest.mark.parametrize(("n", "m"), [(40, 25), (10, 100)])
@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_standard_error_is_the_spread_over_samples(n, m, offset):
    scale = 1 if offset == 0 else 0.1
    values, errors = many(
        lambda rng: (
            offset + scale * rng.normal(size=(n, 3)),
            offset + scale * (1 + 0.7 * rng.normal(size=(m, 3))),
        )
    )
    np.testing.assert_allclose(np.sqrt((errors**2).mean()), values.std(), rtol=0.08)


def test_the_estimate_lies_within_a_few_standard_errors_of_that_of_many_samples():
    rng = np.random.default_rng(0)
    truth = estimate_kid(rng.normal(size=(4000, 3)), 1 + rng.normal(size=(4000, 3)))
    value, error = estimate_kid(rng.normal(size=(99, 3)), 1 + rng.normal(size=(99, 3)))
    assert abs(value - truth.value) < 4 * error
    assert truth.standard_error < error / 4


@pytest.mark.parametrize(("n", "m"), [(2, 2), (3, 9), (9, 3)])
def test_too_few_samples_for_an_error_give_nan_and_four_give_one(n, m):
    x, y = sets(9, 9)
    result = estimate_kid(x[:n], y[:m])
    assert math.isfinite(result.value)
    assert math.isnan(result.standard_error)
    assert estimate_kid(x[:4], y[:4]).standard_error > 0


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (np.eye(3)[:1], np.eye(3), "KID needs at least 2 .*x has 1: draw"),
        (np.eye(3), np.eye(4), "one dimension, not 3 of x, 4 of y"),
        (np.eye(3), np.full((3, 3), np.inf), "y holds NaN or infinity"),
    ],
)
def test_bad_features_are_refused(x, y, message):
    with pytest.raises(UserError, match=message):
        estimate_kid(x, y)


def test_a_block_of_nothing_is_refused():
    with pytest.raises(UserError, match="block_size is 0: give 1 or more"):
        estimate_kid(np.eye(3), np.eye(3), block_size=0)


# Resamples


def test_a_resample_leaves_out_pairs_of_copies_and_counts_all_others():
    x, y = sets()
    # The kernel centred, as in the value: of samples alone it makes no difference.
    c = (x.mean(axis=0) + y.mean(axis=0)) / 2

    def centred(a, b):
        return k(a, b) - k(a, c) - k(b, c) + k(c, c)

    def by_copies(counts):
        drawn = [i for i, count in enumerate(counts) for _ in range(int(count))]
        pairs = [(i, j) for i, j in itertools.permutations(drawn, 2) if i != j]
        within_x = mean(centred(x[i], x[j]) for i, j in pairs)
        within_y = mean(centred(a, b) for a, b in itertools.permutations(y, 2))
        return (
            within_x + within_y - 2 * mean(centred(x[i], b) for i in drawn for b in y)
        )

    counts = bootstrap.resamples(len(x), replicates=3)
    estimate, replicates = estimate_kid_resampled(x, y, counts, block_size=5)
    assert estimate == estimate_kid(x, y, block_size=5)
    np.testing.assert_allclose(replicates, [by_copies(c) for c in counts], rtol=1e-10)


def test_each_sample_once_is_the_value_itself():
    x, y = sets()
    estimate, replicates = estimate_kid_resampled(x, y, np.ones((2, len(x))))
    np.testing.assert_allclose(replicates, estimate.value, rtol=1e-12)
