"""Discriminators at their optimum, and what they hand to the generator.

Densities are given by their logarithms, ``log_p`` of the data and ``log_q`` of the
model, at the same points.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from gan_jax.theory.divergences import integral

Array = jax.Array


def log_ratio(log_p: Array, log_q: Array) -> Array:
    """``log p - log q``: the optimal logit of the cross-entropy, ``D = p / (p + q)``.

    Source: Goodfellow et al. 2014, proposition 1, https://arxiv.org/abs/1406.2661
    """
    return log_p - log_q


def _probability(log_p: Array, log_q: Array) -> Array:
    return jax.nn.sigmoid(log_p - log_q)


def _sign(log_p: Array, log_q: Array) -> Array:
    return jnp.sign(log_p - log_q)


# The logit that minimises each discriminator's loss. Wasserstein's has none without a
# constraint; the relativistic one is known up to a constant, because pairs of a real
# and a fake are told apart by sigmoid(h(x) - h(y)), whose optimum is Bradley-Terry's.
OPTIMAL_LOGITS: dict[str, Callable[[Array, Array], Array]] = {
    "minimax": log_ratio,
    "nonsaturating": log_ratio,
    "kl": log_ratio,
    "hinge": _sign,
    "least_squares": _probability,  # Mao et al. 2017, eq. 5, for targets 1 and 0
    "relativistic": log_ratio,
}


def _cross_entropy(log_p: Array, log_q: Array) -> Array:
    """``-p log D - q log(1 - D)``: its integral is ``2 log 2 - 2 JS(p, q)``."""
    h = log_p - log_q
    return jnp.exp(log_p) * jax.nn.softplus(-h) + jnp.exp(log_q) * jax.nn.softplus(h)


def _overlap(log_p: Array, log_q: Array) -> Array:
    """``2 min(p, q)``: its integral is ``2 - 2 TV(p, q)``."""
    return 2 * jnp.exp(jnp.minimum(log_p, log_q))


def _half_harmonic(log_p: Array, log_q: Array) -> Array:
    """``p q / (p + q) / 2``."""
    return jnp.exp(log_p) * jax.nn.sigmoid(log_q - log_p) / 2


_LEAST = {
    "minimax": _cross_entropy,
    "nonsaturating": _cross_entropy,
    "kl": _cross_entropy,
    "hinge": _overlap,
    "least_squares": _half_harmonic,
}


def least_discriminator_loss(
    name: str, log_p: Array, log_q: Array, grid: Array
) -> Array:
    """The discriminator's loss at its optimum, by quadrature.

    Args:
      name: in `OPTIMAL_LOGITS`.
      log_p: log density of the data on the grid, ``[points]``.
      log_q: of the model, ``[points]``.
      grid: ``[points]``, evenly spaced.

    Returns:
      Scalar: ``2 log 2 - 2 JS`` for the cross-entropy, ``2 - 2 TV`` for the hinge.
    """
    if name != "relativistic":
        return integral(_LEAST[name](log_p, log_q), grid)
    h = log_p - log_q  # over all pairs of a real x and a fake y
    over_fakes = jax.vmap(
        lambda real: integral(jnp.exp(log_q) * jax.nn.softplus(h - real), grid)
    )
    return integral(jnp.exp(log_p) * over_fakes(h), grid)


def _minus_one(h: Array) -> Array:
    return -jnp.ones_like(h)


# d L_G / d h of one fake's logit: what the generator is told through that example.
GENERATOR_SLOPES: dict[str, Callable[[Array], Array]] = {
    "minimax": lambda h: -jax.nn.sigmoid(h),  # -> 0 where the fake is found out
    "nonsaturating": lambda h: -jax.nn.sigmoid(-h),  # -> -1 there
    "kl": _minus_one,
    "wasserstein": _minus_one,
    "wasserstein_gp": _minus_one,
    "hinge": _minus_one,
    "least_squares": lambda h: h - 1,
}


def shifted_gradient(name: str, theta: Array, grid: Array) -> Array:
    """``d L_G / d theta`` at D*, for data N(0, 1) and a model N(theta, 1).

    There ``h = theta^2 / 2 - theta x``, and a fake that moves with theta sees ``dh /
    dtheta = -theta``.

    Args:
      name: in `GENERATOR_SLOPES`.
      theta: the model's mean, scalar.
      grid: to integrate over, ``[points]``, evenly spaced.

    Returns:
      Scalar; of minimax it vanishes as theta grows.
    """
    h = theta**2 / 2 - theta * grid
    q = jax.scipy.stats.norm.pdf(grid, theta)
    return integral(-theta * q * GENERATOR_SLOPES[name](h), grid)


def projection(data_means: Array, model_means: Array) -> tuple[Array, Array]:
    """The optimal projection discriminator between unit Gaussians, a pair per class.

    With ``phi ~ N(mu_y, I)`` for the data and ``N(nu_y, I)`` for the model,
    ``log p(phi | y) - log q(phi | y) = (mu_y - nu_y).phi + (|nu_y|^2 - |mu_y|^2) / 2``:
    linear in phi, a row of a matrix and a bias for each class.

    Args:
      data_means: mu, ``[classes, features]``.
      model_means: nu, ``[classes, features]``.

    Returns:
      Rows ``[classes, features]`` and biases ``[classes]``: the logit of class y is
      ``rows[y].phi + biases[y]``.

    Source: Miyato & Koyama 2018, section 3, https://arxiv.org/abs/1802.05637
    """
    squares = jnp.sum(model_means**2 - data_means**2, axis=-1)
    return data_means - model_means, squares / 2


def projection_accuracy(data_means: Array, model_means: Array) -> Array:
    """How often the optimal projection discriminator is right, for each class.

    ``Phi(|mu_y - nu_y| / 2)``, with as many real as generated examples.

    Args and shapes as in `projection`.

    Returns:
      ``[classes]``, from 1/2 to 1.
    """
    distance = jnp.linalg.norm(data_means - model_means, axis=-1)
    return jax.scipy.stats.norm.cdf(distance / 2)
