"""Averages of weights over a share of the training."""

from fractions import Fraction

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.errors import UserError
from gan_jax.training import averages


@pytest.mark.parametrize("length", [0.01, 0.05, 0.1, 0.25, averages.LONGEST])
def test_the_exponent_gives_a_density_of_that_width(length):
    """By quadrature of the density's moments, not by the formula that was solved."""
    gamma = averages.exponent(length)
    edges = np.linspace(0, 1, 1_000_001)
    time, mass = (edges[1:] + edges[:-1]) / 2, np.diff(edges ** (gamma + 1))
    mean = mass @ time
    np.testing.assert_allclose(np.sqrt(mass @ (time - mean) ** 2), length, rtol=1e-5)


def test_the_exponents_of_the_paper():
    """Karras et al. 2024, section 3.1: 0.05 and 0.10 are 16.97 and 6.94."""
    found = [averages.exponent(length) for length in (0.05, 0.10)]
    np.testing.assert_allclose(found, [16.97, 6.94], atol=0.005)


@pytest.mark.parametrize("length", [0.0, -0.1, 0.29, np.nan, np.inf])
def test_a_length_that_no_average_has_is_refused(length):
    with pytest.raises(UserError, match=r"above 0 and at most 0\.289"):
        averages.exponent(length)


def test_updates_give_the_weighted_mean_of_all_weights():
    rng = np.random.default_rng(0)
    steps = np.array([1, 2, 5, 6, 10])  # not all of one length
    weights = {"a": rng.normal(size=(5, 3, 2)), "b": rng.normal(size=(5,))}
    gammas = np.array([0.0, 3.0, 17.0])
    found = {"a": jnp.ones((3, 3, 2)), "b": jnp.ones(3)}
    for i, (before, step) in enumerate(zip([0, *steps[:-1]], steps, strict=True)):
        now = {name: jnp.asarray(value[i]) for name, value in weights.items()}
        shares = averages.new_shares(gammas, before, step)
        found = averages.update(found, now, shares)
    edges = np.concatenate([[0], steps]) / 10
    mass = np.diff(edges[None] ** (gammas[:, None] + 1), axis=1)  # [averages, steps]
    np.testing.assert_allclose(mass.sum(axis=1), 1)
    expected = {
        name: np.tensordot(mass, value, axes=1) for name, value in weights.items()
    }
    chex.assert_trees_all_close(found, expected, rtol=1e-5, atol=1e-6)


def test_the_first_update_forgets_what_was_there():
    """Before the first step there is nothing to average, whatever the array holds."""
    found = averages.update(
        jnp.full((2, 4), 1e9),
        jnp.arange(4.0),
        averages.new_shares([0.0, 5.0], before=0, step=25),
    )
    np.testing.assert_array_equal(found, np.tile(np.arange(4.0), (2, 1)))


@pytest.mark.parametrize("step", [10**6, 10**7, 10**9])
def test_late_steps_have_their_share_as_well(step):
    """In Fractions, as 1 less the share that is kept rounds to a few digits."""
    kept = Fraction(step - 1, step)
    expected = [float(1 - kept ** (gamma + 1)) for gamma in (0, 3, 17)]
    found = averages.new_shares([0.0, 3.0, 17.0], step - 1, step)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    moved = averages.update(jnp.zeros((3, 1)), jnp.ones(1), found)
    np.testing.assert_allclose(moved[:, 0], expected, rtol=1e-6)


def test_an_average_of_what_stays_the_same_is_exactly_that():
    shares = averages.new_shares([0.0, 3.0, 17.0], 10**6 - 7, 10**6)
    now = jnp.asarray(np.random.default_rng(0).normal(size=50), jnp.float32)
    found = jax.jit(averages.update)(jnp.tile(now, (3, 1)), now, shares)
    np.testing.assert_array_equal(found, np.tile(now, (3, 1)))
