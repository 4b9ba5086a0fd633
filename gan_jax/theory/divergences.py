"""Divergences: between Gaussians in closed form, between densities by quadrature.

``p`` has mean m0 and standard deviation s0, ``q`` m1 and s1; all are in nats but the
Wasserstein distance, which is in the units of x. Arguments broadcast.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

Array = jax.Array
LogDensity = Callable[[Array], Array]  # [batch, dimension] to [batch]


def gaussian_kl(m0: Array, s0: Array, m1: Array, s1: Array) -> Array:
    """``KL(N(m0, s0^2), N(m1, s1^2))``.

    ``(m0 - m1)^2 / (2 s^2)`` for equal deviations: it goes to infinity as they shrink.
    """
    return jnp.log(s1 / s0) + (s0**2 + (m0 - m1) ** 2) / (2 * s1**2) - 0.5


def gaussian_kl_gradient(m0: Array, m1: Array, s1: Array) -> Array:
    """Derivative of `gaussian_kl` by m0: ``(m0 - m1) / s1^2``, which goes there too."""
    return (m0 - m1) / s1**2


def gaussian_total_variation(distance: Array, s: Array) -> Array:
    """``TV(N(t, s^2), N(0, s^2)) = 2 Phi(|t| / 2s) - 1``."""
    return jax.scipy.special.erf(jnp.abs(distance) / (2 * jnp.sqrt(2.0) * s))


def gaussian_total_variation_gradient(distance: Array, s: Array) -> Array:
    """Derivative of `gaussian_total_variation` by t > 0: ``phi(t / 2s) / s``."""
    return jax.scipy.stats.norm.pdf(distance / (2 * s)) / s


def gaussian_wasserstein(m0: Array, s0: Array, m1: Array, s1: Array) -> Array:
    """``W1(N(m0, s0^2), N(m1, s1^2))``, the mean of ``|m0 - m1 + (s0 - s1) z|``.

    In one dimension quantiles go to quantiles. ``|m0 - m1|`` for equal deviations,
    however small.
    """
    mean, scale = m0 - m1, jnp.abs(s0 - s1)
    safe = jnp.where(scale > 0, scale, 1)
    ratio = mean / safe
    folded = safe * jnp.sqrt(2 / jnp.pi) * jnp.exp(
        -(ratio**2) / 2
    ) + mean * jax.scipy.special.erf(ratio / jnp.sqrt(2.0))
    return jnp.where(scale > 0, folded, jnp.abs(mean))


def integral(values: Array, grid: Array) -> Array:
    """Trapezoidal rule, which is exact to rounding for densities within the grid.

    Args:
      values: ``[points]``.
      grid: ``[points]``, evenly spaced.

    Returns:
      Scalar.
    """
    return jnp.trapezoid(values, dx=_spacing(grid))


def _spacing(grid: Array) -> Array:
    # The difference of two neighbours would be rounded as they are.
    return (grid[-1] - grid[0]) / (grid.shape[0] - 1)


def kl(log_p: Array, log_q: Array, grid: Array) -> Array:
    """``KL(p, q)`` of two densities on an evenly spaced grid.

    Args:
      log_p: ``[points]``.
      log_q: ``[points]``, finite.
      grid: ``[points]``.

    Returns:
      Scalar.
    """
    return integral(jnp.exp(log_p) * (log_p - log_q), grid)


def jensen_shannon(log_p: Array, log_q: Array, grid: Array) -> Array:
    """``JS(p, q) = KL(p, m) / 2 + KL(q, m) / 2``, ``m = (p + q) / 2``; at most log 2.

    Arguments as in `kl`.
    """
    log_m = jnp.logaddexp(log_p, log_q) - jnp.log(2.0)
    return (kl(log_p, log_m, grid) + kl(log_q, log_m, grid)) / 2


def total_variation(log_p: Array, log_q: Array, grid: Array) -> Array:
    """``TV(p, q) = int |p - q| / 2``; from 0 to 1. Arguments as in `kl`."""
    return integral(jnp.abs(jnp.exp(log_p) - jnp.exp(log_q)), grid) / 2


def mass_moved(log_p: Array, log_q: Array, grid: Array) -> Array:
    """``|F_p - F_q|``: how much mass passes each point, ``[points]``. As in `kl`."""
    difference = jnp.exp(log_p) - jnp.exp(log_q)
    # Half of a point's mass lies below it.
    return jnp.abs(jnp.cumsum(difference) - difference / 2) * _spacing(grid)


def wasserstein(log_p: Array, log_q: Array, grid: Array) -> Array:
    """``W1(p, q) = int |F_p - F_q|``, on a line. Arguments as in `kl`."""
    return integral(mass_moved(log_p, log_q, grid), grid)


def planar_wasserstein(s0: Array, s1: Array) -> Array:
    """``W1(N(0, s0^2 I), N(0, s1^2 I))`` in the plane: mass moves along the rays.

    The difference of the mean radii, ``|s0 - s1| sqrt(pi / 2)``.
    """
    return jnp.abs(s0 - s1) * jnp.sqrt(jnp.pi / 2)


def mass_and_kl(
    log_model: LogDensity, log_data: LogDensity, extent: float, points: int
) -> tuple[Array, Array]:
    """Mass and divergence of a density in the plane, by the midpoint rule.

    Args:
      log_model: ``[batch, 2] -> [batch]``; need not be normalised.
      log_data: the same, of the data; normalised.
      extent: the square goes from ``-extent`` to ``extent``.
      points: along a side; the spacing shall be half a deviation of what is narrowest.

    Returns:
      The model's mass, and ``KL(data, model / mass)`` in nats.
    """
    line = ((jnp.arange(points) + 0.5) / points * 2 - 1) * extent

    def row(y: Array) -> tuple[Array, Array]:
        x = jnp.stack([line, jnp.full(points, y)], axis=-1)
        model, data = log_model(x), log_data(x)
        return jnp.exp(model).sum(), jnp.sum(jnp.exp(data) * (data - model))

    area = (2 * extent / points) ** 2
    mass, kl = (each.sum() * area for each in jax.lax.map(row, line))
    return mass, kl + jnp.log(mass)
