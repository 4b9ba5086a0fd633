"""Exact nearest neighbours, and what the measures of samples share.

Squared distances come from one matrix product, ``|a|^2 + |b|^2 - 2 a.b``: fast, and
wrong by rounding where a and b nearly coincide. So the product only rules pairs out,
by a bound of its error; what it leaves open is decided by ``sum (a - b)^2``. The
results are therefore the same whatever the blocks.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from gan_jax.errors import UserError
from gan_jax.evaluation.threads import each

BLOCK_SIZE = 500  # a block against another in float64 is 2 MB: it stays in the cache
_NUMBERS = 2**21  # squared distances at a time where whole rows are needed: 16 MB
_PAIRS = 2**13  # whose distances are computed directly at a time
_PIXELS = 2**23  # of images among which `beside_nearest` looks at once: 67 MB


def as_samples(measure: str, needed: int, **sets: ArrayLike) -> list[np.ndarray]:
    """Sets of feature vectors in float64, checked.

    Args:
      measure: what asks for them, as in "the Frechet distance".
      needed: how many samples each set must have.
      **sets: each ``[samples, d]``, by the name that its user knows.

    Returns:
      The sets, float64.

    Raises:
      UserError: one is not ``[samples, d]`` with d > 0, has too few samples or values
        that are not finite; or their dimensions differ.
    """
    arrays = {name: np.asarray(values, np.float64) for name, values in sets.items()}
    for name, array in arrays.items():
        if array.ndim != 2 or array.shape[1] == 0:
            raise UserError(
                f"{measure} needs feature vectors, and {name} has the shape"
                f" {array.shape}: make it [samples, dimensions]"
            )
        if len(array) < needed:
            plural = "s" if needed > 1 else ""
            raise UserError(
                f"{measure} needs at least {needed} sample{plural} of each set, and"
                f" {name} has {len(array)}: draw more"
            )
        if not np.isfinite(array).all():
            raise UserError(
                f"{measure} needs finite features, and {name} holds NaN or infinity:"
                " look for the step at which training diverged"
            )
    dimensions = {name: array.shape[1] for name, array in arrays.items()}
    if len(set(dimensions.values())) > 1:
        found = ", ".join(f"{d} of {name}" for name, d in dimensions.items())
        raise UserError(
            f"{measure} needs features of one dimension, not {found}: take them from"
            " the same layer of the same network"
        )
    return list(arrays.values())


def blocks(count: int, block_size: int) -> list[slice]:
    """Cuts ``range(count)`` into slices of ``block_size``, the last one shorter.

    Raises:
      UserError: ``block_size`` is not positive.
    """
    if block_size < 1:
        raise UserError(f"block_size is {block_size}: give 1 or more")
    return [slice(i, i + block_size) for i in range(0, count, block_size)]


def image_blocks(count: int, pixels: int, least: int = 1) -> list[slice]:
    """Cuts images into slices that fit into memory in float64; ``least`` or more each.

    Args:
      count: of the images.
      pixels: of each, all channels.
      least: images in a slice, but for the last.
    """
    return blocks(count, max(least, _PIXELS // max(pixels, 1)))


def approximate_squares(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Squared distances by one matrix product, and how wrong they may be.

    Args:
      a: ``[n, d]``, float64.
      b: ``[m, d]``, float64.

    Returns:
      The squares ``[n, m]``, which may be slightly negative; and ``[n]``, by how much
      the squares of a row may differ from a direct ``sum (a - b)^2``.
    """
    a_norms, b_norms = (np.einsum("ij,ij->i", c, c) for c in (a, b))
    squares = a @ b.T
    squares *= -2
    squares += a_norms[:, None]
    squares += b_norms
    # A sum of d products is wrong by at most d u sum |a_i b_i|, u = eps / 2 (Higham
    # 2002, section 3.1). Of the three sums here: d u (|a| + |b|)^2, which is at most
    # d eps (|a|^2 + |b|^2). The direct sum has the same bound: hence 2. The 8 is for
    # the additions, and for a square root taken and squared again.
    scale = 2 * (a.shape[1] + 8) * np.finfo(np.float64).eps
    return squares, scale * (a_norms + b_norms.max())


