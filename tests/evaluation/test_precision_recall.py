"""Precision, recall, density and coverage against loops, hand and expectation."""

import math

import numpy as np
import pytest

from gan_jax.errors import UserError
from gan_jax.evaluation import PRDC, precision_recall_density_coverage


def by_loops(real, fake, k):
    def balls(points):
        radii = []
        for i, p in enumerate(points):
            others = [math.dist(p, q) for j, q in enumerate(points) if j != i]
            radii.append(sorted(others)[k - 1])
        return list(zip(points, radii, strict=True))

    def share(hits):
        hits = list(hits)
        return sum(hits) / len(hits)

    reals, fakes = balls(real), balls(fake)
    return PRDC(
        share(any(math.dist(f, c) <= r for c, r in reals) for f in fake),
        share(any(math.dist(x, c) <= r for c, r in fakes) for x in real),
        share(sum(math.dist(f, c) <= r for c, r in reals) for f in fake) / k,
        share(any(math.dist(f, c) <= r for f in fake) for c, r in reals),
    )


def clouds(n=30, m=25, d=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)), 1 + 0.8 * rng.normal(size=(m, d))


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize("seed", [0, 1])
def test_measures_are_those_of_a_double_loop(k, seed):
    real, fake = clouds(seed=seed)
    result = precision_recall_density_coverage(real, fake, neighbours=k)
    np.testing.assert_allclose(result, by_loops(real, fake, k), rtol=1e-14)


@pytest.mark.parametrize("offset", [0, 100_000])
@pytest.mark.parametrize("k", [1, 3])
def test_samples_on_the_border_of_a_ball_are_inside(k, offset):
    # On a grid a third of all decisions are ties, whose distances are exact in the
    # loop; with the offset the product of matrices is wrong by 1e-5.
    rng = np.random.default_rng(0)
    real, fake = offset + rng.integers(0, 5, (2, 40, 2))
    result = precision_recall_density_coverage(real, fake, neighbours=k)
    np.testing.assert_allclose(result, by_loops(real, fake, k), rtol=1e-14)


def test_measures_on_a_line_are_those_by_hand():
    # Real balls: 0 +- 1, 1 +- 1, 3 +- 2. Fake balls: 1.5 +- 2.5, 4 +- 2.5, 10 +- 6.
    # Fake 1.5 is in two real balls, 4 in one, 10 in none: precision 2/3, density 3/3.
    # The real balls of 1 and 3 hold a fake: coverage 2/3. All of 0, 1 and 3 are in the
    # fake ball [-1, 4]: recall 1.
    result = precision_recall_density_coverage(
        [[0], [1], [3]], [[1.5], [4], [10]], neighbours=1
    )
    np.testing.assert_allclose(result, (2 / 3, 1, 1, 2 / 3), rtol=1e-15)


@pytest.mark.parametrize("scale", [1.0, 1e6])
@pytest.mark.parametrize("k", [1, 5])
def test_identical_sets_cover_each_other(k, scale):
    # Each ball holds its centre and its k neighbours, the last one on the border.
    x = scale * clouds(200, d=16)[0]
    result = precision_recall_density_coverage(x, x[::-1], neighbours=k)
    assert result == (1, 1, pytest.approx((k + 1) / k, rel=1e-14), 1)


def test_sets_far_apart_have_nothing_in_common():
    real, fake = clouds()
    assert precision_recall_density_coverage(real, fake + 100) == (0, 0, 0, 0)


def test_one_mode_of_two_is_precise_but_not_all():
    rng = np.random.default_rng(0)
    real, fake = rng.normal(size=(2, 200, 2))
    real[100:, 0] += 100
    result = precision_recall_density_coverage(real, fake)
    assert result.precision > 0.9
    assert 0.4 < result.recall <= 0.5
    assert 0.4 < result.coverage <= 0.5


def test_copies_of_one_real_sample_are_precise_and_cover_next_to_nothing():
    real = clouds(n=100)[0]
    fake = np.repeat(real[:1], 50, axis=0)
    result = precision_recall_density_coverage(real, fake)
    # The radii of the copies are 0, and their manifold is the one real sample.
    assert (result.precision, result.recall) == (1, 0.01)
    assert 0.01 <= result.coverage < 0.2


def test_density_and_coverage_have_their_expectations_for_equal_distributions():
    # A fake is among the k nearest of N equals with probability k / N, and there are N
    # balls: the density is 1. A ball is empty when the k nearest of its N - 1 + M
    # others are all real: coverage 1 - prod_{i<k} (N - 1 - i) / (N - 1 + M - i).
    # Naeem et al. 2020, section 3.
    n, m, k, draws = 30, 20, 3, 300
    rng = np.random.default_rng(0)
    results = np.array(
        [
            precision_recall_density_coverage(
                rng.normal(size=(n, 2)), rng.normal(size=(m, 2)), neighbours=k
            )
            for _ in range(draws)
        ]
    )
    empty = math.prod((n - 1 - i) / (n - 1 + m - i) for i in range(k))
    errors = results.std(axis=0) / math.sqrt(draws)
    off = np.abs(results.mean(axis=0) - [np.nan, np.nan, 1, 1 - empty]) / errors
    assert off[2] < 4
    assert off[3] < 4


@pytest.mark.parametrize("block_size", [1, 7, 25, 1000])
def test_block_size_does_not_matter_even_on_the_border(block_size):
    real, fake = 1000 + np.random.default_rng(0).integers(0, 7, (2, 40, 3))
    assert precision_recall_density_coverage(
        real, fake, block_size=block_size
    ) == precision_recall_density_coverage(real, fake)


def test_order_rotation_shift_and_scale_do_not_matter():
    real, fake = clouds()
    q = np.linalg.qr(np.random.default_rng(9).normal(size=(3, 3)))[0]
    result = precision_recall_density_coverage(real, fake)
    assert precision_recall_density_coverage(real[::-1], fake[::-1]) == result
    moved = [7 * a @ q + 3 for a in (real, fake)]
    assert precision_recall_density_coverage(*moved) == result


def test_roles_exchanged_exchange_precision_and_recall():
    real, fake = clouds()
    one = precision_recall_density_coverage(real, fake)
    other = precision_recall_density_coverage(fake, real)
    assert one.precision != one.recall
    assert (one.precision, one.recall) == (other.recall, other.precision)


def test_five_neighbours_are_the_default():
    real, fake = clouds()
    default = precision_recall_density_coverage(real, fake)
    assert default == precision_recall_density_coverage(real, fake, neighbours=5)
    assert default != precision_recall_density_coverage(real, fake, neighbours=4)


@pytest.mark.parametrize(
    ("real", "fake", "options", "message"),
    [
        (np.eye(6), np.eye(6)[:5], {}, "5 neighbours needs at least 6.*fake has 5"),
        (np.eye(3), np.eye(3), {"neighbours": 3}, "at least 4 .*real has 3: draw"),
        (np.eye(3), np.eye(3), {"neighbours": 0}, "neighbours is 0: give 1 or more"),
        (np.eye(6), np.eye(7), {}, "one dimension, not 6 of real, 7 of fake"),
        (np.eye(6) * np.nan, np.eye(6), {}, "real holds NaN or infinity"),
        (np.eye(6), np.eye(6), {"block_size": -1}, "block_size is -1: give 1 or more"),
    ],
)
def test_mistakes_are_refused(real, fake, options, message):
    with pytest.raises(UserError, match=message):
        precision_recall_density_coverage(real, fake, **options)


def test_one_sample_more_than_neighbours_is_enough():
    assert precision_recall_density_coverage(np.eye(6), np.eye(6)) == (1, 1, 1.2, 1)
