"""Precision, recall, density and coverage: is it real, and is all of it there?"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from gan_jax.errors import UserError
from gan_jax.evaluation.neighbours import (
    BLOCK_SIZE,
    approximate_squares,
    as_samples,
    blocks,
    nearest,
    nonzero,
    pair_distances,
)
from gan_jax.evaluation.threads import each


class PRDC(NamedTuple):
    """What share of the fakes looks real, and what share of the real ones is met.

    Attributes:
      precision: share of fakes within the manifold of the real samples, 0 to 1.
      recall: share of real samples within the manifold of the fakes, 0 to 1.
      density: how many real balls hold a fake on average, over ``neighbours``; at
        least 0, near 1 for equal distributions, and it may exceed 1.
      coverage: share of the real balls that hold a fake, 0 to 1.
    """

    precision: float
    recall: float
    density: float
    coverage: float


def precision_recall_density_coverage(
    real: ArrayLike,
    fake: ArrayLike,
    *,
    neighbours: int = 5,
    block_size: int = BLOCK_SIZE,
) -> PRDC:
    """How well two sets of features cover each other's manifold.

    Each sample has a ball that reaches, border included, to the ``neighbours``-th
    nearest OTHER sample of its own set; a manifold is the union of the balls of a set.
    They depend on how many samples there are: compare equal numbers only.

    Args:
      real: ``[n, d]``.
      fake: ``[m, d]``.
      neighbours: k; the published values are 3 for precision and recall, 5 for density
        and coverage.
      block_size: samples of either taken at a time; memory grows with its square.

    Returns:
      The four, without units.

    Raises:
      UserError: ``neighbours`` is not positive, fewer than ``neighbours + 1`` samples
        of either, or features as in `as_samples`.

    Source: precision and recall Kynkaanniemi et al. 2019, eq. 1 and 2,
    https://arxiv.org/abs/1904.06991; density and coverage Naeem et al. 2020, section
    3, https://arxiv.org/abs/2002.09797
    """
    if neighbours < 1:
        raise UserError(f"neighbours is {neighbours}: give 1 or more")
    measure = f"the precision of {neighbours} neighbours"
    real, fake = as_samples(measure, neighbours + 1, real=real, fake=fake)
    # A sample is the first of its own nearest, at 0: one more, and drop a 0.
    real_radii, fake_radii = (
        nearest(x, x, count=neighbours + 1)[1][:, -1] for x in (real, fake)
    )

    balls = np.zeros(len(fake), np.int64)  # how many real balls hold each fake

    def look(block: slice) -> tuple[np.ndarray, np.ndarray]:
        held, holds = np.zeros((2, len(real)), bool)
        for others in blocks(len(real), block_size):
            pairs = _Pairs(fake[block], real[others])
            inside = pairs.within(real_radii[others])
            balls[block] += np.count_nonzero(inside, axis=1)
            held[others] = inside.any(axis=0)
            holds[others] = pairs.within(fake_radii[block][:, None]).any(axis=0)
        return held, holds

    covered, recalled = np.zeros((2, len(real)), bool)
    for held, holds in each(look, blocks(len(fake), block_size)):
        covered |= held
        recalled |= holds
    return PRDC(
        precision=float(np.mean(balls > 0)),
        recall=float(np.mean(recalled)),
        density=float(np.mean(balls) / neighbours),
        coverage=float(np.mean(covered)),
    )


class _Pairs:
    """The distances between two sets."""

    def __init__(self, a: np.ndarray, b: np.ndarray) -> None:
        self._a, self._b = a, b
        self._squares, errors = approximate_squares(a, b)
        self._errors = errors[:, None]

    def within(self, radii: np.ndarray) -> np.ndarray:
        """Which pairs are at most so far apart.

        Args:
          radii: distances, ``[m]`` or ``[n, 1]``.

        Returns:
          bool ``[n, m]``.
        """
        excess = self._squares - np.square(radii)
        inside = excess <= 0
        np.abs(excess, out=excess)
        # On the border, where a sample that defines the radius lies, rounding would
        # decide: there take the very distance from which the radius was taken.
        rows, columns = nonzero(excess <= self._errors)
        distances = pair_distances(self._a, self._b, rows, columns)
        borders = np.broadcast_to(radii, inside.shape)[rows, columns]
        inside[rows, columns] = distances <= borders
        return inside
