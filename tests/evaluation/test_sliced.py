"""The sliced Wasserstein distance against arithmetic, closed forms and quadrature."""

import math
import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from gan_jax.errors import UserError
from gan_jax.evaluation import sliced_wasserstein

# On a line every direction is +1 or -1, and the distance is W1 itself.
BY_HAND = {
    # In order: |0 - 5|, |1 - 6|, |3 - 8|.
    "equal counts": ([3, 0, 1], [6, 8, 5], 5),
    # Both go to 1.
    "a point": ([0, 2], [1], 1),
    # |2/3 - 1/2| over [0, 1], and |2/3 - 1| over [1, 3].
    "unequal counts": ([0, 0, 3], [0, 1], 5 / 6),
}


@pytest.mark.parametrize("name", BY_HAND)
@pytest.mark.parametrize("projections", [1, 64, 65])
def test_distance_on_a_line_is_the_one_by_hand(name, projections):
    x, y, expected = BY_HAND[name]
    for one, other in ((x, y), (y, x)):
        columns = np.reshape(one, (-1, 1)), np.reshape(other, (-1, 1))
        value = sliced_wasserstein(*columns, projections=projections)
        np.testing.assert_allclose(value, expected, rtol=1e-14)


@pytest.mark.parametrize("d", [2, 3, 50])
def test_a_shift_costs_its_mean_length_along_a_direction(d):
    # E |u_1| = Gamma(d / 2) / (sqrt(pi) Gamma((d + 1) / 2)): 2 / pi in the plane, 1/2
    # in space; E u_1^2 = 1 / d gives the error of the mean.
    rng = np.random.default_rng(0)
    x, shift, count = rng.normal(size=(20, d)), rng.normal(size=d), 5000
    unit = math.exp(math.lgamma(d / 2) - math.lgamma((d + 1) / 2)) / math.sqrt(math.pi)
    error = math.sqrt((1 / d - unit**2) / count)
    value = sliced_wasserstein(x, x + shift, projections=count)
    assert abs(value / np.linalg.norm(shift) - unit) < 4 * error


@pytest.mark.parametrize("m", [6, 9])
def test_distance_in_the_plane_is_the_mean_over_all_angles(m):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(6, 2)), rng.normal(size=(m, 2)) * [0.3, 2.0]
    angles = np.linspace(0, np.pi, 400, endpoint=False)
    directions = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    along = [stats.wasserstein_distance(x @ u, y @ u) for u in directions]
    value = sliced_wasserstein(x, y, projections=2000)
    assert abs(value - np.mean(along)) < 4 * np.std(along) / math.sqrt(2000)


def test_sorting_agrees_with_the_general_way():
    # A set and the same set twice are one distribution, in unequal counts.
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(15, 5)), 1 + rng.normal(size=(15, 5))
    value = sliced_wasserstein(x, y, projections=70)
    twice = sliced_wasserstein(x, np.concatenate([y, y]), projections=70)
    np.testing.assert_allclose(twice, value, rtol=1e-12)


def test_equal_sets_are_at_zero_in_any_order_and_others_are_not():
    x = np.random.default_rng(0).normal(size=(30, 5))
    assert sliced_wasserstein(x, x) == 0
    assert sliced_wasserstein(x, x[::-1]) < 1e-14
    assert sliced_wasserstein(x, x[:15]) > 0.1


def test_distance_is_symmetric_and_obeys_the_triangle_inequality():
    rng = np.random.default_rng(0)
    for _ in range(20):
        x, y, z = rng.normal(size=(3, 8, 3)) * rng.uniform(0, 3, size=(3, 1, 1))
        xy, yz, xz = (
            sliced_wasserstein(a, b, projections=16)
            for a, b in ((x, y), (y, z), (x, z))
        )
        assert sliced_wasserstein(y, x, projections=16) == xy
        assert 0 < xz <= xy + yz


def test_distance_grows_with_the_scale():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 20, 5))
    value = sliced_wasserstein(x, y)
    np.testing.assert_allclose(sliced_wasserstein(3 * x, 3 * y), 3 * value, rtol=1e-12)


def test_images_are_flattened_and_bytes_do_not_wrap_around():
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (2, 10, 28, 28, 1), np.uint8)
    value = sliced_wasserstein(x, y)
    flat = [a.reshape(10, 784).astype(np.float64) for a in (x, y)]
    assert value == sliced_wasserstein(*flat)
    assert sliced_wasserstein(np.uint8([[50]]), np.uint8([[250]])) == 200


def test_directions_depend_on_the_seed_only():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 20, 5))
    value = sliced_wasserstein(x, y, projections=8)
    assert sliced_wasserstein(x, y, projections=8) == value
    assert sliced_wasserstein(x, y, projections=8, seed=1) != value


def test_importing_the_measures_imports_neither_scipy_nor_jax():
    code = "import sys, gan_jax.evaluation; print({'scipy', 'jax'} & {*sys.modules})"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True
    )
    assert result.stdout == "set()\n", result.stderr


@pytest.mark.parametrize(
    ("x", "y", "options", "message"),
    [
        (np.eye(3), np.eye(3)[:0], {}, "sliced Wasserstein .* at least 1 .*y has 0"),
        (np.zeros((0, 28, 28, 1)), np.zeros((5, 28, 28, 1)), {}, "x has 0"),
        (np.eye(3), np.eye(4), {}, "one dimension, not 3 of x, 4 of y"),
        (np.eye(3) * np.nan, np.eye(3), {}, "x holds NaN or infinity"),
        (1.0, np.eye(3), {}, r"x has the shape \(\)"),
        (np.eye(3), np.eye(3), {"projections": 0}, "projections is 0: give 1 or more"),
    ],
)
def test_mistakes_are_refused(x, y, options, message):
    with pytest.raises(UserError, match=message):
        sliced_wasserstein(x, y, **options)
