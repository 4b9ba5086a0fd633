"""Consensus on the Dirac-GAN against matrices and flows in float64 NumPy."""

import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.losses import LOSSES
from gan_jax.theory.dynamics import consensus, dirac, games


def update(slopes, weight, rate, symplectic):
    """The step's matrix at the equilibrium, from its definition."""
    a_d, a_g = slopes
    jacobian = np.array([[0, -a_g], [a_d, 0]])
    pull = (jacobian - jacobian.T) / 2 if symplectic else jacobian
    return np.eye(2) - rate * (jacobian + weight * pull.T @ jacobian)


def modulus(*arguments):
    return np.abs(np.linalg.eigvals(update(*arguments))).max()


@pytest.mark.parametrize("symplectic", [False, True])
@pytest.mark.parametrize("loss", dirac.SLOPES)
def test_eigenvalues_are_those_of_the_matrix_and_of_finite_differences(
    loss, symplectic
):
    slopes, small = dirac.SLOPES[loss], 1e-3
    field = dirac.gradients(LOSSES[loss])
    direction = games.symplectic if symplectic else games.consensus
    for weight, rate in ((0.0, 0.3), (0.4, 0.1), (5.0, 0.2)):
        closed = consensus.eigenvalues(slopes, weight, rate, symplectic=symplectic)
        matrix = update(slopes, weight, rate, symplectic)
        np.testing.assert_allclose(np.poly(closed), np.poly(matrix), atol=1e-6)
        pulls = [direction(field, small * e, weight) for e in jnp.eye(2)]
        pulls = np.array(pulls, np.float64) / small
        np.testing.assert_allclose(np.eye(2) - rate * pulls.T, matrix, atol=2e-5)


def test_a_rule_of_gradient_steps_has_the_eigenvalues_of_its_matrix():
    rate, (a_d, a_g) = 0.2, (1 / 2, 1)  # of kl
    discriminator, generator = np.eye(2), np.eye(2)
    discriminator[1, 0], generator[0, 1] = -rate * a_d, rate * a_g
    matrices = {
        "simultaneous": update((a_d, a_g), 0, rate, False),
        "alternating": generator @ discriminator,
    }
    for kind, matrix in matrices.items():
        rule = consensus.Rule("kl", kind, rate=rate)
        closed = np.poly(np.asarray(rule.eigenvalues()))
        np.testing.assert_allclose(closed, np.poly(matrix), atol=1e-6)


@pytest.mark.parametrize("slope", [0.5, 1.0])
def test_weights_converge_between_the_bounds_and_best_at_the_best(slope):
    for rate in (0.05, 0.5):
        low, high = np.asarray(consensus.weight_bounds(slope, rate), np.float64)
        moduli = [
            modulus((slope, slope), weight, rate, False)
            for weight in (0.99 * low, 1.01 * low, 0.99 * high, 1.01 * high)
        ]
        assert moduli[0] > 1 > moduli[1]
        assert moduli[2] < 1 < moduli[3]
        best = consensus.best_weight(slope, rate)
        weights = best * np.array([1.0, 0.98, 1.02])
        moduli = [modulus((slope, slope), weight, rate, False) for weight in weights]
        np.testing.assert_allclose(moduli[0], rate * slope, rtol=1e-6)
        assert min(moduli) == moduli[0]
    assert np.isnan(consensus.weight_bounds(slope, 1.01 / slope)).all()


def sigmoid(t):
    return 1 / (1 + np.exp(-t))


def minimax_direction(x, weight):
    """Consensus in the minimax Dirac-GAN by hand, in float64."""
    theta, psi = x
    s = sigmoid(theta * psi)
    d = s * (1 - s)
    field = np.array([-s * psi, s * theta])
    cross = s + d * theta * psi
    jacobian = np.array([[-d * psi**2, -cross], [cross, d * theta**2]])
    return field + weight * jacobian.T @ field


def test_the_distance_drifts_as_the_closed_form_says():
    weight = 1.7
    for x in np.random.default_rng(0).normal(scale=2, size=(50, 2)):
        change = -2 * x @ minimax_direction(x, weight) / (weight * x @ x)
        np.testing.assert_allclose(consensus.drift(x.prod()), change, atol=1e-5)
    turning = consensus.TURNING_LOGIT
    assert abs(2 * abs(turning) * sigmoid(abs(turning)) - 1) < 1e-12
    assert consensus.drift(turning - 0.01) > 0 > consensus.drift(turning + 0.01)


@pytest.mark.parametrize("weight", [0.1, 1.0, 10.0])
def test_consensus_rests_at_a_saddle_that_is_no_equilibrium(weight):
    rest, small = np.asarray(consensus.other_rest(weight), np.float64), 1e-5
    for x in (rest, -rest):
        assert np.abs(minimax_direction(x, weight)).max() < 1e-5
        assert np.abs(minimax_direction(x, 0.0)).max() > 0.1
        columns = [
            (minimax_direction(x + e, weight) - minimax_direction(x - e, weight))
            / (2 * small)
            for e in small * np.eye(2)
        ]
        assert np.linalg.det(columns) < 0
