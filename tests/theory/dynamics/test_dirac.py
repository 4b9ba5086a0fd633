"""The Dirac-GAN against finite differences, NumPy and the trainer itself."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

from gan_jax import training
from gan_jax.losses import LOSSES
from gan_jax.penalties import PENALTIES
from gan_jax.theory import fitting
from gan_jax.theory.dynamics import dirac

RULES = [
    dirac.Rule(loss, penalty, weight, alternating)
    for loss in dirac.COUPLINGS
    for penalty, weight in ((None, 0.0), ("r1", 0.7), ("r1_r2", 2.5))
    for alternating in (False, True)
]


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_eigenvalues_are_those_of_the_jacobian_by_finite_differences(rule):
    rate, small = 0.3, 1e-3
    columns = [
        (rule.step(point, rate) - rule.step(-point, rate)) / (2 * small)
        for point in small * jnp.eye(2)
    ]
    measured = np.linalg.eigvals(np.asarray(columns, np.float64).T)
    closed = np.asarray(rule.eigenvalues(rate))
    np.testing.assert_allclose(np.poly(measured), np.poly(closed).real, atol=1e-4)


def test_without_a_penalty_simultaneous_steps_spiral_out_and_others_go_round():
    rates = np.linspace(0.01, 1.9, 20)
    for loss, coupling in dirac.COUPLINGS.items():
        simultaneous = np.abs(dirac.Rule(loss, alternating=False).eigenvalues(rates))
        expected = np.sqrt(1 + rates**2 * coupling)
        np.testing.assert_allclose(
            simultaneous, np.stack([expected] * 2, -1), rtol=1e-5
        )
        alternating = np.abs(dirac.Rule(loss).eigenvalues(rates))
        np.testing.assert_allclose(alternating, 1, rtol=1e-5)


@pytest.mark.parametrize("alternating", [False, True])
def test_with_r1_every_loss_converges(alternating):
    rule = dirac.Rule("nonsaturating", "r1", 0.5, alternating)
    for loss in dirac.COUPLINGS:
        rule = dataclasses.replace(rule, loss=loss)
        assert np.abs(rule.eigenvalues(0.1)).max() < 0.99
        end = dirac.trajectory(
            partial(rule.step, rate=0.1), jnp.array([1.0, 0.5]), 1500
        )
        assert np.abs(end[-1]).max() < 1e-4


class Theta(nn.Module):
    """Draws theta, whatever z is."""

    @nn.compact
    def __call__(self, z, *, train=True):
        theta = self.param("theta", nn.initializers.constant(0.8), (1,))
        return jnp.broadcast_to(theta, (z.shape[0], 1))


class Psi(nn.Module):
    """Scores psi x."""

    @nn.compact
    def __call__(self, x, *, train=True):
        return x[..., 0] * self.param("psi", nn.initializers.constant(-0.6), ())


@pytest.mark.parametrize(
    ("loss", "penalty", "clip"),
    [
        ("minimax", None, None),
        ("nonsaturating", "r1", None),
        ("wasserstein", None, 0.5),
        ("wasserstein_gp", "gradient_penalty", None),
        ("relativistic", "r1_r2", None),
    ],
)
def test_alternating_steps_are_those_of_the_trainer(loss, penalty, clip):
    rate, weight = 0.1, 0.4
    gan = training.GAN(
        *(LOSSES[loss], Theta(), Psi(), optax.sgd(rate), optax.sgd(rate)),
        penalty=PENALTIES.get(penalty),
        penalty_weight=weight,
        clip=clip,
        latent_size=1,
    )
    state = training.init_state(gan, jax.random.key(0), (1,))
    zeros = lambda key, count: jnp.zeros((count, 1))  # noqa: E731
    state, _ = fitting.train(gan, state, zeros, num_steps=50, batch_size=4)
    field = dirac.gradients(LOSSES[loss], PENALTIES.get(penalty), weight)
    step = partial(dirac.alternating_step, field, rate=rate, clip=clip or jnp.inf)
    theta, psi = dirac.trajectory(step, jnp.array([0.8, -0.6]), 50)[-1]
    np.testing.assert_allclose(state.generator.params["theta"][0], theta, atol=2e-6)
    np.testing.assert_allclose(state.discriminator.params["psi"], psi, atol=2e-6)


def flow(field, start, time, steps=20_000):
    """The ordinary differential equation of a field, by Heun's rule in float64."""
    x, h = np.array(start, np.float64), time / steps
    path = []
    for _ in range(steps):
        first = -field(x)
        x = x + h * (first - field(x + h * first)) / 2
        path.append(x)
    return np.array(path)


def sigmoid(t):
    return 1 / (1 + np.exp(-t))


def test_nonsaturating_comes_in_as_slowly_as_the_closed_form_says():
    def field(x):
        theta, psi = x
        return np.array([-sigmoid(-theta * psi) * psi, sigmoid(theta * psi) * theta])

    end = np.linalg.norm(flow(field, [0.5, 0.0], 400.0)[-1])
    np.testing.assert_allclose(end, dirac.nonsaturating_distance(0.5, 400.0), rtol=0.02)


@pytest.mark.parametrize("weight", [0.05, 1.0, 3.0])
def test_a_two_sided_penalty_ends_at_its_amplitude(weight):
    def field(x):
        theta, psi = x
        pull = 2 * weight * (abs(psi) - 1) * np.sign(psi)
        return np.array([-psi, theta + pull])

    path = flow(field, [1.0, -0.2], 97.0)
    largest = np.abs(path[-2000:, 0]).max()  # over more than a turn
    closed = dirac.SMALL_WEIGHT_AMPLITUDE
    if weight >= 1:
        closed = dirac.penalised_amplitude(weight)
    np.testing.assert_allclose(largest, closed, rtol=0.02)


@pytest.mark.parametrize("clip", [0.1, 0.5])
def test_a_clipped_critic_ends_on_the_circle_of_its_bound(clip):
    step = partial(dirac.Rule("wasserstein").step, rate=0.005, clip=clip)
    path = dirac.trajectory(step, jnp.array([1.0, 0.0]), 8000)
    largest = np.abs(path[-1500:, 0]).max()  # over more than a turn, of 1257 steps
    np.testing.assert_allclose(largest, clip, rtol=0.02)


def test_what_has_no_closed_form_is_not_given_one():
    assert np.isnan(dirac.penalised_amplitude(0.5))
    with pytest.raises(ValueError, match="gradient_penalty has no derivative"):
        dirac.Rule("wasserstein", "gradient_penalty", 1.0).eigenvalues(0.1)


@pytest.mark.parametrize("alternating", [False, True])
def test_clipping_bounds_psi_and_psi_alone(alternating):
    rule = dirac.Rule("wasserstein", alternating=alternating)
    theta, psi = rule.step(jnp.array([5.0, -0.1]), 0.5, clip=0.3)
    np.testing.assert_allclose(psi, -0.3)
    assert theta > 4
