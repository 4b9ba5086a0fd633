"""Which classes the samples are of: balance, and agreement with what was asked."""

import numpy as np
from numpy.typing import ArrayLike

from gan_jax.errors import UserError


def class_histogram(labels: ArrayLike, num_classes: int = 10) -> np.ndarray:
    """The share of each class.

    Args:
      labels: integers of 0 to ``num_classes - 1``, ``[n]``.
      num_classes: how many classes there are.

    Returns:
      float64 ``[num_classes]``, which sums to 1.

    Raises:
      UserError: no label, or labels that are no integers or no such class.
    """
    labels = _labels("labels", labels)
    if labels.min() < 0 or labels.max() >= num_classes:
        raise UserError(
            f"labels run from {labels.min()} to {labels.max()}, and there are"
            f" {num_classes} classes: give labels of 0 to {num_classes - 1}"
        )
    return np.bincount(labels, minlength=num_classes) / len(labels)


def kl_from_uniform(histogram: ArrayLike) -> float:
    """``KL(p, uniform) = sum p log(p K)`` over the K classes.

    Args:
      histogram: the share p of each class, ``[K]``.

    Returns:
      In nats: 0 where every class has the same share, ``log K`` where one has all.

    Raises:
      UserError: shares that are negative or do not sum to 1.
    """
    p = np.asarray(histogram, np.float64)
    # As written, so that NaN is refused too.
    if p.ndim != 1 or not (p >= 0).all() or not abs(p.sum() - 1) < 1e-5:
        raise UserError(
            "histogram is not a list of shares that sum to 1: make it with"
            " class_histogram"
        )
    some = p[p > 0]  # 0 log 0 = 0
    return max(float((some * np.log(some * len(p))).sum()), 0.0)


def class_accuracy(predicted: ArrayLike, wanted: ArrayLike) -> float:
    """The share of samples that are of the class that was asked for.

    Args:
      predicted: the classifier's labels, integers ``[n]``.
      wanted: the labels that the samples were made for, integers ``[n]``.

    Returns:
      0 to 1.

    Raises:
      UserError: no label, labels that are no integers, or two numbers of them.
    """
    predicted, wanted = _labels("predicted", predicted), _labels("wanted", wanted)
    if len(predicted) != len(wanted):
        raise UserError(
            f"there are {len(predicted)} predicted and {len(wanted)} wanted labels:"
            " give one of each for every sample"
        )
    return float(np.mean(predicted == wanted))


def _labels(name: str, values: ArrayLike) -> np.ndarray:
    labels = np.asarray(values)
    if labels.ndim != 1 or labels.size == 0:
        raise UserError(
            f"{name} has the shape {labels.shape}: give one integer for each sample"
        )
    if not np.issubdtype(labels.dtype, np.integer):
        raise UserError(f"{name} has the type {labels.dtype}: give integers")
    return labels
