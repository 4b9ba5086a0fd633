"""How far a measure may be off for the samples that happened to be drawn."""

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

LEVEL = 0.95  # about the share of draws whose interval holds the mean over draws
REPLICATES = 200  # Efron & Tibshirani: seldom more are needed for a standard error


def resamples(count: int, replicates: int = REPLICATES, seed: int = 0) -> np.ndarray:
    """Draws as many of some samples as there are, with replacement, again and again.

    Args:
      count: how many samples there are, n.
      replicates: how often n of them are drawn.
      seed: of what is drawn.

    Returns:
      How often each is drawn, float64 ``[replicates, n]``.
    """
    rng = np.random.default_rng(seed)
    drawn = [rng.integers(0, count, count) for _ in range(replicates)]
    counts = [np.bincount(indices, minlength=count) for indices in drawn]
    return np.array(counts, np.float64).reshape(replicates, count)


def interval(
    value: float, replicates: Sequence[float] | np.ndarray
) -> tuple[float, float]:
    """The interval of a measure of some samples, from its values of resamples.

    The value and so many of its bootstrap standard errors to either side that a normal
    distribution is within with the probability `LEVEL`. Near equal distributions,
    where a distance is noise alone, resamples have the noise twice, and the interval is
    up to 1.7 times too wide. Not the quantiles of the
    replicates: a distance grows with the noise of its samples, so those of a Frechet
    distance lie above its value, as far as the value above what is estimated.

    Args:
      value: of the samples themselves.
      replicates: of each resample; at least two. NaN, where it has too few samples
        that differ, is left out.

    Returns:
      Lower and upper end, in the units of the value.

    Source: Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapters 6
    (number of replicates) and 12 (standard normal interval)
    """
    reach = NormalDist().inv_cdf((1 + LEVEL) / 2) * float(np.nanstd(replicates, ddof=1))
    return value - reach, value + reach
