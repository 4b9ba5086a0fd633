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

    ``max mean f(x) - mean f(y)`` over all f with ``|f(a) - f(b)| <= slope |a - b|``,
    solved as a linear program in the values at the points. By Kantorovich and
    Rubinstein it is ``slope * W1``.

    Args:
      x: ``[n, dimension]``.
      y: ``[m, dimension]``.
      slope: the bound, above 0.

    Returns:
      At least 0, in the units of the data times those of the slope.

    Raises:
      UserError: more than 200 points, or values that are not finite.

    Source: Villani 2009, "Optimal transport", theorem 5.10 and remark 6.5
    """
    x, y = as_samples("the dual of the Wasserstein distance", 1, x=x, y=y)
    points = np.concatenate([x, y])
    if len(points) > _MOST_DUAL:
        raise UserError(f"{len(points)} points are too many: at most {_MOST_DUAL}")
    from scipy import sparse
    from scipy.optimize import linprog
    from scipy.spatial.distance import cdist

    first, second = np.nonzero(~np.eye(len(points), dtype=bool))
    pairs = np.arange(len(first))
    differences = sparse.csr_matrix(
        (
            np.repeat([1.0, -1.0], len(pairs)),
            (np.tile(pairs, 2), np.concatenate([first, second])),
        ),
        shape=(len(pairs), len(points)),
    )
    gain = np.concatenate([np.full(len(x), 1 / len(x)), np.full(len(y), -1 / len(y))])
    solved = linprog(
        -gain,
        A_ub=differences,
        b_ub=slope * cdist(points, points)[first, second],
        bounds=(None, None),
    )
    return float(-solved.fun)
