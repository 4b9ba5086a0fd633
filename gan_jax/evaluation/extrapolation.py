"""The Frechet distance of a generator, not of as many samples as were drawn."""

import numpy as np
from numpy.typing import ArrayLike

from gan_jax.evaluation import frechet
from gan_jax.evaluation.neighbours import as_samples
from gan_jax.evaluation.threads import each

_SIZES = 15  # numbers of samples that the line is fitted to, as in the source
_SHARE = 10  # of the samples, the smallest number is one in so many, as in the source
_PER_DIMENSION = 2  # with fewer samples the distance is no line in 1 / n any more
_SETS = 4  # at most, that share no sample, of each number


def fewest(dimension: int) -> int:
    """How many samples `frechet_infinity` needs, of features of a dimension."""
    return 2 * _PER_DIMENSION * dimension


def frechet_infinity(x: ArrayLike, reference: frechet.Moments, seed: int = 0) -> float:
    """The Frechet distance that infinitely many samples would have.

    To first order the distance of n samples is that of all there are plus a multiple of
    1 / n, and how large a multiple depends on the generator: so generators that are
    compared at equal numbers of samples may still come out in the wrong order. Here a
    line in 1 / n is fitted to the distances of subsets of growing size, and its value
    at 0 is taken. What the reference's own number of images adds stays. The terms in
    1 / n^2 make it too low, by about a tenth of what it takes off, and by less from
    some 80 samples a dimension on.

    Args:
      x: features, ``[n, d]``, of independent samples; their order does not matter to
        what is estimated.
      reference: moments of what they are compared with.
      seed: of the subsets.

    Returns:
      The distance, in squared units of the features; it can be below 0. NaN
      with fewer than `fewest` samples: then the distance is no line in 1 / n.

    Raises:
      UserError: features as in `as_samples`.

    Source: Chong & Forsyth 2020, section 3, https://arxiv.org/abs/1911.07023. Theirs
    takes one subset of each size; here up to four that share no sample are averaged.
    """
    (x,) = as_samples("the Frechet distance of infinitely many samples", 1, x=x)
    count, dimension = x.shape
    if count < fewest(dimension):
        return float("nan")
    rng = np.random.default_rng(seed)
    least = max(count // _SHARE, _PER_DIMENSION * dimension)
    sizes = np.linspace(least, count, _SIZES).astype(np.int64)

    def distance(drawn: tuple[int, np.ndarray]) -> float:
        size, order = drawn
        sets = [order[i * size :][:size] for i in range(min(count // size, _SETS))]
        found = [
            frechet.frechet_distance_of_moments(frechet.moments(x[chosen]), reference)
            for chosen in sets
        ]
        return float(np.mean(found))

    orders = [rng.permutation(count) for _ in sizes]
    distances = [*each(distance, zip(sizes, orders, strict=True))]
    return float(np.polyfit(1 / sizes, distances, 1)[1])
