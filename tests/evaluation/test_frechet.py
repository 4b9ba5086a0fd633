"""The Frechet distance against a matrix square root, Gram matrices and arithmetic."""

import numpy as np
import pytest
import scipy.linalg

from gan_jax.errors import UserError
from gan_jax.evaluation import (
    bootstrap,
    extrapolation,
    frechet,
    frechet_distance,
    frechet_distance_of_moments,
    moments,
)


def samples(n, d, seed=0):
    """Correlated features with a mean and spread of their own."""
    rng = np.random.default_rng([seed, d])
    return rng.normal(size=d) + rng.normal(size=(n, d)) @ rng.normal(size=(d, d))


def rotation(d):
    return np.linalg.qr(np.random.default_rng(9).normal(size=(d, d)))[0]


@pytest.mark.parametrize(("n", "m", "d"), [(50, 60, 1), (50, 60, 3), (90, 50, 20)])
def test_distance_is_the_one_by_the_square_root_of_the_product(n, m, d):
    x, y = samples(n, d, 1), samples(m, d, 2)
    cx, cy = (np.cov(a, rowvar=False).reshape(d, d) for a in (x, y))
    root = scipy.linalg.sqrtm(cx @ cy)
    expected = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(cx + cy - 2 * root).real
    np.testing.assert_allclose(frechet_distance(x, y), expected, rtol=1e-8)


@pytest.mark.parametrize(("n", "m", "d"), [(2, 2, 5), (10, 8, 30), (10, 70, 30)])
def test_distance_of_fewer_samples_than_dimensions_is_the_one_by_gram_matrices(n, m, d):
    # With rows Xc of centred samples, tr (Cx^1/2 Cy Cx^1/2)^1/2 is the sum of the
    # singular values of Xc Yc^T / sqrt((n - 1) (m - 1)): no covariance, no square root.
    x, y = samples(n, d, 1), samples(m, d, 2)
    xc, yc = ((a - a.mean(0)) / np.sqrt(len(a) - 1) for a in (x, y))
    traces = (xc**2).sum() + (yc**2).sum()
    overlap = np.linalg.norm(xc @ yc.T, ord="nuc")
    expected = ((x.mean(0) - y.mean(0)) ** 2).sum() + traces - 2 * overlap
    np.testing.assert_allclose(frechet_distance(x, y), expected, rtol=1e-10)


def test_distance_on_a_line_is_that_of_means_plus_that_of_standard_deviations():
    # Means 1 and 7, variances 2 and 8: (7 - 1)^2 + (sqrt 8 - sqrt 2)^2 = 36 + 2.
    value = frechet_distance([[0], [2]], [[5], [9]])
    np.testing.assert_allclose(value, 38, rtol=1e-14)


def test_distance_of_axis_aligned_gaussians_adds_up_over_the_axes():
    # Covariances diag(2, 8) / 3 and diag(18, 2) / 3, both means 0:
    # (sqrt 2 - sqrt 18)^2 / 3 + (sqrt 8 - sqrt 2)^2 / 3 = 8 / 3 + 2 / 3.
    x = [[1, 0], [-1, 0], [0, 2], [0, -2]]
    y = [[3, 0], [-3, 0], [0, 1], [0, -1]]
    np.testing.assert_allclose(frechet_distance(x, y), 10 / 3, rtol=1e-14)


def test_a_point_is_as_far_from_a_gaussian_as_its_trace():
    # No covariance at all on one side: 0 + tr diag(2, 8) / 3.
    x = [[1, 0], [-1, 0], [0, 2], [0, -2]]
    np.testing.assert_allclose(frechet_distance(x, np.zeros((3, 2))), 10 / 3)
    assert frechet_distance(np.zeros((3, 2)), np.ones((5, 2))) == 2


@pytest.mark.parametrize(("n", "d"), [(40, 6), (10, 30), (2, 4)])
def test_equal_covariances_leave_the_squared_distance_of_the_means(n, d):
    x, shift = samples(n, d), np.arange(1.0, d + 1)
    value = frechet_distance(x, x[::-1] + shift)
    np.testing.assert_allclose(value, (shift**2).sum(), rtol=1e-10)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize(("n", "d"), [(40, 6), (10, 30), (20, 60)])
def test_equal_sets_are_at_zero_and_never_below(n, d, scale):
    for seed in range(3):
        x = scale * samples(n, d, seed)
        assert frechet_distance(x, x) < 1e-12 * (x**2).sum()
        order = np.random.default_rng(seed).permutation(n)
        assert 0 <= frechet_distance(x, x[order]) < 1e-12 * (x**2).sum()


def test_distance_is_symmetric_and_keeps_under_rotation_and_shift_of_both():
    x, y = samples(50, 7, 1), samples(40, 7, 2)
    value = frechet_distance(x, y)
    np.testing.assert_allclose(frechet_distance(y, x), value, rtol=1e-11)
    turned = [a @ rotation(7) + 5 for a in (x, y)]
    np.testing.assert_allclose(frechet_distance(*turned), value, rtol=1e-11)


