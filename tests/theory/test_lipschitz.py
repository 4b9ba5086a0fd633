"""Critics between two points, found by exhaustive search."""

import numpy as np
import pytest

from gan_jax.theory import lipschitz


@pytest.mark.parametrize("distance", [0.3, 1.0, 2.5])
@pytest.mark.parametrize("weight", [1.0, 10.0])
def test_the_penalised_slope_is_the_best_of_all(distance, weight):
    slopes = np.linspace(0, 4, 400_001)
    best = slopes[np.argmax(slopes * distance - weight * (slopes - 1) ** 2)]
    np.testing.assert_allclose(
        lipschitz.penalised_slope(distance, weight), best, atol=1e-5
    )
    np.testing.assert_allclose(
        lipschitz.penalised_gap(distance, weight), best * distance, atol=1e-4
    )


def test_gradient_ascent_on_the_gap_never_ends():
    weight = np.zeros(2)
    difference = np.array([1.0, 2.0])
    for _ in range(30):
        weight += 0.1 * difference
    gap = weight @ difference
    np.testing.assert_allclose(lipschitz.ascent_gap(np.sqrt(5), 0.1, 30), gap)
