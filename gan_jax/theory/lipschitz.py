"""What a constraint on a critic's slope makes of its gap, ``E h(real) - E h(fake)``.

Without one the gap grows for ever. With slopes of at most K the largest is ``K W1``, by
Kantorovich and Rubinstein. A gradient penalty lets the slope exceed 1, at a price.
"""

import jax
import jax.numpy as jnp

from gan_jax.theory import divergences

Array = jax.Array


def ascent_gap(distance: Array, rate: Array, steps: Array) -> Array:
    """Gap of an unconstrained linear critic after gradient steps from zero.

    The gradient of ``w.(real - fake)`` by w never changes: ``w = rate steps (real -
    fake)`` and the gap is ``rate steps distance^2``, without end.

    Args:
      distance: between the two points.
      rate: learning rate of plain gradient descent.
      steps: how many.

    Returns:
      The gap, of the broadcast shape.
    """
    return rate * steps * distance**2


def uniform_slope(wasserstein: Array, weight: Array) -> Array:
    """Slope of the best critic under a gradient penalty, among those of one slope.

    The optimal 1-Lipschitz critic has slope 1 wherever mass is moved. Made s times as
    steep it gains ``s W1 - weight (s - 1)^2``, which is largest for ``s = 1 + W1 / (2
    weight)``: the penalty is a price, not a bound. Between two points no critic is
    better; elsewhere one that is steeper where more mass passes is (`penalised_gap`).

    Args:
      wasserstein: W1 of data and model.
      weight: of the penalty, the lambda of Gulrajani et al. 2017, eq. 3.

    Returns:
      The slope, of the broadcast shape.
    """
    return 1 + wasserstein / (2 * weight)


def uniform_gap(wasserstein: Array, weight: Array) -> Array:
    """``W1 + W1^2 / (2 weight)``: the gap of that critic, and the least of any.

    Args and returns as in `uniform_slope`.
    """
    return wasserstein * uniform_slope(wasserstein, weight)


def penalised_gap(
    log_p: Array, log_q: Array, penalised: Array, grid: Array, weight: Array
) -> Array:
    """What the critic that is optimal under a gradient penalty says W1 is, on a line.

    With ``D = |F_p - F_q|``, the mass that passes a point, and r the density of the
    points of penalty, ``int s D - weight (s - 1)^2 r`` is largest for the slopes ``s =
    1 + D / (2 weight r)``: the gap is ``W1 + int D^2 / r / (2 weight)``. By Cauchy and
    Schwarz that is at least `uniform_gap`. It holds in the plane, too, where everything
    is symmetric about a point, with the densities of the radius.

    Args:
      log_p: log density of the data, ``[points]``.
      log_q: of the model, ``[points]``.
      penalised: density r, ``[points]``.
      grid: ``[points]``, evenly spaced.
      weight: of the penalty; one-sided, or two-sided where it is not trapped.

    Returns:
      Scalar.
    """
    moved = divergences.mass_moved(log_p, log_q, grid)
    # Where neither is, rounding is left of D and less of r.
    price = jnp.where(penalised > 1e-9, moved**2 / jnp.maximum(penalised, 1e-9), 0)
    return divergences.integral(moved + price / (2 * weight), grid)