def test_order_of_samples_does_not_matter_but_pairing_features_does():
    x, y = samples(50, 7, 1), samples(40, 7, 2)
    value = frechet_distance(x, y)
    np.testing.assert_allclose(frechet_distance(x[::-1], y), value, rtol=1e-11)
    assert abs(frechet_distance(x[:, ::-1], y) - value) > 0.01 * value


def test_distance_is_squared_so_it_grows_with_the_square_of_the_scale():
    x, y = samples(50, 4, 1), samples(40, 4, 2)
    value = frechet_distance(x, y)
    np.testing.assert_allclose(frechet_distance(3 * x, 3 * y), 9 * value, rtol=1e-11)


def test_moments_are_those_of_numpy_and_serve_again():
    x, y = samples(50, 4, 1), samples(40, 4, 2)
    reference = moments(x)
    np.testing.assert_allclose(reference.mean, x.mean(0), rtol=1e-14)
    np.testing.assert_allclose(reference.covariance, np.cov(x, rowvar=False))
    assert reference.count == 50
    value = frechet_distance_of_moments(reference, moments(y))
    assert value == frechet_distance(x, y)


def test_float32_features_are_taken_in_float64():
    x, y = (samples(50, 4, seed).astype(np.float32) for seed in (1, 2))
    value = frechet_distance(x, y)
    assert value == frechet_distance(x.astype(np.float64), y.astype(np.float64))
    assert moments(x).covariance.dtype == np.float64


GOOD = np.eye(4)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (GOOD, GOOD[:1], "Frechet distance needs at least 2 samples.*y has 1: draw"),
        (GOOD[:0], GOOD, "Frechet distance needs at least 2 samples.*x has 0: draw"),
        (GOOD, np.eye(3), "one dimension, not 4 of x, 3 of y: take them from"),
        (GOOD * np.nan, GOOD, "needs finite features, and x holds NaN or infinity"),
        (GOOD, GOOD + np.inf, "needs finite features, and y holds NaN or infinity"),
        (GOOD[0], GOOD, r"x has the shape \(4,\): make it \[samples, dimensions\]"),
        (GOOD, GOOD[..., None], r"y has the shape \(4, 4, 1\): make it"),
        (GOOD[:, :0], GOOD, r"x has the shape \(4, 0\): make it"),
    ],
)
def test_bad_features_are_refused_in_one_line(x, y, message):
    with pytest.raises(UserError, match=message) as error:
        frechet_distance(x, y)
    assert "\n" not in str(error.value)


def test_moments_of_one_sample_and_of_two_dimensions_are_refused():
    with pytest.raises(UserError, match=r"at least 2 samples.*features has 1"):
        moments(GOOD[:1])
    with pytest.raises(UserError, match="not 4 and 3"):
        frechet_distance_of_moments(moments(GOOD), moments(np.eye(3)))


# Resamples, and infinitely many


@pytest.mark.parametrize(("n", "tolerance"), [(40, 1e-10), (6, 1e-6)])
def test_a_resample_is_measured_as_if_its_copies_were_samples(n, tolerance):
    rng = np.random.default_rng(3)
    x, other = rng.normal(size=(n, 5)) + 3, 2 * rng.normal(size=(30, 5))
    counts = bootstrap.resamples(n, replicates=4)
    found = frechet.resampled_distances(x, frechet.moments(other), counts)
    copies = [np.repeat(x, count.astype(int), axis=0) for count in counts]
    expected = [frechet.frechet_distance(copy, other) for copy in copies]
    np.testing.assert_allclose(found, expected, rtol=tolerance)


def test_where_the_distance_is_a_line_in_1_over_n_infinity_is_its_end(monkeypatch):
    monkeypatch.setattr(
        frechet, "frechet_distance_of_moments", lambda a, b: 5 + 70 / a.count
    )
    x = np.random.default_rng(0).normal(size=(300, 2))
    found = extrapolation.frechet_infinity(x, frechet.moments(x))
    np.testing.assert_allclose(found, 5, rtol=1e-12)


@pytest.mark.parametrize("shift", [0, 0.3])
def test_infinity_has_a_fifth_of_the_bias_of_few_samples(shift):
    rng = np.random.default_rng(0)
    d, n = 8, 200
    reference = frechet.Moments(np.full(d, shift), np.eye(d), 10**9)
    truth = d * shift**2  # the samples are standard normal
    plain, extrapolated = [], []
    for seed in range(100):
        x = rng.normal(size=(n, d))
        fitted = frechet.moments(x)
        plain.append(frechet.frechet_distance_of_moments(fitted, reference))
        extrapolated.append(extrapolation.frechet_infinity(x, reference, seed))
    bias, left = np.mean(plain) - truth, np.mean(extrapolated) - truth
    error = np.std(extrapolated) / 10
    assert bias > 5 * error
    assert abs(left) < bias / 10 + 2 * error
    assert abs(left) < bias / 5


def test_too_few_samples_are_not_extrapolated():
    x = np.random.default_rng(0).normal(size=(31, 8))
    assert np.isnan(extrapolation.frechet_infinity(x, frechet.moments(x)))
    assert extrapolation.fewest(8) == 32
