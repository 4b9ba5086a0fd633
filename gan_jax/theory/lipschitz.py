"""Critics between two points, and what a constraint on their slope makes of them.

Real data sit at one point, fakes at another, ``distance`` away; a critic's gap is
``h(real) - h(fake)``, what it would maximise.

By Kantorovich and Rubinstein, the largest gap of all critics with slope at most K is
``K W1``; between two points ``K distance``.
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


def penalised_slope(distance: Array, weight: Array) -> Array:
    """Slope of the critic that is optimal under the two-sided gradient penalty.

    Along the segment the objective is ``s distance - weight (s - 1)^2``: ``s = 1 +
    distance / (2 weight)``. The penalty is a price, not a bound.

    Args:
      distance: between the two points.
      weight: of the penalty, the lambda of Gulrajani et al. 2017, eq. 3.

    Returns:
      The slope, of the broadcast shape.
    """
    return 1 + distance / (2 * weight)


def penalised_gap(distance: Array, weight: Array) -> Array:
    """``distance + distance^2 / (2 weight)``: W1, over-estimated by the penalty."""
    return distance * penalised_slope(distance, weight)
