"""Noise-contrastive estimation: densities learnt by telling data from noise.

A model ``p(x) = exp(-E(x)) / Z`` whose ``Z`` is out of reach is trained like a GAN's
discriminator: between data and a noise whose density is known, with ``log Z`` as one
more parameter. At the optimum the model is normalised and is the data's density.

Source: Gutmann & Hyvarinen 2012, https://www.jmlr.org/papers/v13/gutmann12a.html
"""

import math
from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp

Array = jax.Array
Scores = Callable[[Array], Array]  # [batch, ...] to [batch]


def log_ratio(energy: Scores, log_z: Array, log_noise: Scores, x: Array) -> Array:
    """``u(x) = -E(x) - log Z - log p_noise(x)``: model over noise, in nats.

    Args:
      energy: ``[batch, ...] -> [batch]``.
      log_z: scalar, ``log Z``.
      log_noise: log density of the noise, ``[batch, ...] -> [batch]``.
      x: ``[batch, ...]``.

    Returns:
      ``[batch]``.
    """
    chex.assert_rank(jnp.asarray(log_z), 0)
    energies, densities = energy(x), log_noise(x)
    chex.assert_rank([energies, densities], 1)
    chex.assert_equal_shape([energies, densities])
    return -energies - log_z - densities


def nce_loss(
    energy: Scores, log_z: Array, log_noise: Scores, data: Array, noise: Array
) -> Array:
    """``-E_data log s(u - log nu) - nu E_noise log(1 - s(u - log nu))``, s the sigmoid.

    With as much noise as data, nu = 1, it is a GAN's discriminator loss,
    `losses.minimax_discriminator_loss` of ``u(data)`` and ``u(noise)``, whose optimal
    logit is the log ratio: here of the data to the noise, so that ``-E - log Z`` comes
    to the data's log density. By softplus it stays finite for any energy.

    Args:
      energy: ``[batch, ...] -> [batch]``; differentiate by its parameters.
      log_z: scalar, to be learnt beside them.
      log_noise: log density of the noise, ``[batch, ...] -> [batch]``; positive
        wherever the data's is.
      data: ``[n, ...]``.
      noise: ``[m, ...]``, samples of the noise; ``nu = m / n``, neither being 0.

    Returns:
      Scalar, at least 0.

    Source: Gutmann & Hyvarinen 2012, eq. 8 (its ``J`` with the other sign; ``h`` there
    is ``s(u - log nu)``, eq. 6)
    """
    nu = len(noise) / len(data)
    real = log_ratio(energy, log_z, log_noise, data) - math.log(nu)
    fake = log_ratio(energy, log_z, log_noise, noise) - math.log(nu)
    return jax.nn.softplus(-real).mean() + nu * jax.nn.softplus(fake).mean()


def log_density(energy: Scores, log_z: Array, x: Array) -> Array:
    """What the model says is ``log p(x)``, ``[batch]``: ``-E(x) - log Z``."""
    return -energy(x) - log_z


def gaussian_log_z(precision: Array, shift: Array) -> Array:
    """``log Z`` of the energy ``x^T A x / 2 - b^T x``.

    Args:
      precision: A, ``[dimension, dimension]``, symmetric and positive definite.
      shift: b, ``[dimension]``: A times the mean.

    Returns:
      Scalar, ``(d log 2 pi - log det A + b^T A^-1 b) / 2``.
    """
    mean = jnp.linalg.solve(precision, shift)
    log_determinant = jnp.linalg.slogdet(precision)[1]
    constant = len(shift) * jnp.log(2 * jnp.pi)
    return (constant - log_determinant + shift @ mean) / 2


def asymptotic_covariance(
    log_data: Array, log_noise: Array, scores: Array, spacing: Array, nu: Array
) -> Array:
    """Covariance of the estimates, times the number of data, when there are many.

    With ``g = d log p(x) / d theta``, the parameters theta including log Z, and ``P =
    nu p_noise / (p_data + nu p_noise)``: ``I^-1 - (1 + 1 / nu) I^-1 E[P g] E[P g]^T
    I^-1``, ``I = E[P g g^T]``, means over the data. For nu to infinity P is 1, and this
    is maximum likelihood's. For noise like the data P is ``nu / (1 + nu)``, and it is
    ``1 + 1 / nu`` times that.

    Args:
      log_data: log density of the data on a grid, ``[points]``.
      log_noise: of the noise, ``[points]``.
      scores: g, ``[points, parameters]``.
      spacing: of the grid.
      nu: noise samples for each of the data; may be infinite.

    Returns:
      ``[parameters, parameters]``.

    Source: Gutmann & Hyvarinen 2012, theorem 3
    """
    noise_share = jax.nn.sigmoid(log_noise + jnp.log(nu) - log_data)
    weights = jnp.exp(log_data) * noise_share * spacing
    inverse = jnp.linalg.inv((scores * weights[:, None]).T @ scores)
    mean = inverse @ (weights @ scores)
    return inverse - (1 + 1 / nu) * jnp.outer(mean, mean)
