"""Labels that a conditional generator is given."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from gan_jax.errors import UserError


def check_label(num_classes: int | None, label: int | None) -> None:
    """Refuses a class that a GAN of so many cannot be asked for; None passes.

    Raises:
      UserError: the GAN is unconditional, or does not know the class.
    """
    if label is not None and num_classes is None:
        raise UserError(
            f"--label={label} asks an unconditional GAN for a class: leave it out, or"
            " train with --conditional"
        )
    if label is not None and not 0 <= label < num_classes:
        raise UserError(f"--label={label} must be in 0 ... {num_classes - 1}")


def checked(labels: Any, count: int, num_classes: int | None) -> np.ndarray | None:
    """Labels as a generator takes them.

    Args:
      labels: of each latent; None of an unconditional generator.
      count: how many latents there are.
      num_classes: that the generator knows.

    Returns:
      int32 ``[count]``, or None.

    Raises:
      UserError: they are not so many integers, or not all from 0 to num_classes - 1.
    """
    if labels is None:
        return None
    found, known = np.asarray(labels), range(num_classes or 0)
    if (
        found.shape != (count,)
        or not np.issubdtype(found.dtype, np.integer)
        or (count and not (found.min() in known and found.max() in known))
    ):
        raise UserError(
            f"labels have to be {count} integers from 0 to {len(known) - 1}, one for"
            " each latent"
        )
    return found.astype(np.int32)


def in_shares(count: int, shares: Sequence[int]) -> np.ndarray:
    """Labels in which each class has its share, in any first part of them.

    Next is always the class that is furthest behind; of equal ones, the first. So equal
    shares take turns.

    Args:
      count: how many labels.
      shares: of the classes, integers of at least 0 and not all 0.

    Returns:
      int32 ``[count]``.
    """
    shares = np.asarray(shares, np.int64)
    if (shares == shares[0]).all():
        return np.arange(count, dtype=np.int32) % len(shares)
    labels = np.empty(count, np.int32)
    behind = np.zeros_like(shares)
    for i in range(count):
        behind += shares
        labels[i] = behind.argmax()
        behind[labels[i]] -= shares.sum()
    return labels
