"""Stochastic gradient descent against NumPy loops, and against every toss of coins."""

import itertools
import math

import hypothesis.extra.numpy as hnp
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optax import projections

from gan_jax.theory.dynamics import sgd

# The same cases every time, and no limit but that of the suite: see pyproject.toml.
many = settings(max_examples=300, deadline=None, derandomize=True, database=None)


def tosses(rate, num_steps, gradient, start, edge=np.inf):
    """theta_1 to theta_n for all equally likely tosses, ``[2^(n - 1), n]``, in float64.

    ``gradient(theta, toss)`` gives the values of g, and the probability of this toss.
    """
    signs = np.array(list(itertools.product((-1.0, 1.0), repeat=num_steps - 1)))
    theta, weight = np.full(len(signs), start), np.ones(len(signs))
    path, weights = [theta], [weight]
    for j in range(1, num_steps):
        g, probability = gradient(theta, signs[:, j - 1])
        theta = np.clip(theta - rate / j * g, -edge, edge)
        weight = weight * probability
        path.append(theta)
        weights.append(weight)
    return np.stack(path, 1), weight


def coin(theta, toss):
    """1 or -1, with mean theta: its square is 1 everywhere in [-1, 1]."""
    return toss, (1 + toss * theta) / 2


@pytest.mark.parametrize("rate", [0.6, 0.9, 1.0, 1.2, 1.4, 1.5, 2.0, 2.4, 3.0])
def test_the_bound_holds_from_where_it_is_said_to_at_the_latest(rate):
    path, weight = tosses(rate, 14, coin, 0.0, edge=1.0)
    np.testing.assert_allclose(weight.sum(), 1)
    bound = float(sgd.bound(rate, 1.0, 1.0)) / np.arange(1, 15)
    share = weight @ path**2 / 2 / bound
    first = sgd.bound_from(rate, 1.0)
    assert share[first - 1 :].max() <= 1 + 1e-6
    # A coin that starts at the optimum is off by the rate after a step, or by 1.
    np.testing.assert_allclose(share[1], 2 * (2 * rate - 1) / max(rate, 1) ** 2)
    assert (share[1] > 1) == (rate > 0.75)


def test_the_bound_follows_from_its_recursion():
    product = np.linspace(0.501, 6, 1000)  # c alpha; errors as shares of M^2 / c^2
    bound = np.asarray(sgd.bound(product, 1.0, 1.0), np.float64)
    assert (bound >= 0.5).all()  # so that it holds at the start
    error, fails = np.full(1000, 0.5), 0
    first = np.array([sgd.bound_from(p, 1.0) for p in product])
    for j in range(1, 200):
        factor = np.maximum(1 - 2 * product / j, 0)
        error = np.minimum(factor * error + product**2 / (2 * j**2), 0.5)
        share = error * (j + 1) / bound
        assert (share[j + 1 >= first] <= 1 + 1e-6).all()
        fails += (share[j + 1 < first] > 1).sum()
    assert fails > 1000  # before that, of some c alpha, the recursion proves no bound


@pytest.mark.parametrize(("rate", "curvature"), [(0.3, 1.0), (1.0, 1.0), (2.0, 1.7)])
def test_squared_errors_are_those_of_every_toss(rate, curvature):
    noise, start = 0.7, 1.3
    path, weight = tosses(
        rate, 12, lambda theta, toss: (curvature * theta + noise * toss, 0.5), start
    )
    steps = rate / jnp.arange(1.0, 13.0)
    closed = sgd.squared_errors(steps, curvature, noise, start)
    np.testing.assert_allclose(closed, weight @ path**2, rtol=1e-5)


@pytest.mark.parametrize("rate", [0.8, 1.0, 3.0])
def test_j_times_the_squared_error_goes_to_its_limit(rate):
    curvature, noise, error = 1.3, 0.4, 2.0
    for j in range(1, 100_000):
        error = (1 - curvature * rate / j) ** 2 * error + (rate * noise / j) ** 2
    limit = sgd.limit(rate, curvature, noise)
    np.testing.assert_allclose(100_000 * error, limit, rtol=1e-3)


