"""Best responses against exhaustive search, and the cycle that they make."""

import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.theory.dynamics import best_response

REAL, LOW, HIGH = 0.5, -1.0, 2.0


@pytest.mark.parametrize("fake", [-1.0, 0.1, 0.6, 2.0])
def test_no_discriminator_of_a_grid_beats_the_best_response(fake):
    w, b = np.meshgrid(np.linspace(-1, 1, 81), np.linspace(-3, 3, 601))
    searched = 1 / (1 + np.exp(-w * fake - b)) - 1 / (1 + np.exp(-w * REAL - b))
    answer = best_response.best_discriminator(jnp.float32(fake), jnp.float32(REAL))
    value = best_response.objective(*answer, fake, REAL)
    assert value <= searched.min() + 1e-6
    np.testing.assert_allclose(value, best_response.best_value(fake, REAL), atol=1e-6)


@pytest.mark.parametrize("w", [-1.0, -0.2, 0.3, 1.0])
def test_no_fake_of_a_grid_beats_the_best_response(w):
    fakes = jnp.linspace(LOW, HIGH, 301)
    best = best_response.best_generator(jnp.float32(w), LOW, HIGH)
    values = best_response.objective(w, 0.3, fakes, REAL)
    assert best_response.objective(w, 0.3, best, REAL) >= values.max() - 1e-7


def test_best_responses_bounce_between_the_ends_for_ever():
    rounds = best_response.play(0.0, REAL, LOW, HIGH, 1000)
    np.testing.assert_array_equal(rounds[::2, 0], np.ones(500))
    np.testing.assert_array_equal(rounds[::2, 2], np.full(500, HIGH))
    np.testing.assert_array_equal(rounds[1::2, 0], -np.ones(500))
    np.testing.assert_array_equal(rounds[1::2, 2], np.full(500, LOW))
