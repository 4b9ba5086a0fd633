"""Stochastic gradient descent on functions that are not convex: what stops it.

Steps are ``theta - gamma g`` with ``E g = grad f(theta)``, sigma the deviation of the
noise in each entry of g, and h the curvatures of f at a minimum. See `sgd` for convex
functions, and for what descends (`sgd.mean_paths`).

Source: Ghadimi, Lan 2013, https://arxiv.org/abs/1309.5549
"""

import jax
import jax.numpy as jnp

Array = jax.Array


def noise_floor(rate: Array, curvatures: Array, noise: Array) -> Array:
    """Where ``E |grad f|^2`` stalls near a minimum, with a constant step gamma.

    The variance in a direction stays at ``v = (1 - gamma h)^2 v + gamma^2 sigma^2``,
    and ``E |grad f|^2`` is the sum of ``h^2 v``. It follows steps that fall slowly.

    Args:
      rate: gamma.
      curvatures: h at the minimum, ``[d]``.
      noise: sigma.

    Returns:
      ``gamma sigma^2 sum_i h_i / (2 - gamma h_i)``; to first order in gamma where f is
      not quadratic.
    """
    return rate * noise**2 * jnp.sum(curvatures / (2 - rate * curvatures))


def stationarity_bound(
    rate: Array, num_steps: int, smoothness: Array, excess: Array, variance: Array
) -> Array:
    """Bound of the mean of ``E |grad f|^2`` over K steps gamma, f convex or not.

    Args:
      rate: gamma, at most ``1 / L``.
      num_steps: K.
      smoothness: L, the Lipschitz constant of the gradient.
      excess: ``f(theta_1) - min f``.
      variance: ``E |g - grad f|^2`` at most: ``d sigma^2``.

    Returns:
      ``2 excess / (gamma K) + gamma L variance``.

    Source: Ghadimi, Lan 2013, theorem 2.1, where ``2 gamma - L gamma^2 >= gamma``.
    """
    return 2 * excess / (rate * num_steps) + rate * smoothness * variance


def cosine_flow(theta: Array, curvature: Array, time: Array) -> Array:
    """Where the gradient flow of ``h (1 - cos theta)`` is.

    Small steps with a finite sum follow it for that time, and then stop.

    Args:
      theta: at time 0, in (-pi, pi).
      curvature: h.
      time: the sum of the steps.

    Returns:
      ``2 arctan(tan(theta / 2) exp(-h time))``, of the broadcast shape.
    """
    return 2 * jnp.arctan(jnp.tan(theta / 2) * jnp.exp(-curvature * time))