def test_steps_that_are_too_small_have_no_bound_and_no_limit():
    for rate in (0.3, 0.5):
        assert np.isnan(sgd.bound(rate, 1.0, 1.0))
        assert np.isnan(sgd.limit(rate, 1.0, 1.0))


@pytest.mark.parametrize("product", [0.05, 0.2, 0.5, 0.9])
def test_without_noise_the_error_is_a_product(product):
    factors = np.cumprod(1 - product / np.arange(1.0, 1e6))
    j = np.array([2, 3, 10, 1000, 1_000_000])
    closed = sgd.noiseless(product, j.astype(np.float32))
    np.testing.assert_allclose(closed, factors[j - 2], rtol=1e-5)


def test_an_overestimated_convexity_costs_all_patience():
    # Of theta^2 / 10 from 1, with steps 1 / j: j^(-1/5) / Gamma(4/5).
    closed = float(sgd.noiseless(0.2, 1e9))
    assert 0.01 < closed < 0.015
    np.testing.assert_allclose(closed, 1e9**-0.2 / math.gamma(0.8), rtol=1e-5)


def test_moments_are_the_largest_in_the_set():
    rng = np.random.default_rng(0)
    target, noise = np.array([0.4, -0.7, 2.0]), 0.3
    points = rng.uniform(-1, 1, (100_000, 3))
    points = np.concatenate([points, list(itertools.product((-1, 1), repeat=3))])
    curvatures = np.array([0.5, 1.0, 3.0])
    found = np.sum((curvatures * (points - target)) ** 2, 1).max() + 3 * noise**2
    moment = sgd.moment(curvatures, 1 + abs(target), noise)
    np.testing.assert_allclose(moment, found, rtol=1e-5)
    inside = points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1)
    found = np.sum((2 * (inside - target)) ** 2, 1).max() + 3 * noise**2
    farthest = (1 + 1 / np.linalg.norm(target)) * abs(target)
    moment = sgd.moment(np.full(3, 2.0), farthest, noise)
    np.testing.assert_allclose(moment, found, rtol=1e-3)
    assert moment > found - 1e-5


def test_along_a_sphere_steps_shrink_by_its_curvature():
    radius, step, small = 0.8, 1e-4, 1e-5
    curvature, target = 1.5, np.array([0.0, 0.0, 2.0])
    theta = np.array([small, 0.0, radius])
    moved = theta - step * curvature * (theta - target)
    moved *= radius / np.linalg.norm(moved)
    shrunk = (1 - moved[0] / small) / step
    closed = sgd.curvature_on_ball(curvature, 2.0, radius)
    np.testing.assert_allclose(shrunk, closed, rtol=1e-3)


def test_paths_are_those_of_a_loop():
    start, key = np.array([0.5, -0.3], np.float32), jax.random.key(3)
    schedules = np.array([(1.0, 1.0), (0.4, 0.5)], np.float32)
    problems = {
        "box": sgd.Problem(
            lambda theta, z: 2 * theta + z,
            lambda theta: jnp.sum(theta**2),
            start,
            schedules,
            lambda theta: projections.projection_box(theta, -0.6, 0.6),
        ),
        "plain": sgd.Problem(
            lambda theta, z: theta**3 - z, lambda theta: theta[0], start, schedules[:1]
        ),
    }
    found = jax.jit(lambda key: sgd.mean_paths(problems, key, 5, 7))(key)
    assert {name: path.shape for name, path in found.items()} == {
        "box": (2, 7),
        "plain": (1, 7),
    }
    edge = math.sqrt(3)
    noise = [
        jax.random.uniform(
            jax.random.fold_in(key, j), (5, 2), minval=-edge, maxval=edge
        )
        for j in range(1, 8)
    ]
    noise = np.asarray(noise, np.float64)
    for (rate, power), path in zip(schedules, found["box"], strict=True):
        theta = np.tile(start.astype(np.float64), (5, 1))
        for j in range(7):
            np.testing.assert_allclose(path[j], np.mean(np.sum(theta**2, 1)), rtol=1e-5)
            moved = theta - rate / (j + 1) ** power * (2 * theta + noise[j])
            theta = np.clip(moved, -0.6, 0.6)
    theta = np.tile(start.astype(np.float64), (5, 1))
    for j in range(7):
        np.testing.assert_allclose(found["plain"][0, j], theta[:, 0].mean(), rtol=1e-5)
        theta = theta - (theta**3 - noise[j]) / (j + 1)


