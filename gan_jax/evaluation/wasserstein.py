"""The exact Wasserstein distance of two sets of points."""

import numpy as np
from numpy.typing import ArrayLike

from gan_jax.errors import UserError
from gan_jax.evaluation.neighbours import as_samples

MOST_POINTS = 5000  # the matrix of their distances is 200 MB
_MOST_DUAL = 200  # a constraint for every pair


def wasserstein(x: ArrayLike, y: ArrayLike) -> float:
    """``W1``: the mean distance under the cheapest pairing of the points.

    In one dimension the i-th smallest goes to the i-th smallest; elsewhere it is the
    linear assignment problem, solved exactly.

    Args:
      x: ``[n, dimension]``.
      y: ``[n, dimension]``, as many.

    Returns:
      At least 0, in the units of the data.

    Raises:
      UserError: the shapes differ, more than 5,000 points that are not on a line, or
        values that are not finite.

    Source: Villani 2009, "Optimal transport", chapters 5 and 6
    """
    x, y = as_samples("the Wasserstein distance", 1, x=x, y=y)
    if x.shape != y.shape:
        raise UserError(f"cannot pair {list(x.shape)} with {list(y.shape)}")
    if x.shape[1] == 1:
        return float(np.abs(np.sort(x, axis=0) - np.sort(y, axis=0)).mean())
    if len(x) > MOST_POINTS:
        raise UserError(f"{len(x)} points are too many to pair: at most {MOST_POINTS}")
    from scipy.optimize import linear_sum_assignment
    from scipy.spatial.distance import cdist

    distances = cdist(x, y)
    return float(distances[linear_sum_assignment(distances)].mean())


def largest_gap(x: ArrayLike, y: ArrayLike, slope: float = 1.0) -> float:
    """The most that a critic of bounded slope can tell two sets apart.

    ``max mean f(x) - mean f(y)`` over all f with ``|f(a) - f(b)| <= slope |a - b|``. By
    Kantorovich and Rubinstein it is ``slope * W1``.

    Args:
      x: ``[n, dimension]``.
      y: ``[m, dimension]``.
      slope: the bound.

    Returns:
      At least 0, in the units of the data times those of the slope.

    Raises:
      UserError: as in `best_critic`.

    Source: Villani 2009, "Optimal transport", theorem 5.10 and remark 6.5
    """
    x, y = as_samples("the dual of the Wasserstein distance", 1, x=x, y=y)
    gain = np.concatenate([np.full(len(x), 1 / len(x)), np.full(len(y), -1 / len(y))])
    return float(best_critic(np.concatenate([x, y]), gain, slope) @ gain)


def best_critic(points: ArrayLike, gain: ArrayLike, slope: float = 1.0) -> np.ndarray:
    """The function of bounded slope that gains most: a linear program, solved exactly.

    ``max sum gain f(points)`` over all f with ``|f(a) - f(b)| <= slope |a - b|``.

    Args:
      points: ``[n, dimension]``.
      gain: what a unit of f is worth at each, ``[n]``, adding up to 0.
      slope: the bound, above 0.

    Returns:
      f at the points, ``[n]``; 0 at the first.

    Raises:
      UserError: more than 200 points, values that are not finite, gains that do not add
        up to 0, or a slope that is not above 0.
    """
    points, gain = np.asarray(points, np.float64), np.asarray(gain, np.float64)
    if len(points) > _MOST_DUAL:
        raise UserError(f"{len(points)} points are too many: at most {_MOST_DUAL}")
    if not 0 < slope < np.inf:
        raise UserError(f"a slope of {slope} is no bound: give a number above 0")
    if abs(gain.sum()) > 1e-9 or not np.isfinite(points).all():
        raise UserError("gains must add up to 0 and points must be finite")
    from scipy import sparse
    from scipy.optimize import linprog
    from scipy.spatial.distance import cdist

    first, second = np.nonzero(~np.eye(len(points), dtype=bool))
    pairs = np.arange(len(first))
    signs = np.repeat([1.0, -1.0], len(pairs))
    places = np.tile(pairs, 2), np.concatenate([first, second])
    differences = sparse.csr_matrix((signs, places), (len(pairs), len(points)))
    solved = linprog(
        -gain,
        A_ub=differences,
        b_ub=slope * cdist(points, points)[first, second],
        bounds=[(0, 0)] + [(None, None)] * (len(points) - 1),
    )
    if solved.status:
        raise UserError(f"the linear program was not solved: {solved.message}")
    return solved.x
