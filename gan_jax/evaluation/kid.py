"""The kernel distance, KID: an unbiased squared maximum mean discrepancy."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from gan_jax.evaluation.neighbours import BLOCK_SIZE, as_samples, blocks


class KID(NamedTuple):
    """An estimate and how far off it may be.

    Attributes:
      value: unbiased, and so often below 0 for equal distributions.
      standard_error: of ``value``; NaN with fewer than 4 samples of either set, which
        are too few to estimate it.
    """

    value: float
    standard_error: float


def estimate_kid(x: ArrayLike, y: ArrayLike, *, block_size: int = BLOCK_SIZE) -> KID:
    """Unbiased MMD^2 with KID's kernel ``k(a, b) = (a.b / d + 1)^3``, on ALL samples.

    ``mean_{i != j} k(x_i, x_j) + mean_{i != j} k(y_i, y_j) - 2 mean_{ij} k(x_i, y_j)``.
    KID averages this over random subsets of 1000; over all pairs there is less noise,
    and nothing depends on a seed or on the order of the samples.

    The standard error has both terms of Hoeffding's decomposition. Its square is
    unbiased, except that the first term, which is 0 under equal distributions, is kept
    from going negative: there the standard error is somewhat too large.

    The sets must be independent draws: with a set against itself, or two sets that
    share samples, the value is biased downwards.

    Args:
      x: features, ``[n, d]``.
      y: features, ``[m, d]``.
      block_size: samples taken at a time; memory grows with ``block_size * (n + m)``.

    Returns:
      The estimate and its standard error, both in the units of k.

    Raises:
      UserError: fewer than 2 samples of either, or features as in `as_samples`.

    Source: Binkowski et al. 2018 (KID), section 4, https://arxiv.org/abs/1801.01401;
    Gretton et al. 2012, eq. 3 (the estimator); Hoeffding 1948 (its variance)
    """
    x, y = as_samples("KID", 2, x=x, y=y)
    n, m = len(x), len(y)
    centre = (x.mean(axis=0) + y.mean(axis=0)) / 2
    xx = _sums(x, x, centre, block_size, diagonal=False)
    yy = _sums(y, y, centre, block_size, diagonal=False)
    xy = _sums(x, y, centre, block_size)
    value = xx.total / (n * (n - 1)) + yy.total / (m * (m - 1)) - 2 * xy.total / (n * m)
    if min(n, m) < 4:
        return KID(float(value), math.nan)

    # k(a, b) = constant + p(a) + q(b) + g(a, b), the last uncorrelated with all else.
    # What follows are the unbiased estimates of E g^2 of each kind of pair: residual
    # sums of squares of two-way layouts, over their degrees of freedom.
    g_xx, g_yy = _mean_square_within(xx), _mean_square_within(yy)
    g_xy = _mean_square_between(xy)

    # First order: 4/n Var_x(E k(x, x') - E k(x, y)), and the same of y. The variance of
    # the means over finite rows has the g of these rows in it, which is taken off.
    x_means = xx.rows / (n - 2) - xy.rows / m
    y_means = yy.rows / (m - 2) - xy.columns / n
    first = (
        4 / n * (x_means.var(ddof=1) - g_xx / (n - 2) - g_xy / m)
        + 4 / m * (y_means.var(ddof=1) - g_yy / (m - 2) - g_xy / n)
    )  # fmt: skip
    second = 2 * g_xx / (n * (n - 1)) + 2 * g_yy / (m * (m - 1)) + 4 * g_xy / (n * m)
    return KID(float(value), math.sqrt(max(first, 0.0) + second))


class _Sums(NamedTuple):
    """Sums of a matrix of kernel values, ``[n, m]``."""

    rows: np.ndarray  # of each row, [n]
    columns: np.ndarray  # of each column, [m]
    total: float
    squares: float  # of the squared values


def _sums(
    a: np.ndarray,
    b: np.ndarray,
    centre: np.ndarray,
    block_size: int,
    *,
    diagonal: bool = True,
) -> _Sums:
    """Sums of ``k(a_i, b_j)``, with or without those of i = j.

    The kernel is centred, ``k(a, b) - f(a) - f(b)`` with
    ``f(a) = k(a, c) - k(c, c) / 2``, c the centre of all samples. Neither the distance
    nor its variance depends on f, whatever it is; but what remains is small, so that
    squares of it can be subtracted from each other.
    """
    a_offsets, b_offsets = (
        _kernel(points, centre) - _kernel(centre, centre) / 2 for points in (a, b)
    )
    rows, columns, squares = np.empty(len(a)), np.zeros(len(b)), 0.0
    for block in blocks(len(a), block_size):
        k = _kernel(a[block], b)
        k -= a_offsets[block, None]
        k -= b_offsets
        if not diagonal:
            i = np.arange(len(k))
            k[i, block.start + i] = 0
        rows[block] = k.sum(axis=1)
        columns += k.sum(axis=0)
        squares += np.vdot(k, k)
    return _Sums(rows, columns, rows.sum(), squares)


def _kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """``(a.b / d + 1)^3`` of all pairs: of ``[n, d]`` and ``[m, d]``, ``[n, m]``."""
    base = a @ b.T
    base /= a.shape[-1]
    base += 1
    cube = base * base
    cube *= base
    return cube


def _mean_square_within(sums: _Sums) -> float:
    """``E g^2`` of pairs of one set, from all pairs of different samples."""
    n, rows = len(sums.rows), np.vdot(sums.rows, sums.rows)
    residual = sums.squares - 2 * rows / (n - 2) + sums.total**2 / ((n - 1) * (n - 2))
    return max(residual, 0.0) / (n * (n - 3))


def _mean_square_between(sums: _Sums) -> float:
    """``E g^2`` of pairs across two sets."""
    n, m = len(sums.rows), len(sums.columns)
    rows, columns = (np.vdot(s, s) for s in (sums.rows, sums.columns))
    residual = sums.squares - rows / m - columns / n + sums.total**2 / (n * m)
    return max(residual, 0.0) / ((n - 1) * (m - 1))
