"""The sliced Wasserstein distance, which needs no network."""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from gan_jax.data.dataset import Indexed
from gan_jax.errors import UserError
from gan_jax.evaluation.neighbours import as_samples, blocks
from gan_jax.evaluation.threads import each

_NUMBERS = 2**24  # of places along directions at a time: 134 MB of each set
_PIXELS = 2**22  # of samples that are looked at at a time: 34 MB
_MEASURE = "the sliced Wasserstein distance"


def sliced_wasserstein(
    x: ArrayLike | Indexed,
    y: ArrayLike | Indexed,
    *,
    projections: int = 512,
    seed: int = 0,
) -> float:
    """W1 distance of the two sets seen along a direction, averaged over directions.

    Along a direction it is exact, ``int |F_x(t) - F_y(t)| dt``; the directions are
    drawn uniformly from the unit sphere. It is a distance between the samples, so for
    finite sets of equal distributions it is not 0: compare equal numbers of samples.

    Args:
      x: ``[n, ...]``, flattened to a vector each and taken as it is: of uint8 images
        the distance is in grey levels. What is not in memory is read block by block.
      y: ``[m, ...]``, the same.
      projections: how many directions.
      seed: of the directions; the same ones for the same seed and dimension.

    Returns:
      At least 0, in the units of the data.

    Raises:
      UserError: no sample, examples of two sizes, values that are not finite, or no
        projection.

    Source: Rabin et al. 2011, section 3; Bonneel et al. 2015, "Sliced and Radon
    Wasserstein barycenters of measures"
    """
    if projections < 1:
        raise UserError(f"projections is {projections}: give 1 or more")
    sets = {"x": _indexed("x", x), "y": _indexed("y", y)}
    first = as_samples(
        _MEASURE, 1, **{name: _flatten(s[:1]) for name, s in sets.items()}
    )
    directions = np.random.default_rng(seed).normal(size=(projections, first[0].size))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    most = max(map(len, sets.values()))
    distances = []
    for block in blocks(projections, max(1, _NUMBERS // most)):
        places = [_places(directions[block], *named) for named in sets.items()]
        distances.append(_wasserstein(*places))
    return float(np.concatenate(distances).mean())


def _indexed(name: str, examples: Any) -> Any:
    """As it is if it can be read block by block, else an array."""
    if isinstance(examples, Indexed):
        return examples
    array = np.asarray(examples)
    if array.ndim == 0:
        as_samples(_MEASURE, 1, **{name: array})  # which refuses it
    return array


def _places(directions: np.ndarray, name: str, examples: Any) -> np.ndarray:
    """Where examples are along directions, in order: ``[directions, examples]``."""
    places = np.empty((len(directions), len(examples)))

    def project(block: slice) -> None:
        (some,) = as_samples(_MEASURE, 1, **{name: _flatten(examples[block])})
        np.matmul(directions, some.T, out=places[:, block])

    size = max(1, _PIXELS // directions.shape[1])
    for _ in each(project, blocks(len(examples), size)):
        pass
    for _ in each(np.ndarray.sort, places):
        pass
    return places


def _flatten(examples: np.ndarray) -> np.ndarray:
    return examples.reshape(len(examples), math.prod(examples.shape[1:]))


def _wasserstein(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """W1 of each row, sorted: ``[directions, n]`` against ``[directions, m]``."""
    if x.shape == y.shape:
        # The i-th smallest goes to the i-th smallest.
        return np.abs(x - y).mean(axis=1)
    from scipy import stats  # late: it takes a second to import

    pairs = zip(x, y, strict=True)
    return np.array([stats.wasserstein_distance(*pair) for pair in pairs])
