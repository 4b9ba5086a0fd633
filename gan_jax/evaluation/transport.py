"""The exact Wasserstein distance of two sets of points."""

import numpy as np
from numpy.typing import ArrayLike

from gan_jax.errors import UserError
from gan_jax.evaluation.neighbours import as_samples

MOST_POINTS = 5000  # the matrix of their distances is 200 MB


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
