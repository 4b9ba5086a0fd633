"""The kernel distance, KID: an unbiased squared maximum mean discrepancy."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from gan_jax.evaluation.neighbours import BLOCK_SIZE, as_samples, blocks
from gan_jax.evaluation.threads import each


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
      block_size: samples of either taken at a time; memory grows with its square.

    Returns:
      The estimate and its standard error, both in the units of k.

    Raises:
      UserError: fewer than 2 samples of either, or features as in `as_samples`.

    Source: Binkowski et al. 2018 (KID), section 4, https://arxiv.org/abs/1801.01401;
    Gretton et al. 2012, eq. 3 (the estimator); Hoeffding 1948 (its variance)
    """
    return estimate_kid_resampled(x, y, (), block_size=block_size)[0]


def estimate_kid_resampled(
    x: ArrayLike, y: ArrayLike, counts: ArrayLike, *, block_size: int = BLOCK_SIZE
) -> tuple[KID, np.ndarray]:
    """`estimate_kid`, and its value with each resample of x in place of x.

    A pair of copies of one sample is no pair of samples: it is left out, or a resample
    would seem less spread than what it was drawn from. The kernel is centred, as in the
    value; for a resample that makes a difference, of order 1 / n of the value.

    Args:
      x: features, ``[n, d]``.
      y: features, ``[m, d]``.
      counts: how often each sample of x is drawn, ``[replicates, n]``, as
        `bootstrap.resamples` gives it; each of at least two samples. May be empty.
      block_size: as in `estimate_kid`.

    Returns:
      The estimate, and float64 ``[replicates]``.

    Raises:
      UserError: as `estimate_kid`.
    """
    x, y = as_samples("KID", 2, x=x, y=y)
    counts = np.asarray(counts, np.float64)
    counts = counts if counts.size else np.zeros((0, len(x)))
    centre = (x.mean(axis=0) + y.mean(axis=0)) / 2
    xx = _sums(x, x, centre, block_size, within=True, counts=counts)
    yy = _sums(y, y, centre, block_size, within=True)
    xy = _sums(x, y, centre, block_size)
    n, m = len(x), len(y)
    within = yy.total / (m * (m - 1))
    value = float(xx.total / (n * (n - 1)) + within - 2 * xy.total / (n * m))
    pairs = n**2 - np.square(counts).sum(axis=1)
    pairs = np.where(pairs, pairs, math.nan)  # n copies of one sample have none
    replicates = xx.weighted / pairs + within - 2 * (counts @ xy.rows) / (n * m)
    return KID(value, _standard_error(xx, yy, xy)), replicates


def _standard_error(xx: "_Sums", yy: "_Sums", xy: "_Sums") -> float:
    n, m = len(xy.rows), len(xy.columns)
    if min(n, m) < 4:
        return math.nan

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
    return math.sqrt(max(first, 0.0) + second)


class _Sums(NamedTuple):
    """Sums of a matrix of kernel values, ``[n, m]``."""

    rows: np.ndarray  # of each row, [n]
    columns: np.ndarray  # of each column, [m]; not used within one set
    squares: float  # of the squared values
    weighted: np.ndarray  # of values times how often both are drawn, [replicates]

    @property
    def total(self) -> float:
        return self.rows.sum()


def _sums(
    a: np.ndarray,
    b: np.ndarray,
    centre: np.ndarray,
    block_size: int,
    *,
    within: bool = False,
    counts: np.ndarray | None = None,
) -> _Sums:
    """Sums of ``k(a_i, b_j)``; within a set, which is a and b, without those of i = j.

    The kernel is centred, ``k(a, b) - f(a) - f(b)`` with
    ``f(a) = k(a, c) - k(c, c) / 2``, c the centre of all samples. Neither the distance
    nor its variance depends on f, whatever it is; but what remains is small, so that
    squares of it can be subtracted from each other.

    A block against a block at a time, which the processor's cache holds; of a set with
    itself, each pair once.
    """
    counts = np.zeros((0, len(a))) if counts is None else counts
    a_offsets, b_offsets = (
        _kernel(points, centre) - _kernel(centre, centre) / 2 for points in (a, b)
    )

    def of_block(block: slice) -> _Sums:
        rows, columns, squares = np.zeros(len(a)), np.zeros(len(b)), 0.0
        weighted = np.zeros(len(counts))
        for others in blocks(len(b), block_size):
            if within and others.start < block.start:
                continue
            k = _kernel(a[block], b[others])
            k -= a_offsets[block, None]
            k -= b_offsets[others]
            times = 1
            if within and block == others:
                np.fill_diagonal(k, 0)
            elif within:
                rows[others] += k.sum(axis=0)
                times = 2
            rows[block] += k.sum(axis=1)
            columns[others] += k.sum(axis=0)
            squares += times * np.vdot(k, k)
            if within:
                products = counts[:, block] @ k
                weighted += times * np.vecdot(products, counts[:, others])
        return _Sums(rows, columns, squares, weighted)

    rows, columns, squares = np.zeros(len(a)), np.zeros(len(b)), 0.0
    weighted = np.zeros(len(counts))
    for part in each(of_block, blocks(len(a), block_size)):
        rows += part.rows
        columns += part.columns
        squares += part.squares
        weighted += part.weighted
    return _Sums(rows, columns, squares, weighted)


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
