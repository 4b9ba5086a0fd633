"""The Frechet distance between Gaussians fitted to two sets of features."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from gan_jax.errors import UserError
from gan_jax.evaluation.neighbours import as_samples
from gan_jax.evaluation.threads import each

_MEASURE = "the Frechet distance"


class Moments(NamedTuple):
    """The Gaussian fitted to a set of features.

    Attributes:
      mean: float64 ``[d]``.
      covariance: float64 ``[d, d]``, symmetric, divided by ``count - 1``.
      count: how many samples it was fitted to.
    """

    mean: np.ndarray
    covariance: np.ndarray
    count: int


def moments(features: ArrayLike) -> Moments:
    """Fits a Gaussian, so that a reference needs to be looked at once only.

    Args:
      features: ``[n, d]``.

    Returns:
      Mean and unbiased covariance.

    Raises:
      UserError: fewer than 2 samples, or features as in `as_samples`.
    """
    (x,) = as_samples(_MEASURE, 2, features=features)
    mean = x.mean(axis=0)
    centred = x - mean
    return Moments(mean, centred.T @ centred / (len(x) - 1), len(x))


def frechet_distance_of_moments(a: Moments, b: Moments) -> float:
    """`frechet_distance` of sets whose moments are known.

    Raises:
      UserError: the dimensions differ.
    """
    if a.mean.shape != b.mean.shape:
        raise UserError(
            f"{_MEASURE} needs features of one dimension, not {len(a.mean)} and"
            f" {len(b.mean)}: take them from the same layer of the same network"
        )
    # With any factors Ca = A A^T and Cb = B B^T, tr (Ca^1/2 Cb Ca^1/2)^1/2 is the sum
    # of the singular values of A^T B. The square roots of eigenvalues would turn a
    # rounding error e of a zero eigenvalue into sqrt(e), once for each dimension.
    a_factor, b_factor = _factor(a.covariance), _factor(b.covariance)
    overlap = np.linalg.svd(a_factor.T @ b_factor, compute_uv=False).sum()
    traces = np.trace(a.covariance) + np.trace(b.covariance)
    squares = np.square(a.mean - b.mean).sum()
    # The second part is a distance by itself, so each is at least 0.
    return float(squares + max(traces - 2 * overlap, 0.0))


def resampled_distances(
    x: ArrayLike, reference: Moments, counts: ArrayLike
) -> np.ndarray:
    """`frechet_distance` of resamples of some samples to a reference that stays.

    Args:
      x: features, ``[n, d]``.
      reference: moments of what they are compared with.
      counts: how often each sample is drawn, ``[replicates, n]``, as
        `bootstrap.resamples` gives it.

    Returns:
      float64 ``[replicates]``.

    Raises:
      UserError: as `moments`.
    """
    (x,) = as_samples(_MEASURE, 2, x=x)
    counts = np.asarray(counts, np.float64)
    n, mean = len(x), x.mean(axis=0)
    x = x - mean
    means = counts @ x / n
    traces = (counts @ np.einsum("ij,ij->i", x, x) - n * np.vecdot(means, means)) / (
        n - 1
    )
    squares = np.square(mean + means - reference.mean).sum(axis=1)
    # With the reference's factor B, the singular values of A^T B, C = A A^T, are the
    # square roots of the eigenvalues of B^T C B: less exact where the samples are few,
    # by 1e-8 of the distance, which is nothing beside the spread that is looked for.
    factor = _factor(reference.covariance)
    along = x @ factor

    def overlap(count: np.ndarray) -> float:
        drawn, shift = np.sqrt(count)[:, None] * along, count @ along / n
        covariance = (drawn.T @ drawn - n * np.outer(shift, shift)) / (n - 1)
        return np.sqrt(np.maximum(np.linalg.eigvalsh(covariance), 0)).sum()

    overlaps = np.array([*each(overlap, counts)])
    traces += np.trace(reference.covariance)
    return squares + np.maximum(traces - 2 * overlaps, 0)


def frechet_distance(x: ArrayLike, y: ArrayLike) -> float:
    """Squared Frechet (2-Wasserstein) distance between fitted Gaussians.

    ``|mx - my|^2 + tr(Cx + Cy - 2 (Cx^1/2 Cy Cx^1/2)^1/2)``, m the means and C the
    covariances. On features of the Inception network this is FID; on those of the
    project's own classifier it is FCD, and the two are not comparable. It is biased
    upwards by an amount that falls with the number of samples: compare equal numbers.

    Args:
      x: features, ``[n, d]``; n may be less than d.
      y: features, ``[m, d]``.

    Returns:
      At least 0, in squared units of the features; 0 for equal moments.

    Raises:
      UserError: fewer than 2 samples of either, or features as in `as_samples`.

    Source: Dowson & Landau 1982; Heusel et al. 2017 (FID), eq. 6,
    https://arxiv.org/abs/1706.08500
    """
    x, y = as_samples(_MEASURE, 2, x=x, y=y)
    return frechet_distance_of_moments(moments(x), moments(y))


def _factor(covariance: np.ndarray) -> np.ndarray:
    """``[d, rank]``, whose product with its own transpose is the covariance."""
    values, vectors = np.linalg.eigh(covariance)
    # What is below the rounding error of the largest is a zero, of either sign.
    floor = len(values) * np.finfo(np.float64).eps * values.max()
    kept = values > floor
    return vectors[:, kept] * np.sqrt(values[kept])
