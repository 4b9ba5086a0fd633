"""What a generator minimises at D*, against finite differences of the divergence."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.data import mixtures
from gan_jax.theory import generator_loss

GRID = jnp.linspace(-12, 12, 2401)


def log_data(x):
    return mixtures.on_a_line([-1, 1], 0.5).log_density(x[..., None])


@pytest.mark.parametrize("name", ["minimax", "nonsaturating", "kl"])
@pytest.mark.parametrize("params", [(0.3, -0.4), (-1.5, 0.2)])
def test_gradient_at_the_optimal_discriminator_is_that_of_the_divergence(name, params):
    with jax.enable_x64(True):
        grid, params = jnp.linspace(-12, 12, 2401), jnp.asarray(params)
        z = generator_loss.quantiles(20_000)
        gradient = jax.grad(
            lambda p: generator_loss.generator_loss(name, log_data, p, z)
        )(params)
        for i, step in enumerate(1e-5 * jnp.eye(2)):
            near = [
                generator_loss.divergence(name, log_data, params + sign * step, grid)
                for sign in (1, -1)
            ]
            slope = (near[0] - near[1]) / 2e-5
            np.testing.assert_allclose(gradient[i], slope, atol=2e-3)


def test_the_three_divergences_add_up_as_the_losses_do():
    params = jnp.array([0.3, 0.1])
    minimax, nonsaturating, kl = (
        generator_loss.divergence(name, log_data, params, GRID)
        for name in ("minimax", "nonsaturating", "kl")
    )
    np.testing.assert_allclose(minimax + nonsaturating, kl, rtol=1e-5)


def test_the_forward_divergence_is_least_at_the_moments_of_the_data():
    data = mixtures.on_a_line([-1, 1], 0.5)
    best = jnp.stack([data.mean()[0], jnp.log(data.variance()[0]) / 2])
    objective = lambda p: generator_loss.divergence("likelihood", log_data, p, GRID)  # noqa: E731
    np.testing.assert_allclose(jax.grad(objective)(best), np.zeros(2), atol=1e-5)


def test_quantiles_are_standard_normals_to_their_moments():
    z = generator_loss.quantiles(20_000)
    np.testing.assert_allclose([z.mean(), z.std()], [0, 1], atol=1e-3)
