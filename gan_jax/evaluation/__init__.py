"""Measures of sample quality: pure functions of arrays, on the host, in float64.

The same samples give the same numbers whatever precision JAX computes in.
"""

from gan_jax.evaluation.bootstrap import interval, resamples
from gan_jax.evaluation.classes import (
    class_accuracy,
    class_histogram,
    kl_from_uniform,
)
from gan_jax.evaluation.corruptions import CORRUPTIONS
from gan_jax.evaluation.extrapolation import frechet_infinity
from gan_jax.evaluation.frechet import (
    Moments,
    frechet_distance,
    frechet_distance_of_moments,
    moments,
    resampled_distances,
)
from gan_jax.evaluation.kid import KID, estimate_kid, estimate_kid_resampled
from gan_jax.evaluation.neighbours import nearest
from gan_jax.evaluation.precision_recall import PRDC, precision_recall_density_coverage
from gan_jax.evaluation.sliced import sliced_wasserstein

__all__ = [
    "CORRUPTIONS",
    "KID",
    "PRDC",
    "Moments",
    "class_accuracy",
    "class_histogram",
    "estimate_kid",
    "estimate_kid_resampled",
    "frechet_distance",
    "frechet_distance_of_moments",
    "frechet_infinity",
    "interval",
    "kl_from_uniform",
    "moments",
    "nearest",
    "precision_recall_density_coverage",
    "resampled_distances",
    "resamples",
    "sliced_wasserstein",
]
