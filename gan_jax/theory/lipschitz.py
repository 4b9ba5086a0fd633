"""What a constraint on a critic's slope makes of its gap, ``E h(real) - E h(fake)``.

Without one the gap grows for ever. With slopes of at most K the largest is ``K W1``, by
Kantorovich and Rubinstein. A gradient penalty lets the slope exceed 1, at a price.
"""

import jax

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


def penalised_slope(wasserstein: Array, weight: Array) -> Array:
    """Slope of the critic that is optimal under a gradient penalty.

    The optimal 1-Lipschitz critic has slope 1 wherever mass is moved. Made s times as
    steep it gains ``s W1 - weight (s - 1)^2``, which is largest for ``s = 1 + W1 / (2
    weight)``: the penalty is a price, not a bound. Exact between two points, or where
    every point of penalty is one that mass moves through.

    Args:
      wasserstein: W1 of data and model.
      weight: of the penalty, the lambda of Gulrajani et al. 2017, eq. 3.

    Returns:
      The slope, of the broadcast shape.
    """
    return 1 + wasserstein / (2 * weight)


def penalised_gap(wasserstein: Array, weight: Array) -> Array:
    """``W1 + W1^2 / (2 weight)``: what such a critic says the distance is."""
    return wasserstein * penalised_slope(wasserstein, weight)
