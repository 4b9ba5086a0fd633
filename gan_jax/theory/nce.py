"""What noise-contrastive estimation comes to, and how far off it is on finite data."""

import jax
import jax.numpy as jnp

Array = jax.Array


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
