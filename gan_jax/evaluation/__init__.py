"""Measures of sample quality: pure functions of arrays, on the host, in float64.

The same samples give the same numbers whatever precision JAX computes in.
"""

from gan_jax.evaluation.classes import (
    class_accuracy,
    class_histogram,
    kl_from_uniform,
)
from gan_jax.evaluation.corruptions import CORRUPTIONS
from gan_jax.evaluation.frechet import (
    Moments,
    frechet_distance,
    frechet_distance_of_moments,
    moments,
)
from gan_jax.evaluation.kid import KID, estimate_kid
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
    "frechet_distance",
    "frechet_distance_of_moments",
    "kl_from_uniform",
    "moments",
    "nearest",
    "precision_recall_density_coverage",
    "sliced_wasserstein",
]
