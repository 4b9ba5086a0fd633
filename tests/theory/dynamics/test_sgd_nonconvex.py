"""Where gradient steps stall and stop, against NumPy loops in float64."""

import math

import numpy as np
import pytest

from gan_jax.theory.dynamics import sgd_nonconvex

CURVATURES, NOISE = np.array([0.5, 1.0, 3.0]), 0.6


def variances(step, num_steps, start):
    """Of theta in each direction, from the start on, ``[n, 3]``, in float64."""
    values = [np.full(3, start**2)]
    for _ in range(num_steps - 1):
        values.append((1 - step * CURVATURES) ** 2 * values[-1] + (step * NOISE) ** 2)
    return np.array(values)


@pytest.mark.parametrize("step", [0.02, 0.2, 0.5])
def test_a_constant_step_stalls_at_the_floor(step):
    late = CURVATURES**2 @ variances(step, 3000, 1.0)[-1]
    np.testing.assert_allclose(
        sgd_nonconvex.noise_floor(step, CURVATURES, NOISE), late, rtol=1e-5
    )


def test_the_mean_gradient_is_bounded_up_to_steps_of_1_over_l():
    start, num_steps = 2.0, 400
    excess = np.sum(CURVATURES) * start**2 / 2
    for step in np.linspace(0.01, 1 / 3, 20):
        mean = (variances(step, num_steps, start) @ CURVATURES**2).mean()
        bound = sgd_nonconvex.stationarity_bound(
            step, num_steps, 3.0, excess, 3 * NOISE**2
        )
        assert mean <= bound
    # In one direction the floor reaches the bound at 1 / L, and passes it beyond.
    one = np.array([3.0])
    for step, over in ((0.3, False), (0.36, True)):
        floor = sgd_nonconvex.noise_floor(step, one, NOISE)
        bound = sgd_nonconvex.stationarity_bound(step, 10**9, 3.0, 1.0, NOISE**2)
        assert (floor > bound) == over


@pytest.mark.parametrize("start", [-2.9, 0.5, 2.5])
def test_the_flow_in_a_cosine_is_that_of_small_steps(start):
    theta, curvature, time = start, 1.7, 1.2
    for _ in range(100_000):
        theta -= time / 100_000 * curvature * math.sin(theta)
    closed = sgd_nonconvex.cosine_flow(start, curvature, time)
    np.testing.assert_allclose(closed, theta, rtol=1e-4)