def nonzero(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`numpy.nonzero` of a matrix, which is ten times slower where little is true."""
    return np.divmod(np.flatnonzero(mask), mask.shape[1])


def pair_distances(
    a: np.ndarray, b: np.ndarray, rows: np.ndarray, columns: np.ndarray
) -> np.ndarray:
    """``|a[rows_i] - b[columns_i]|_2``, computed directly: ``[n]``, for few of all."""
    distances = np.empty(len(rows))
    for part in blocks(len(rows), _PAIRS):
        apart = a[rows[part]] - b[columns[part]]
        distances[part] = np.sqrt(np.square(apart).sum(axis=1))
    return distances


def nearest(
    queries: ArrayLike,
    references: ArrayLike,
    *,
    count: int = 5,
    block_size: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The nearest references of each query, by Euclidean distance.

    Exact: a query that equals a reference is at a distance of 0 from it.

    Args:
      queries: ``[n, d]``.
      references: ``[m, d]``.
      count: how many of each query's.
      block_size: queries taken at a time; memory grows with ``block_size * m``. By
        default so many that this does not.

    Returns:
      indices: int64 ``[n, count]``, the nearest first; of equally near ones, the
        lowest index first.
      distances: float64 ``[n, count]``, ascending, in the units of the features.

    Raises:
      UserError: fewer than ``count`` references, no query, or features as in
        `as_samples`.
    """
    measure = "the search for nearest neighbours"
    queries, references = as_samples(measure, 1, queries=queries, references=references)
    if not 1 <= count <= len(references):
        raise UserError(
            f"count is {count}, and there are {len(references)} references: give 1 to"
            f" {len(references)}, or more references"
        )
    if block_size is None:
        block_size = max(1, min(BLOCK_SIZE, _NUMBERS // len(references)))
    indices = np.empty((len(queries), count), np.int64)
    distances = np.empty((len(queries), count))

    def search(block: slice) -> None:
        squares, errors = approximate_squares(queries[block], references)
        # `count` references are nearer than bound + error, so whoever belongs to
        # the nearest is as well, and its approximate square is below + 2 error.
        near = squares <= (_bound(squares, count) + 2 * errors)[:, None]
        rows, columns = nonzero(near)
        exact = pair_distances(queries[block], references, rows, columns)
        order = np.lexsort((columns, exact, rows))
        ends = np.cumsum(np.count_nonzero(near, axis=1))
        starts = np.concatenate([[0], ends[:-1]])
        first = order[starts[:, None] + np.arange(count)]
        indices[block], distances[block] = columns[first], exact[first]

    for _ in each(search, blocks(len(queries), block_size)):
        pass
    return indices, distances


def _bound(squares: np.ndarray, count: int) -> np.ndarray:
    """``[n]``: of each row, a number that at least ``count`` others do not exceed.

    The least of each of many groups are looked at in place of all: with so many groups
    the nearest few are seldom in one, so the bound is near the smallest possible.
    """
    groups = 32 * count
    size = squares.shape[1] // groups
    if size > 1:
        whole = squares[:, : size * groups]
        squares = whole.reshape(len(squares), size, groups).min(axis=1)
    return np.partition(squares, count - 1, axis=1)[:, count - 1]


def beside_nearest(samples: np.ndarray, images: Any) -> np.ndarray:
    """Ten samples, each with the nine training images that are nearest in pixels.

    Returns:
      uint8 ``[100, height, width, channels]``, a row of ten for each sample: the sample
      first. Fewer where there are not ten samples and nine training images.
    """
    shown, count = samples[:10], min(9, len(images))
    flat = shown.reshape(len(shown), -1)

    def nearest_of(among: np.ndarray) -> np.ndarray:
        block = images[among].reshape(len(among), -1)
        found, _ = nearest(flat, block, count=min(count, len(among)))
        return among[found]

    everything = np.arange(len(images))
    split = image_blocks(len(everything), flat.shape[1], least=count)
    best = [nearest_of(everything[block]).ravel() for block in split]
    indices = nearest_of(np.unique(np.concatenate(best)))
    rows = np.concatenate([shown[:, None], images[indices]], axis=1)
    return rows.reshape(-1, *shown.shape[1:])
