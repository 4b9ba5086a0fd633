"""Precision, recall, density and coverage: is it real, and is all of it there?"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from gan_jax.errors import UserError
from gan_jax.evaluation.neighbours import (
    BLOCK_SIZE,
    approximate_squares,
    as_samples,
    blocks,
    direct_distances,
    nearest,
)


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
      block_size: samples taken at a time; memory grows with ``block_size * (n + m)``.

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
        nearest(x, x, count=neighbours + 1, block_size=block_size)[1][:, -1]
        for x in (real, fake)
    )

    balls = []  # how many real balls hold each fake
    covered = np.zeros(len(real), bool)
    for inside in _inside(fake, real, real_radii, block_size):
        balls.append(inside.sum(axis=1))
        covered |= inside.any(axis=0)
    balls = np.concatenate(balls)
    recalled = np.concatenate(
        [inside.any(axis=1) for inside in _inside(real, fake, fake_radii, block_size)]
    )
    return PRDC(
        precision=float(np.mean(balls > 0)),
        recall=float(np.mean(recalled)),
        density=float(np.mean(balls) / neighbours),
        coverage=float(np.mean(covered)),
    )


def _inside(
    points: np.ndarray, centres: np.ndarray, radii: np.ndarray, block_size: int
) -> Iterator[np.ndarray]:
    """Which balls hold which points, bool ``[block, centres]`` at a time."""
    for block in blocks(len(points), block_size):
        excess, errors = approximate_squares(points[block], centres)
        excess -= radii**2
        inside = excess <= 0
        np.abs(excess, out=excess)
        # On the border, where a sample that defines the radius lies, rounding would
        # decide: there take the very distance from which the radius was taken.
        unsure = excess <= errors[:, None]
        for i in np.flatnonzero(unsure.any(axis=1)):
            near = np.flatnonzero(unsure[i])
            distances = direct_distances(points[block.start + i], centres[near])
            inside[i, near] = distances <= radii[near]
        yield inside