@pytest.mark.parametrize("power", [-1.3, 0.0, 0.5])
def test_a_power_of_j_has_that_slope_from_wherever_it_begins(power):
    errors = 3.0 * np.arange(1.0, 2001.0) ** power
    errors[:9] = 1e6  # before it
    np.testing.assert_allclose(sgd.slope(errors, 10), power, atol=1e-9)


def test_late_is_the_mean_of_the_second_half():
    values = np.arange(12.0).reshape(2, 6)
    np.testing.assert_array_equal(sgd.late(values), [4, 10])


def test_schedules_are_pairs_of_rate_and_power():
    np.testing.assert_array_equal(sgd.schedules(1, 3), [[1, 1], [3, 1]])
    np.testing.assert_array_equal(sgd.schedules(2, power=0), [[2, 0]])


def test_noise_has_mean_0_and_variance_1():
    problem = sgd.Problem(
        lambda theta, z: -z, lambda theta: theta @ theta, np.zeros(3, "f4"), [[1.0, 0]]
    )
    paths = jax.jit(lambda key: sgd.mean_paths({"": problem}, key, 100_000, 3))
    (path,) = paths(jax.random.key(0))[""]
    # theta_3 is a sum of two, in three entries: 5 deviations of its mean square.
    np.testing.assert_allclose(path, [0, 3, 6], atol=5 * math.sqrt(24 / 100_000))


# Near the sets and far from them. Squares of the farthest are finite in float32.
numbers = st.floats(-2, 2, width=32) | st.floats(-(2.0**50), 2.0**50, width=32)
pairs = hnp.arrays(np.float32, (2, 5), elements=numbers)
project = jax.jit(
    jax.vmap(lambda x: {name: to(x) for name, to in sgd.CONVEX_SETS.items()})
)
project_sphere = jax.jit(jax.vmap(projections.projection_l2_sphere))


def excess(pair, projected):
    """How much farther apart the projected points are than rounding can make them."""
    pair, projected = np.float64(pair), np.float64(projected)
    apart = np.linalg.norm(projected[0] - projected[1])
    before = np.linalg.norm(pair[0] - pair[1])
    # Sums of five and a quotient, a few roundings each, relative to what is summed.
    return apart - before - 20 * np.finfo(np.float32).eps * (np.abs(pair).sum() + 1)


@many
@given(pairs)
def test_projections_onto_convex_sets_never_move_points_apart(pair):
    for name, projected in jax.device_get(project(pair)).items():
        assert excess(pair, projected) <= 0, name


def test_onto_a_sphere_which_is_not_convex_points_can_move_apart():
    # Of two points at distance r from the centre, by 1 / r.
    pair = np.float32(0.1 * np.eye(5)[:2])
    projected = jax.device_get(project_sphere(pair))
    assert excess(pair, projected) > 1
    # Rounded: five numbers projected, subtracted and squared, their sum, and a root.
    np.testing.assert_allclose(
        np.linalg.norm(projected[0] - projected[1]),
        2**0.5,
        rtol=8 * np.finfo(np.float32).eps,
    )
